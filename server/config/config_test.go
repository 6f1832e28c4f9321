package config

import (
	"strings"
	"testing"
	"time"
)

func TestMemorySyntax(t *testing.T) {
	for value, want := range map[string]int64{
		"0": 0, "0mb": 0, "16mb": 16 << 20, "16777216": 16 << 20, "16777216b": 16 << 20, "16384KB": 16 << 20, "1Gb": 1 << 30,
		"17m": 17_000_000, "17000k": 17_000_000, "1g": 1_000_000_000, "8589934591gb": 8589934591 << 30,
	} {
		got := int64(-1)
		if ok := maxMemory(&got).Set(value); !ok || got != want {
			t.Errorf("%q: %d, %v, want %d", value, got, ok, want)
		}
	}
	for _, value := range []string{
		"", "mb", "-1", "-16mb", "+16mb", "16 mb", " 16mb", "16mb ", "1.5g", "0x1000000", "16mbb", "16tb", "1e9",
		"1", "16777215", "16m", "15mb", "8589934592gb", "99999999999g", "9223372036854775808",
	} {
		got := int64(-1)
		if maxMemory(&got).Set(value) || got != -1 {
			t.Errorf("%q was accepted as %d", value, got)
		}
	}
}

// A span is written as the period of a limit is.
func TestSpanSyntax(t *testing.T) {
	for value, want := range map[string]string{
		"0": "0", "1ms": "1ms", "999ms": "999ms", "1000ms": "1s", "1": "1s", "60s": "60s", "1m": "60s", "3600": "3600s", "1h": "3600s",
	} {
		got := time.Nanosecond
		f := OrNone(&got, Span(&got, time.Hour))
		if !f.Set(value) || f.Get() != want {
			t.Errorf("%q: %v, want %s", value, got, want)
		}
	}
	for _, value := range []string{"", "0ms", "0s", "-1", "1.5s", "1us", "1MS", "01s", "ms", "1 s", "3601", "1d", "999999999999999999d"} {
		got := time.Nanosecond
		if OrNone(&got, Span(&got, time.Hour)).Set(value) || got != time.Nanosecond {
			t.Errorf("%q was accepted as %v", value, got)
		}
	}
}

// Names are compared byte by byte but for the case of ASCII letters.
func TestNames(t *testing.T) {
	rows := Default().Settings()
	for name, want := range map[string]string{"Port": "port", "BIND": "bind", "ma\u212aclients": "", "requirepas\u017f": "", "por": "", "": ""} {
		if row, _ := Find(rows, name); row.Name != want {
			t.Errorf("%q found %q, want %q", name, row.Name, want)
		}
	}
}

// A section for the tests.
type section struct {
	size    int
	applied *int
}

func (s *section) Settings() []Setting {
	return In(Memory, []Setting{{Name: "size", Field: Int(&s.size, 0, 9), Default: "3"}})
}
func (s *section) Copy() Section { other := *s; return &other }
func (s *section) Apply() error  { *s.applied = s.size; return nil }

// A change to a copy is not seen in the original, nor in its sections, until it is applied.
func TestCopy(t *testing.T) {
	applied := 0
	before := Default(&section{applied: &applied})
	after := before.Copy()
	for _, set := range [][2]string{{"size", "5"}, {"port", "1"}, {"bind", "::1 10.0.0.1"}} {
		row, _ := Find(after.Settings(), set[0])
		if err := row.Set(set[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		c                *Config
		size, port, bind string
	}{{before, "3", "6380", "127.0.0.1"}, {after, "5", "1", "::1 10.0.0.1"}} {
		for name, value := range map[string]string{"size": want.size, "port": want.port, "bind": want.bind} {
			if row, _ := Find(want.c.Settings(), name); row.Get() != value {
				t.Errorf("%s is %s, want %s", name, row.Get(), value)
			}
		}
	}
	for _, c := range []*Config{after, before} {
		size, _ := Find(c.Settings(), "size")
		if err := c.Apply(); err != nil || size.Get() != string(rune('0'+applied)) {
			t.Errorf("applied %d, want %s: %v", applied, size.Get(), err)
		}
	}
}

// Every time takes the same syntax: whole seconds, or a number with its unit.
func TestSecondsSyntax(t *testing.T) {
	for value, want := range map[string]string{"0": "0", "300": "300", "300s": "300", "5m": "300", "300000ms": "300", "1h": "3600", "0s": "0"} {
		got := time.Nanosecond
		f := Seconds(&got, 0, 3600)
		if !f.Set(value) || f.Get() != want {
			t.Errorf("%q: %v, want %s s", value, got, want)
		}
	}
	for _, value := range []string{"", "-1", "1.5s", "1500ms", "61m", "3601", "1M", "s", " 5"} {
		got := time.Nanosecond
		if Seconds(&got, 0, 3600).Set(value) || got != time.Nanosecond {
			t.Errorf("%q was accepted as %v", value, got)
		}
	}
	if got := time.Nanosecond; Seconds(&got, 1, 3600).Set("0") {
		t.Error("0 was accepted for 1 to 3600")
	}
}

func TestHosts(t *testing.T) {
	for _, host := range []string{"limits", "limits.example.com.", "a-b_c.d1", "10.0.0.1", "::1", "fe80::1%eth0", "1st.example", "_redis.service", "xn--bcher-kva.example"} {
		if !IsHost(host) {
			t.Errorf("%q was refused", host)
		}
	}
	for _, host := range []string{
		"", "-1", "1", "1.2.3", "300.1.1.1", "-a", "a-", "a.-b", "a-.b", "a..b", ".", ".a", "a b", " a", "a:1", "[::1]", "bücher", "a/b",
		"fe80::1%", "fe80::1% x", strings.Repeat("a", 64), strings.Repeat("a.", 128) + "a",
	} {
		if IsHost(host) {
			t.Errorf("%q was accepted", host)
		}
	}
	for address, want := range map[string]bool{
		"redis:6379": true, "[::1]:6379": true, "10.0.0.1:1": true, ":6379": false, "redis": false, "redis:0": false, "redis:65536": false, "-1:6379": false, "redis:http": false, "redis:06379": false,
	} {
		if IsHostPort(address) != want {
			t.Errorf("%q: accepted is %v, want %v", address, !want, want)
		}
	}
}
