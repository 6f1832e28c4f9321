package server

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/server/wire"
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

// The garbage allowed is about 32 MB, or an eighth of the heap where that is more.
func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {1 << 20, 400}, {8 << 20, 400}, {16 << 20, 200}, {64 << 20, 50}, {256 << 20, 12}, {1 << 30, 12}, {1 << 40, 12},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d bytes live: %d %%, want %d", c.live, got, c.want)
		}
	}
	for _, c := range []struct {
		wanted, percent int
		want            bool
	}{{100, 100, false}, {105, 100, false}, {120, 100, true}, {95, 100, false}, {80, 100, true}, {12, 13, false}, {12, 400, true}} {
		if got := differs(c.wanted, c.percent); got != c.want {
			t.Errorf("%d after %d: %v", c.wanted, c.percent, got)
		}
	}
}

// The soft limit leaves room for all that maxmemory allows and for the connections' buffers,
// and never overflows.
func TestSoftLimit(t *testing.T) {
	if got := softLimit(0, 1000); got != math.MaxInt64 {
		t.Errorf("no bound: %d", got)
	}
	for _, connections := range []int{0, 1, connectionsPerSpare, 10_000, 1_000_000} {
		buffers := int64(connections) * wire.IdleBytesMax
		for _, most := range []int64{MaxMemoryMin, 1 << 30, 1 << 40, math.MaxInt64 / 2, math.MaxInt64/2 + 1, math.MaxInt64} {
			if got := softLimit(most, connections); got-buffers < most+most/5 && got != math.MaxInt64 {
				t.Errorf("bound %d, %d connections: soft limit %d", most, connections, got)
			}
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
