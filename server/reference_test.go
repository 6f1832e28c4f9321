package server

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/engine"
)

var update = flag.Bool("update", false, "write docs/COMMANDS.md anew")

// Two sections of the reference page, algorithms and commands, are made from their tables. This
// test fails when they are stale. The settings come last: cmd/rlserver makes their table, because
// only the command line knows all of them. The rest of the page is written by hand.
func TestCommandReference(t *testing.T) {
	const path, algorithms, settings = "../docs/COMMANDS.md", "\n## Algorithms\n", "\n## Settings\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(page), algorithms)
	got, tail, _ := strings.Cut(rest, settings)
	if want := reference(); *update {
		if err := os.WriteFile(path, []byte(head+algorithms+want+settings+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Error("docs/COMMANDS.md is stale: run `make docs`")
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString("\n| name | for | keeps for a key | BURST |\n|---|---|---|---|\n")
	for _, a := range engine.Algorithms() {
		fmt.Fprintf(&b, "| `%v` | %s | %s | %s |\n", a, a.Summary(), a.State(), map[bool]string{true: "yes", false: "no"}[a.HasBurst()])
	}
	group := ""
	for _, c := range newCommandTable().rows {
		if c.group != group {
			group = c.group
			fmt.Fprintf(&b, "\n## Group: %s\n", group)
		}
		describeCommand(&b, "###", c)
		for _, sub := range c.subs {
			describeCommand(&b, "####", sub)
		}
	}
	return b.String()
}

func describeCommand(b *strings.Builder, heading string, c *command) {
	fmt.Fprintf(b, "\n%s %s\n\n", heading, c.label())
	if c.subs == nil {
		fmt.Fprintf(b, "    %s\n\n", strings.TrimSpace(c.label()+" "+c.synopsis))
	}
	b.WriteString(c.summary)
	if c.flags != "" {
		fmt.Fprintf(b, " Flags: %s.", c.flags)
	}
	b.WriteString("\n")
}

// label is the name as people write it: "CLIENT LIST".
func (c *command) label() string {
	return strings.ToUpper(strings.ReplaceAll(c.fullName(), "|", " "))
}
