package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// The examples of the README and of docs/GETTING-STARTED.md are run as they stand there, but
// for the port, against a server that was just started, and must give what the page says.
func TestReadmeExamples(t *testing.T) {
	var text []byte
	for _, page := range []string{"README.md", "docs/GETTING-STARTED.md"} {
		read, err := os.ReadFile(filepath.Join(harness.Repository(), page))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, read...)
	}
	p := harness.StartServer(t)
	blocks := codeBlocks(string(text))
	ran := map[string]int{}
	for _, b := range blocks {
		if b.language == "console" {
			for _, step := range consoleSteps(b.code) {
				runConsole(t, p, step)
				ran["console"]++
			}
		}
		if example, known := examples[b.language]; known {
			runProgram(t, p, b, example)
			ran[b.language]++
		}
	}
	for _, language := range []string{"console", "go", "python", "js"} {
		if ran[language] == 0 {
			t.Errorf("no example in %s found in the pages", language)
		}
	}
}

type codeBlock struct {
	language, code string
	after          string // the text behind it
}

var blockPattern = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```\n")

func codeBlocks(text string) []codeBlock {
	var blocks []codeBlock
	for _, m := range blockPattern.FindAllStringSubmatchIndex(text, -1) {
		blocks = append(blocks, codeBlock{text[m[2]:m[3]], text[m[4]:m[5]], text[m[1]:]})
	}
	return blocks
}

// A consoleStep is a command line and what it prints.
type consoleStep struct{ command, want string }

func consoleSteps(code string) []consoleStep {
	var steps []consoleStep
	for line := range strings.Lines(code) {
		if command, found := strings.CutPrefix(line, "$ "); found {
			steps = append(steps, consoleStep{command: strings.TrimSpace(command)})
		} else {
			steps[len(steps)-1].want += line
		}
	}
	return steps
}

func runConsole(t *testing.T, p *harness.Process, step consoleStep) {
	t.Helper()
	line := strings.ReplaceAll(step.command, "-p 6380", "--no-raw -p "+strconv.Itoa(p.Port))
	shell := exec.Command("sh", "-c", line)
	shell.Env = append(os.Environ(), "RLSERVER_PORT="+strconv.Itoa(p.Port), "PATH="+filepath.Dir(harness.Binary(t))+":"+os.Getenv("PATH"))
	out, _ := shell.CombinedOutput() // the exit code is part of what some steps print
	if got := strings.TrimSpace(string(out)); !sameUpToTime(got, strings.TrimSpace(step.want)) {
		t.Errorf("$ %s\nprints\n%s\nand the page says\n%s", step.command, got, step.want)
	}
}

// sameUpToTime compares, and lets numbers above 1000 be up to a hundredth smaller than
// the page's: they are milliseconds, some of which have passed.
func sameUpToTime(got, want string) bool {
	gotWords, wantWords := strings.Fields(got), strings.Fields(want)
	if len(gotWords) != len(wantWords) {
		return false
	}
	for i, word := range wantWords {
		g, gotErr := strconv.Atoi(gotWords[i])
		w, wantErr := strconv.Atoi(word)
		near := gotErr == nil && wantErr == nil && w > 1000 && g <= w && g >= w-w/100
		if gotWords[i] != word && !near {
			return false
		}
	}
	return true
}

// examples says how to run an example of each language.
var examples = map[string]struct {
	file string
	run  []string
	dir  string
}{
	"go":     {"main.go", []string{"go", "run"}, "build/readme"},
	"python": {"example.py", []string{"build/python/bin/python"}, "build/readme"},
	"js":     {"example.mjs", []string{"node"}, "build/node"}, // where node finds the client
}

var saysPrints = regexp.MustCompile("^\\s*prints `([^`]*)`")

func runProgram(t *testing.T, p *harness.Process, b codeBlock, how struct {
	file string
	run  []string
	dir  string
}) {
	t.Helper()
	said := saysPrints.FindStringSubmatch(b.after)
	if said == nil {
		t.Errorf("the page does not say what its example in %s prints", b.language)
		return
	}
	code := strings.ReplaceAll(b.code, "6380", strconv.Itoa(p.Port))
	if code == b.code {
		t.Errorf("the example in %s does not use port 6380", b.language)
	}
	file := filepath.Join(how.dir, how.file)
	if err := os.MkdirAll(filepath.Join(harness.Repository(), how.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(harness.Repository(), file), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	program := exec.Command(how.run[0], append(how.run[1:], file)...)
	program.Dir = harness.Repository()
	out, err := program.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != said[1] {
		t.Errorf("the example in %s prints %q (%v), and the page says %q", b.language, got, err, said[1])
	}
}
