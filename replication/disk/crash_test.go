package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rlserver/rlserver/replication/stream"
	"github.com/rlserver/rlserver/test/harness/race"
)

// A child process of these tests ends itself at a step of what it does.
const (
	crashScript = "RLSERVER_TEST_SCRIPT"
	crashDir    = "RLSERVER_TEST_DIR"
	crashAt     = "RLSERVER_TEST_CRASH_AT"
	crashCode   = 42
)

// A script is what a child does. It says how many changes it has begun to make before each,
// and how many must be found after a crash whenever that number rises.
type script struct {
	seed uint64
	run  func(s *scriptRun)
}

type scriptRun struct {
	*writer
	dir string
}

func (s *scriptRun) say(what string, n int) {
	_, _ = fmt.Fprintln(os.Stdout, what, n)
}

// step makes one change, and appends it.
func (s *scriptRun) step(n int) {
	for range n {
		s.say("begun", s.done+1)
		s.append(1)
	}
}

// counted is step where what was appended is in force.
func (s *scriptRun) counted(n int) {
	for range n {
		s.step(1)
		s.say("kept", s.done)
	}
}

// only changes what is in memory.
func (s *scriptRun) only(n int) {
	for range n {
		s.say("begun", s.done+1)
		_, s.at.Offset = s.change()
	}
}

// replaced begins a log, and then all keys go and others come, as by a full sync.
func (s *scriptRun) replaced() {
	s.start()
	s.counted(5)
	s.at = stream.Position{ID: testID(2), Offset: 1 << 40}
	s.say("begun", s.done+scriptEra) // a base with all of them can be there before the next change begins
	s.changeOnly(scriptEra)
}

// endRewritten waits until what was appended counts, and goes on to the end.
func (s *scriptRun) endRewritten() {
	waitForRewrite(s.t, s.d)
	must(s.t, s.d.stats().trouble)
	s.say("kept", s.done)
	s.counted(3)
	must(s.t, s.d.Close())
}

// start opens the directory and turns the log on.
func (s *scriptRun) start() {
	s.open()
	s.begin()
}

func (s *scriptRun) open() {
	s.d = mustOpenAs(s.t, s.dir, SyncAlways)
}

const scriptChanges = 60

var crashScripts = map[string]script{
	"rewrites": {31, func(s *scriptRun) {
		s.start()
		s.counted(8)
		for range 2 {
			must(s.t, s.d.rewrite(s.at, s.live.dump))
			s.counted(4)
			waitForRewrite(s.t, s.d)
			s.counted(4)
		}
		must(s.t, s.d.continueLog(s.at))
		s.counted(2)
		must(s.t, s.d.Save(s.at, s.live.dump))
		must(s.t, s.d.Close())
		s.start()
		s.counted(2)
		must(s.t, s.d.Close())
	}},
	"off and on": {32, func(s *scriptRun) {
		s.start()
		s.counted(5)
		must(s.t, s.d.stopLog())
		s.only(3)
		must(s.t, s.d.Save(s.at, s.live.dump))
		s.say("kept", s.done)
		s.only(3)
		must(s.t, s.d.startLog(s.at, s.live.dump))
		s.step(3)
		waitForRewrite(s.t, s.d)
		s.say("kept", s.done)
		s.counted(2)
		must(s.t, s.d.stopLog())
		s.only(2)
		must(s.t, s.d.Save(s.at, s.live.dump))
		s.say("kept", s.done)
		must(s.t, s.d.Close())
		s.open()
		s.live = newLive()
		s.begin() // from the snapshot
		s.counted(3)
		must(s.t, s.d.Close())
	}},
	"a sync fails": {33, func(s *scriptRun) {
		s.start()
		s.counted(5)
		_ = s.d.syncFailed(s.d.current, errors.New("made up"))
		must(s.t, s.d.rewrite(s.at, s.live.dump))
		s.step(4)
		s.endRewritten()
	}},
	"replaced": {34, func(s *scriptRun) {
		s.replaced()
		must(s.t, s.d.replaceLog(s.at, s.live.dump))
		s.step(4)
		s.endRewritten()
	}},
	"replaced, and taken over": {35, func(s *scriptRun) {
		s.replaced()
		written := make(chan struct{})
		must(s.t, s.d.replaceLog(s.at, behind(written, s.live.dump)))
		s.step(3)
		for id := 3; id < 5; id++ { // before the base is there
			s.at.ID = testID(id)
			must(s.t, s.d.continueLog(s.at))
			s.step(3)
		}
		close(written)
		s.endRewritten()
	}},
}

// scriptEra is how many changes a full sync brings at once.
const scriptEra = 6

func (s script) history(name string) *history {
	h := newHistory(s.seed, scriptChanges, "k")
	if strings.HasPrefix(name, "replaced") { // the sixth change removes all, and the keys after it have other names
		h = newHistory(s.seed, 5, "old")
		after := newHistory(s.seed+1, scriptChanges, "new")
		h.changes = append(append(h.changes, h.changes[0]), after.changes...)
		h.changes[5].Key = ""
		h.states = append(h.states, after.states...)
	}
	return h
}

