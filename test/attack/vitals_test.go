package attack

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// vital is what of a process must be after an attack as it was before.
type vital struct {
	runID      string
	clients    int64
	goroutines int64
	files      int64 // open descriptors, where the system tells them
	rss        int64 // bytes
	panics     int64
}

// The most by which a process may have grown for good once an attack is over. Memory is what
// the garbage collector may keep for later; a leak would be a multiple of it.
const (
	attackGoroutinesMax = 5
	attackFilesMax      = 2
)

func (v vital) differsFrom(before vital) (problem string) {
	switch {
	case v.runID != before.runID:
		return "another process answers"
	case v.clients != before.clients:
		return fmt.Sprintf("there are %d connections and not %d", v.clients, before.clients)
	case v.goroutines > before.goroutines+attackGoroutinesMax:
		return fmt.Sprintf("there are %d goroutines more", v.goroutines-before.goroutines)
	case v.files > before.files+attackFilesMax:
		return fmt.Sprintf("%d descriptors more are open", v.files-before.files)
	}
	return ""
}

// keptMax is the memory that a server may have kept once it has had the time to give it back:
// the 16 MB that a heap that is next to empty may have before it is collected, and the tenth
// more that Go's runtime does not give back, with some for its own books.
const keptMax = 24 << 20

// mayKeep is the memory that it may have kept when an attack is over. A large attack is
// followed by the time that it takes to give back the rest.
func mayKeep() int64 {
	if *attackFlag {
		return keptMax
	}
	return harness.ResidentGrowthMax()
}

func (v vital) outgrows(before vital) (problem string) {
	if v.rss > before.rss+mayKeep() {
		return fmt.Sprintf("%d MB more are resident", (v.rss-before.rss)>>20)
	}
	return ""
}

func parseVital(info map[string]string) (v vital, err error) {
	v.runID = info["run_id"]
	for name, to := range map[string]*int64{
		"connected_clients": &v.clients, "goroutines": &v.goroutines, "used_memory_rss": &v.rss, "handler_panics": &v.panics,
	} {
		if *to, err = strconv.ParseInt(info[name], 10, 64); err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
	}
	return v, nil
}

// openFiles counts the descriptors of a process, or is 0 where the system does not tell.
func openFiles(pid int) int64 {
	entries, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return int64(len(entries))
}

// processorTime is what a process has used so far, or 0 where the system does not tell. The
// system counts in hundredths of a second.
func processorTime(pid int) time.Duration {
	stat, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ") // a name may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// A watch looks at a server all the time, and knows the highest that it has seen.
type watch struct {
	p    *harness.Process
	mu   sync.Mutex // around the connection and what it has brought
	conn *harness.Conn
	high vital
	end  context.CancelFunc
	done sync.WaitGroup
}

// watchPeriod is how often a watch looks.
const watchPeriod = 50 * time.Millisecond

func startWatch(t *testing.T, p *harness.Process) *watch {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	w := &watch{p: p, conn: p.Dial(), end: end}
	w.done.Go(func() {
		for ctx.Err() == nil {
			if _, err := w.look(); err != nil {
				t.Errorf("the watch: %v", err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(watchPeriod):
			}
		}
	})
	t.Cleanup(w.stop)
	return w
}

// look looks now.
func (w *watch) look() (vital, error) {
	reply, err := w.ask("INFO", "everything")
	if err != nil {
		return vital{}, err
	}
	seen, err := parseVital(harness.InfoFields(reply))
	seen.files = openFiles(w.p.Cmd.Process.Pid)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.high = w.high.or(seen)
	return seen, err
}

// ask sends a command, also for others than the watch: the connection is the only one of the test
// that is always there.
func (w *watch) ask(words ...string) (reply string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.conn.SetDeadline(time.Now().Add(honestPatience))
	if _, err := io.WriteString(w.conn, harness.Command(words...)); err != nil {
		return "", err
	}
	return harness.ReadReply(w.conn.Reader)
}

// or is the higher of two in each of the figures.
func (v vital) or(w vital) vital {
	w.clients, w.goroutines, w.files = max(v.clients, w.clients), max(v.goroutines, w.goroutines), max(v.files, w.files)
	w.rss, w.panics = max(v.rss, w.rss), max(v.panics, w.panics)
	return w
}

func (w *watch) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.high = vital{}
}

func (w *watch) peak() vital {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.high
}

// stop ends the looking; the connection stays until the test ends.
func (w *watch) stop() {
	w.end()
	w.done.Wait()
}

// newAttackTable has a row for each attack. Three figures are those before, during and after it; of
// vitals, those during it are the highest.
func newAttackTable() *bench.Table {
	return bench.NewTable("honest clients: p50/p99/max in ms; resident memory in MB", "attack", "before", "during", "after", "checks",
		"memory", "goroutines", "descriptors", "clients", "s", "notes")
}

// addTo adds what was seen of an attack to the table.
func (s *siege) addTo(table *bench.Table, name string, took time.Duration, honest [3]latencies, vitals [3]vital) {
	figures := func(of func(vital) int64) string {
		return fmt.Sprintf("%d/%d/%d", of(vitals[0]), of(vitals[1]), of(vitals[2]))
	}
	table.Add("%s|%s|%s|%s|%d|%s|%s|%s|%s|%.1f|%s", name, honest[0], honest[1], honest[2], len(honest[0])+len(honest[1])+len(honest[2]),
		figures(func(v vital) int64 { return v.rss >> 20 }), figures(func(v vital) int64 { return v.goroutines }),
		figures(func(v vital) int64 { return v.files }), figures(func(v vital) int64 { return v.clients }), took.Seconds(), strings.Join(s.notes, "; "))
}
