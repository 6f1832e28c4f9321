package server

import (
	"os"
	"strings"
	"testing"
)

// docs/TUNING.md tells of every field that INFO memory has, and of those of the other
// sections that tell of memory.
func TestMemoryReference(t *testing.T) {
	text, err := os.ReadFile("../docs/TUNING.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"expired_keys", "evicted_keys", "evicted_live_keys", "keys", "tables_rebuilt"}
	infoMemory(newInfo(newTestServer(newStore(t))), func(name string, _ any) { names = append(names, name) })
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/TUNING.md leaves out %s", name)
		}
	}
}
