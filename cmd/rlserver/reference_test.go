package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the settings in docs/COMMANDS.md anew")

// The section about settings, the last of the reference page, is made from the table of settings.
// This test fails when it is stale. Package server has the rest of the page.
func TestSettingsReference(t *testing.T) {
	const path, heading = "../../docs/COMMANDS.md", "\n## Settings\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	commands, got, _ := strings.Cut(string(page), heading)
	var b strings.Builder
	b.WriteString(settingsReferenceHead)
	for _, s := range table {
		value := "none"
		if s.Get() != "" {
			value = "`" + s.Get() + "`"
		}
		live := "no"
		if s.Live {
			live = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Accepts(), value, live, s.Usage)
	}
	if want := b.String(); *update {
		if err := os.WriteFile(path, []byte(commands+heading+want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Error("the settings in docs/COMMANDS.md are stale: run `make docs`")
	}
}

const settingsReferenceHead = `
Each is a flag (` + "`--name`" + `), an environment variable (` + "`RLSERVER_NAME`, with `_` for `-`" + `), a key of the
YAML file given with ` + "`--config`" + `, and a parameter of CONFIG GET; *live* ones can be changed by CONFIG SET.

| name | accepts | default | live | |
|---|---|---|---|---|
`
