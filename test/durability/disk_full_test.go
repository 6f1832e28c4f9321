package durability

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// A smallDisk is a file system of its own, which a test fills. It is mounted in a name space
// of its own too, so that it is gone when the process that keeps that is.
type smallDisk struct {
	t      testing.TB
	dir    string   // as processes inside see it
	enter  []string // runs a program inside
	outer  string   // the same directory, as seen from here
	filler string
}

const smallDiskBytes = 6 << 20

func mountSmallDisk(t testing.TB) *smallDisk {
	t.Helper()
	dir := t.TempDir()
	args, inside := []string{"--mount"}, []string{"--mount"}
	if os.Getuid() != 0 {
		args, inside = append(args, "--map-root-user"), append(inside, "--user", "--preserve-credentials")
	}
	keeper := exec.Command("unshare", append(args, "sh", "-c", fmt.Sprintf(
		"mount -t tmpfs -o size=%d tmpfs %s && echo mounted && exec sleep 600", smallDiskBytes, dir))...)
	keeper.Stderr = os.Stderr
	out, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = keeper.Process.Kill()
		_ = keeper.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
		t.Fatalf("no file system of its own: %q, %v", line, err)
	}
	pid := strconv.Itoa(keeper.Process.Pid)
	outer := filepath.Join("/proc", pid, "root", dir)
	return &smallDisk{t, dir, append([]string{"nsenter", "--target", pid}, inside...), outer, filepath.Join(outer, "filler")}
}

// fill takes all the room that there is.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *smallDisk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler); err != nil {
		d.t.Fatal(err)
	}
}

// newNode makes a node whose directory is on the small disk.
func (d *smallDisk) newNode(flags ...string) *harness.Node {
	n := harness.NewNode(d.t, flags...)
	n.Dir, n.Through = d.dir, d.enter
	return n
}

func isMisconf(reply harness.Value) bool { return strings.HasPrefix(reply.Text, "MISCONF ") }

// A disk that is full: changes are refused with an error that says why, or go on in memory
// with an alarm; questions are answered; it ends by itself; and what was acknowledged is
// there after a kill.
func TestDiskFull(t *testing.T) {
	const workers = 10
	for _, c := range []struct{ fsync, failure string }{
		{"always", "error"}, {"everysec", "error"}, {"no", "error"}, {"always", "memory"}, {"everysec", "memory"},
	} {
		t.Run(c.fsync+" "+c.failure, func(t *testing.T) {
			t.Parallel()
			disk := mountSmallDisk(t)
			n := disk.newNode("--appendonly", "yes", "--appendfsync", c.fsync, "--on-disk-failure", c.failure, "--auto-aof-rewrite-percentage", "0")
			n.Start()
			rng := rand.New(rand.NewPCG(1, 0))
			l := newLedger(rng, 0)
			expected := isMisconf
			if c.failure == "memory" {
				expected = nil
			}
			all := startLoadThat(n, l, rng, workers, expected)
			time.Sleep(100 * time.Millisecond)
			disk.fill()
			n.AwaitField("aof_last_write_status", "err")
			if c.failure == "error" {
				awaitRefusal(n)
			}
			whileFull(n, c.failure)
			if c.failure == "error" { // a worker that was answered MISCONF waits
				all.finish(t)
			}
			if got := n.Ask("RL.PEEK", "spread:token_bucket:0", "token_bucket", "10", ledgerPeriod); len(got.Parts) != 6 {
				t.Errorf("RL.PEEK: %+v", got)
			}
			disk.free()
			n.AwaitField("aof_last_write_status", "ok")
			if c.failure == "error" {
				n.AwaitThat("changes are accepted", func() bool { _, err := n.Check("after", "token_bucket", 10, 1); return err == nil })
				all = startLoad(n, l, rng, workers)
				time.Sleep(100 * time.Millisecond)
			}
			sum := all.finish(t)
			if c.fsync != "always" || c.failure == "memory" { // which may be in memory only for a moment
				time.Sleep(everySecond + 500*time.Millisecond)
			}
			n.Kill()
			if strings.Count(n.Log.String(), "ERROR") == 0 {
				t.Errorf("the log has no error:\n%s", n.Log)
			}
			n.Start()
			l.judge(n, time.Now(), time.Time{})
			t.Logf("%d units were admitted at the end, of %d commands; %d of %d keys are at their limit", sum.admitted, sum.commands, l.full(), len(l.counted))
		})
	}
}

// awaitRefusal waits until changes are refused before they are made. With appendfsync always
// those before that were made in memory, answered with an error, and may be on disk later.
func awaitRefusal(n *harness.Node) {
	n.T.Helper()
	n.AwaitThat("changes are refused at once", func() bool {
		_, err := n.Check("refused", "token_bucket", 1000, 1)
		return err != nil && strings.Contains(err.Error(), "MISCONF Changes are refused")
	})
}

// whileFull asks while there is no room.
func whileFull(n *harness.Node, failure string) {
	n.T.Helper()
	got, err := n.Check("during", "leaky_bucket", 10, 1)
	switch failure {
	case "error":
		if err == nil || !strings.Contains(err.Error(), "MISCONF") || !strings.Contains(err.Error(), "no space left") {
			n.T.Errorf("a change was answered %v %v; want MISCONF and why", got, err)
		}
		for _, words := range [][]string{{"RL.RESET", "k"}, {"FLUSHALL"}, {"RL.REFUND", "k", "token_bucket", "10", "60"}} {
			n.MustFail("MISCONF ", words...)
		}
	case "memory":
		if err != nil || got[0] != 1 {
			n.T.Errorf("a change was answered %v %v", got, err)
		}
		n.AwaitThat("there is an alarm in the log", func() bool { return strings.Contains(n.Log.String(), "ALARM") })
	}
	for _, words := range [][]string{{"PING"}, {"RL.PEEK", "k", "token_bucket", "10", "60"}, {"TTL", "k"}, {"SCAN", "0"}, {"CONFIG", "GET", "save"}} {
		if reply := n.Ask(words...); reply.Kind == '-' {
			n.T.Errorf("%q was answered %q", words, reply.Text)
		}
	}
	if why := n.Field("aof_last_write_error"); !strings.Contains(why, "no space left") {
		n.T.Errorf("INFO gives as the reason %q", why)
	}
}

// A server that is killed while the disk is full starts when there is room, and has what it
// had acknowledged; and while there is none it says why it does not.
func TestDiskFullKilled(t *testing.T) {
	const workers = 10
	disk := mountSmallDisk(t)
	n := disk.newNode("--appendonly", "yes", "--appendfsync", "always")
	n.Start()
	rng := rand.New(rand.NewPCG(1, 0))
	l := newLedger(rng, 0)
	var refused atomic.Bool
	all := startLoadThat(n, l, rng, workers, func(reply harness.Value) bool {
		misconf := isMisconf(reply)
		if misconf {
			refused.Store(true)
		}
		return misconf
	})
	time.Sleep(100 * time.Millisecond)
	disk.fill()
	n.AwaitThat("a worker is refused", refused.Load)
	n.Kill()
	sum := all.end(t)
	n.Launch()
	select {
	case <-n.Done:
		if n.Err == nil || !strings.Contains(n.Log.String(), "no space left") {
			t.Errorf("it ended with %v and does not say why:\n%s", n.Err, n.Log)
		}
	case <-time.After(2 * time.Second):
		l.judge(n, time.Now(), time.Time{})
		n.Kill()
	}
	disk.free()
	n.Start()
	l.judge(n, time.Now(), time.Time{})
	t.Logf("%d units were admitted, %d questions refused", sum.admitted, sum.refused)
}