// TestCrashChild is the child, and nothing by itself.
func TestCrashChild(t *testing.T) {
	name := os.Getenv(crashScript)
	if name == "" {
		t.Skip("only in a child process")
	}
	at, err := strconv.ParseInt(os.Getenv(crashAt), 10, 64)
	must(t, err)
	var steps atomic.Int64
	crashPoint = func(step string) {
		if steps.Add(1) == at {
			fmt.Fprintln(os.Stderr, "crash at:", step)
			os.Exit(crashCode)
		}
	}
	s := crashScripts[name]
	s.run(&scriptRun{newWriter(t, nil, s.history(name)), os.Getenv(crashDir)})
}

// Whenever a process ends, what must be there is there: every key is in a state that it was
// in after the last change that counted, and none is missing or of another time.
func TestCrashAtEveryStep(t *testing.T) {
	for name, s := range crashScripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := s.history(name)
			points := map[string]int{}
			at := 1
			for ; ; at++ {
				if race.Enabled && at%5 != 0 && at > 10 {
					continue
				}
				if crashOnce(t, name, h, at, points) {
					break
				}
			}
			if at < 50 {
				t.Errorf("only %d steps", at)
			}
			t.Logf("%d steps: %v", at-1, points)
		})
	}
}

// crashOnce runs a child up to a step, and looks at what it left. It says whether the child
// reached its end before.
func crashOnce(t *testing.T, name string, h *history, at int, points map[string]int) (ended bool) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCrashChild$")
	cmd.Env = append(os.Environ(), crashScript+"="+name, crashDir+"="+dir, fmt.Sprint(crashAt, "=", at))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != crashCode) {
		t.Fatalf("step %d: %v\n%s%s", at, err, out, stderr.String())
	}
	begun, kept := 0, 0
	for line := range strings.Lines(string(out)) {
		_, _ = fmt.Sscanf(line, "begun %d", &begun)
		_, _ = fmt.Sscanf(line, "kept %d", &kept)
	}
	_, point, _ := strings.Cut(strings.TrimSpace(stderr.String()), "crash at: ")
	points[point]++

	if r, err := Check(dir); err != nil || r.Damaged() {
		t.Fatalf("step %d (%s): check: %+v, %v", at, point, r, err)
	}
	got, loadedAt, err := loadDir(t, dir, true)
	if err != nil {
		t.Fatalf("step %d (%s): %v", at, point, err)
	}
	h.expectBetween(t, fmt.Sprintf("step %d (%s)", at, point), got, kept, begun)
	// And it goes on from there, with nothing left behind.
	w := newWriter(t, mustOpen(t, dir), h)
	if loadedAt.ID != "" {
		w.at = loadedAt
	}
	w.begin()
	left := names(t, dir)
	for _, name := range strings.Fields(left) {
		if _, _, log := parseName(name); strings.HasSuffix(name, temporary) || log && !strings.Contains(strings.Join(w.d.manifest.files(), " "), name) {
			t.Fatalf("step %d (%s): left behind: %s", at, point, left)
		}
	}
	must(t, w.d.Close())
	if !w.live.o.equal(got) {
		t.Fatalf("step %d (%s): another state the second time", at, point)
	}
	expect(t, dir, true, got, w.at)
	return err == nil && exit == nil
}

// expectBetween wants every key in a state that it had after some number of changes, from
// kept to begun. A base that was written while keys changed may be ahead with some of them.
func (h *history) expectBetween(t *testing.T, what string, got oracle, kept, begun int) {
	t.Helper()
	if kept > begun {
		t.Fatalf("%s: kept %d of %d", what, kept, begun)
	}
	keys := map[string]bool{}
	for _, state := range append(h.states[kept:begun+1:begun+1], got) {
		for key := range state {
			keys[key] = true
		}
	}
	for key := range keys {
		found := false
		for _, state := range h.states[kept : begun+1] {
			want, ok := state[key]
			have, has := got[key]
			found = found || ok == has && (!ok || sameChange(want, have))
		}
		if !found {
			t.Fatalf("%s: %s is %+v, which it never was from change %d to %d:\n%+v", what, key, got[key], kept, begun, h.states[kept:begun+1])
		}
	}
	eras := map[string]bool{} // names of keys without their numbers
	for key := range got {
		eras[strings.TrimPrefix(strings.TrimRight(key, "0123456789"), policyPrefix)] = true
	}
	if len(eras) > 1 {
		t.Fatalf("%s: keys of before and after: %+v", what, got)
	}
}

// The scripts pass when nothing crashes, and their histories are what they say.
func TestCrashScripts(t *testing.T) {
	for name, s := range crashScripts {
		h := s.history(name)
		if len(h.states) != len(h.changes)+1 {
			t.Fatalf("%s: %d states of %d changes", name, len(h.states), len(h.changes))
		}
		o := oracle{}
		for i := range h.changes {
			_ = tell(o, &h.changes[i])
			if !o.equal(h.states[i+1]) {
				t.Fatalf("%s: state %d", name, i+1)
			}
		}
	}
}
