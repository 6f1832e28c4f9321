package durability

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// keptLimit is the limit of the keys of these tests.
const keptLimit = 100

// take has each algorithm admit some units of a key that is named after it.
func take(n *harness.Node, units int) {
	n.T.Helper()
	for _, a := range harness.Algorithms() {
		if got, err := n.Check("kept:"+a, a, keptLimit, units); err != nil || got[0] != 1 {
			n.T.Fatalf("taking %d of kept:%s: %v %v\n%s", units, a, got, err, n.Log)
		}
	}
}

// mustHaveTaken wants so many units of these keys to be taken.
func mustHaveTaken(n *harness.Node, units int) {
	n.T.Helper()
	for _, a := range harness.Algorithms() {
		if got := keptLimit - int(n.Remaining("kept:"+a, a, keptLimit)); got != units {
			n.T.Errorf("of kept:%s %d units are taken; want %d\n%s", a, got, units, n.Log)
		}
	}
}

// What an orderly end leaves for the next start: what is in the append-only file, and a
// snapshot if save is set or SHUTDOWN says so.
func TestOrderlyEnd(t *testing.T) {
	term := func(n *harness.Node) { n.End(syscall.SIGTERM) }
	shutdown := func(words ...string) func(*harness.Node) {
		return func(n *harness.Node) {
			_, _ = n.Try(append([]string{"SHUTDOWN"}, words...)...) // answered by the end
			select {
			case <-n.Done:
			case <-time.After(harness.Patience):
				n.T.Fatalf("SHUTDOWN %v: it still runs\n%s", words, n.Log)
			}
			if n.Err != nil {
				n.T.Errorf("SHUTDOWN %v: it ended with %v\n%s", words, n.Err, n.Log)
			}
		}
	}
	for _, c := range []struct {
		name  string
		flags string
		end   func(*harness.Node)
		kept  bool
	}{
		{"memory only, SIGTERM", "", term, false},
		{"memory only, SHUTDOWN", "", shutdown(), false},
		{"memory only, SHUTDOWN SAVE", "", shutdown("SAVE"), true},
		{"save, SIGTERM", "--save|3600 1", term, true},
		{"save, SHUTDOWN", "--save|3600 1", shutdown(), true},
		{"save, SHUTDOWN NOSAVE", "--save|3600 1", shutdown("NOSAVE"), false},
		{"save, killed", "--save|3600 1", (*harness.Node).Kill, false},
		{"log, SIGTERM", "--appendonly|yes", term, true},
		{"log, SHUTDOWN NOSAVE", "--appendonly|yes", shutdown("NOSAVE"), true},
		{"log with no, SHUTDOWN", "--appendonly|yes|--appendfsync|no", shutdown(), true},
		{"log and save, SIGTERM", "--appendonly|yes|--save|3600 1", term, true},
		{"log and save, SHUTDOWN SAVE", "--appendonly|yes|--save|3600 1", shutdown("SAVE"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := harness.NewNode(t)
			if c.flags != "" {
				n.Flags = strings.Split(c.flags, "|")
			}
			n.Start()
			take(n, 7)
			c.end(n)
			n.Start()
			if !c.kept {
				mustHaveTaken(n, 0)
				return
			}
			mustHaveTaken(n, 7)
			take(n, 3) // and once more, on what was loaded
			c.end(n)
			n.Start()
			mustHaveTaken(n, 10)
		})
	}
}

// Snapshots are written when save says so, and by SAVE and BGSAVE; what came after the last
// one is forgotten by a kill, and LASTSAVE tells when that was.
func TestSnapshots(t *testing.T) {
	n := harness.StartNode(t, "--save", "1 3")
	take(n, 5)
	n.AwaitThat("a snapshot is there", func() bool { return n.Count("rdb_saves") > 0 })
	if age := time.Now().Unix() - n.Count("rdb_last_save_time"); age < 0 || age > 10 {
		t.Errorf("rdb_last_save_time is %d s ago", age)
	}
	n.Kill()
	n.Start("--save", "3600 1")
	mustHaveTaken(n, 5)
	take(n, 1)
	n.MustSay("OK", "SAVE")
	take(n, 1)
	n.Kill()
	n.Start("--save", "3600 1")
	mustHaveTaken(n, 6)
	take(n, 1)
	n.MustSay("Background saving started", "BGSAVE")
	n.AwaitField("rdb_bgsave_in_progress", "0")
	n.AwaitField("rdb_changes_since_last_save", "0")
	take(n, 1)
	n.Kill()
	n.Start("--save", "")
	mustHaveTaken(n, 7)
}

// The append-only file can be turned on in a server that has keys. It counts as soon as it
// has them all, and then everything is there after a kill.
func TestAppendOnlyTurnedOn(t *testing.T) {
	n := harness.StartNode(t, "--appendfsync", "always")
	c := n.Dial()
	c.Fill("before:", "token_bucket", 20_000)
	take(n, 4)
	n.MustSay("OK", "CONFIG", "SET", "appendonly", "yes")
	take(n, 4)
	n.AwaitField("aof_rewrite_in_progress", "0")
	if n.Field("aof_enabled") != "1" || n.Field("aof_last_bgrewrite_status") != "ok" {
		t.Errorf("INFO: %s", n.Ask("INFO", "persistence").Text)
	}
	c.Fill("after:", "sliding_window_log", 1000)
	take(n, 4)
	n.Kill()
	n.Start("--appendonly", "yes")
	mustHaveTaken(n, 12)
	if keys, want := n.Ask("DBSIZE").Text, fmt.Sprint(21_000+len(harness.Algorithms())); keys != want {
		t.Errorf("there are %s keys; want %s", keys, want)
	}
}

