package server

import (
	"os"
	"strings"
	"testing"
)

func TestMemorySyntax(t *testing.T) {
	for value, want := range map[string]int64{
		"0": 0, "0mb": 0, "16mb": 16 << 20, "16777216": 16 << 20, "16777216b": 16 << 20, "16384KB": 16 << 20, "1Gb": 1 << 30,
		"17m": 17_000_000, "17000k": 17_000_000, "1g": 1_000_000_000, "8589934591gb": 8589934591 << 30,
	} {
		got := int64(-1)
		if err := setMaxMemory(&got, value); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", value, got, err, want)
		}
	}
	for _, value := range []string{
		"", "mb", "-1", "-16mb", "+16mb", "16 mb", " 16mb", "16mb ", "1.5g", "0x1000000", "16mbb", "16tb", "1e9",
		"1", "16777215", "16m", "15mb", "8589934592gb", "99999999999g", "9223372036854775808",
	} {
		got := int64(-1)
		if err := setMaxMemory(&got, value); err == nil || got != -1 {
			t.Errorf("%q was accepted as %d", value, got)
		}
	}
}

// docs/MEMORY.md tells of every field that INFO memory has, and of those of the other
// sections that tell of memory.
func TestMemoryReference(t *testing.T) {
	text, err := os.ReadFile("../docs/MEMORY.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"expired_keys", "evicted_keys", "evicted_live_keys", "keys", "tables_rebuilt"}
	for _, f := range infoMemory(newTestServer(newStore(t))) {
		names = append(names, f.name)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/MEMORY.md leaves out %s", name)
		}
	}
}
