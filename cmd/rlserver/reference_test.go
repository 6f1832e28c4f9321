package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the settings in docs/COMMANDS.md anew")

// The last table of the reference page is made from the table of settings. This test fails when it
// is stale. Package server makes the sections about algorithms and commands.
func TestSettingsReference(t *testing.T) {
	const path, head = "../../docs/COMMANDS.md", "\n| name | accepts | default | live | |\n|---|---|---|---|---|\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, got, _ := strings.Cut(string(page), head)
	want := ""
	for _, s := range table {
		value := strings.ReplaceAll("`"+s.Get()+"`", "``", "none")
		live := map[bool]string{true: "yes", false: "no"}[s.Live]
		want += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", s.Name, s.Accepts(), value, live, s.Usage)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+head+want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Error("the settings in docs/COMMANDS.md are stale: run `make docs`")
	}
}
