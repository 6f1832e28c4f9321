package clients

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// The README and the pages below are followed as they stand, but for the port, in a fresh copy of the
// repository: the first block of commands starts the server, and the examples give what the
// page says.
func TestReadmeExamples(t *testing.T) {
	clone := cloneRepository(t)
	ran := map[string]int{}
	for _, page := range []string{"README.md", "docs/GETTING-STARTED.md", "docs/POLICIES.md"} {
		text, err := os.ReadFile(filepath.Join(clone, page))
		if err != nil {
			t.Fatal(err)
		}
		blocks := codeBlocks(string(text))
		first := slices.IndexFunc(blocks, func(b codeBlock) bool { return b.language == "sh" })
		end := startAsWritten(t, clone, blocks[first].code)
		for _, b := range blocks {
			if b.language == "console" {
				for _, step := range consoleSteps(b.code) {
					runConsole(t, clone, step)
					ran["console"]++
				}
			}
			if b.language == "yaml" {
				checkPolicies(t, clone, b.code)
				ran["yaml"]++
			}
			if example, known := examples[b.language]; known {
				runProgram(t, b, example)
				ran[b.language]++
			}
		}
		end()
	}
	for _, language := range []string{"console", "go", "python", "js", "yaml"} {
		if ran[language] == 0 {
			t.Errorf("no example in %s found in the pages", language)
		}
	}
	shell(t, clone, "make clean")
	for _, dir := range []string{"bin", "build"} {
		if _, err := os.Stat(filepath.Join(clone, dir)); err == nil {
			t.Errorf("make clean leaves %s", dir)
		}
	}
}

// cloneRepository copies the repository without what was built.
func cloneRepository(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	root := os.DirFS(harness.Repository())
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case e.Name() == ".git", e.Name() == "bin", e.Name() == "build":
		case e.IsDir():
			sub, _ := fs.Sub(root, e.Name())
			err = errors.Join(err, os.CopyFS(filepath.Join(dir, e.Name()), sub))
		default:
			text, failed := fs.ReadFile(root, e.Name())
			err = errors.Join(err, failed, os.WriteFile(filepath.Join(dir, e.Name()), text, 0o644))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// pagePort is where the pages' server listens in place of 6380.
func pagePort(t *testing.T) string {
	onePort.Do(func() { onePort.number = strconv.Itoa(harness.FreePort(t)) })
	return onePort.number
}

var onePort struct {
	sync.Once
	number string
}

// shell is a shell in the copy, which finds what was built there.
func shell(t *testing.T, dir, commands string) (output string) {
	t.Helper()
	out, _ := shellCommand(t, dir, commands).CombinedOutput() // the exit code is part of what some steps print
	return strings.TrimSpace(string(out))
}

func shellCommand(t *testing.T, dir, commands string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), "bash", "-c", commands)
	c.Dir = dir
	c.Env = append(os.Environ(), "RLSERVER_PORT="+pagePort(t), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	return c
}

// startAsWritten runs the commands that start the server, as in a terminal, and returns what ends it as
// Ctrl-C does.
func startAsWritten(t *testing.T, dir, commands string) (end func()) {
	t.Helper()
	log := &harness.LockedBuffer{}
	c := shellCommand(t, dir, "set -e\n"+commands)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	harness.Eventually(t, "the server serves", func() bool { return strings.Contains(log.String(), `"serving"`) })
	return func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGINT)
		_ = c.Wait() // for the server as well; make and the shell say that they were interrupted
		if !strings.Contains(log.String(), `"msg":"stopped"`) {
			t.Errorf("Ctrl-C did not end it well\n%s", log)
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

func runConsole(t *testing.T, dir string, step consoleStep) {
	t.Helper()
	got := shell(t, dir, strings.ReplaceAll(step.command, "-p 6380", "--no-raw -p "+pagePort(t)))
	if !sameUpToTime(got, strings.TrimSpace(step.want)) {
		t.Errorf("$ %s\nprints\n%s\nand the page says\n%s", step.command, got, step.want)
	}
}

// checkPolicies wants a server to take the settings file of an example.
func checkPolicies(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "example.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := shellCommand(t, dir, "rlserver policy check example.yaml")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("a server would not take this (%v: %s)\n%s", err, out, text)
	}
}

// sameUpToTime compares, and lets numbers above 1000 be up to a hundredth smaller than
// the page's: they are milliseconds, some of which have passed. Where the page has more than a day,
// it is until a date, and may be anything up to a month.
func sameUpToTime(got, want string) bool {
	gotWords, wantWords := strings.Fields(got), strings.Fields(want)
	if len(gotWords) != len(wantWords) {
		return false
	}
	for i, word := range wantWords {
		g, gotErr := strconv.Atoi(gotWords[i])
		w, wantErr := strconv.Atoi(word)
		numbers := gotErr == nil && wantErr == nil
		near := numbers && w > 1000 && g <= w && g >= w-w/100
		until := numbers && w > dayMs && g > 0 && g <= 31*dayMs
		if gotWords[i] != word && !near && !until {
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

func runProgram(t *testing.T, b codeBlock, how struct {
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
	code := strings.ReplaceAll(b.code, "6380", pagePort(t))
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