// Only one process uses a directory; another one is told which one does, and leaves no trace.
func TestTwoProcessesOneDirectory(t *testing.T) {
	n := harness.StartNode(t, "--appendonly", "yes", "--appendfsync", "always")
	take(n, 2)
	for _, flags := range [][]string{{"--appendonly", "yes"}, {"--save", "3600 1"}} {
		args := append([]string{"serve", "--port", strconv.Itoa(harness.FreePort(t)), "--dir", n.Dir}, flags...)
		out, err := exec.Command(harness.Binary(t), args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "in use by another process, process "+strconv.Itoa(n.Cmd.Process.Pid)) ||
			!strings.Contains(string(out), n.Dir) {
			t.Errorf("a second process with %v ended with %v:\n%s", flags, err, out)
		}
	}
	for _, words := range [][]string{{"check", n.Dir}, {"repair", n.Dir, "--yes"}} {
		if out, code := aof(t, words...); code != 2 || !strings.Contains(out, "in use by another process") {
			t.Errorf("aof %v ended with %d:\n%s", words, code, out)
		}
	}
	take(n, 2)
	n.Kill()
	n.Start()
	mustHaveTaken(n, 4)
}

// aof runs rlserver aof, and returns what it prints and its exit code.
func aof(t testing.TB, words ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), append([]string{"aof"}, words...)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// A server does not start on files that are damaged. It says which one and where, and what
// to do; aof check says the same, and aof repair cuts there, keeps what it has cut, and lets
// the server start with what came before.
func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name    string
		pattern string // of the file, the last in order
		flags   []string
		damage  func(content []byte) []byte
		kept    int // units that are taken after the repair, or −1: not known
	}{
		{"a byte of the base", "appendonly.*.base", nil, flipMiddle, -1},
		{"a base cut short", "appendonly.*.base", nil, cutMiddle, -1},
		{"a byte of an increment", "appendonly.*.incr", nil, flipMiddle, -1},
		{"the manifest", "appendonly.manifest", nil, flipMiddle, 8},
		{"the snapshot", "dump.rls", []string{"--appendonly", "no", "--save", ""}, flipMiddle, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := harness.StartNode(t, "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
			n.Dial().Fill("base:", "sliding_window_log", 3000)
			take(n, 4)
			n.MustSay("Background append only file rewriting started", "BGREWRITEAOF")
			n.AwaitField("aof_rewrite_in_progress", "0")
			n.MustSay("OK", "SAVE")
			take(n, 4)
			for i := range 30 { // frames behind the damage
				n.Dial().Fill(fmt.Sprintf("more:%d:", i), "token_bucket", 10)
			}
			n.Kill()
			n.Flags = append(n.Flags, c.flags...)
			path := damage(n, c.pattern, c.damage)
			n.Launch()
			<-n.Done
			said := n.Log.String()
			if n.Err == nil {
				t.Errorf("it ended well:\n%s", said)
			}
			for _, want := range []string{path, "damaged at byte ", "rlserver aof check " + n.Dir, "rlserver aof repair " + n.Dir} {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			out, code := aof(t, "check", n.Dir)
			if code != 1 || !strings.Contains(out, filepath.Base(path)) {
				t.Errorf("aof check ended with %d:\n%s", code, out)
			}
			before, _ := os.ReadFile(path)
			if out, code = aof(t, "repair", n.Dir); code != 1 || !strings.Contains(out, "Nothing has been changed") {
				t.Errorf("aof repair without --yes ended with %d:\n%s", code, out)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("aof repair without --yes has changed the file")
			}
			out, code = aof(t, "repair", n.Dir, "--yes")
			t.Logf("aof repair:\n%s", out)
			copies, _ := filepath.Glob(filepath.Join(n.Dir, "*.cut-from-*"))
			// The manifest is made from the files, and nothing of it is worth keeping.
			if code != 0 || len(copies) == 0 && c.kept < 0 {
				t.Errorf("aof repair --yes ended with %d and has kept %v:\n%s", code, copies, out)
			}
			if out, code = aof(t, "check", n.Dir); code != 0 {
				t.Errorf("aof check ended with %d after the repair:\n%s", code, out)
			}
			n.Start()
			if keys := n.Ask("DBSIZE"); keys.Text == "0" && c.name != "the snapshot" { // it had few frames
				t.Error("after the repair there are no keys")
			}
			if c.kept >= 0 {
				mustHaveTaken(n, c.kept)
			}
			take(n, 1)
		})
	}
}

// damage changes a file of the node's directory, and returns its path.
func damage(n *harness.Node, pattern string, change func([]byte) []byte) string {
	n.T.Helper()
	paths, err := filepath.Glob(filepath.Join(n.Dir, pattern))
	if err != nil || len(paths) == 0 {
		n.T.Fatalf("there is no %s: %v", pattern, err)
	}
	path := paths[len(paths)-1]
	content, err := os.ReadFile(path)
	if err != nil {
		n.T.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		n.T.Fatal(err)
	}
	return path
}

func flipMiddle(content []byte) []byte {
	content[len(content)/2] ^= 0x10
	return content
}

func cutMiddle(content []byte) []byte { return content[:len(content)/2] }
