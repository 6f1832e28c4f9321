package attack

import (
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

var (
	attackFlag  = flag.Bool("attack", false, "make the attacks of TestAttack large; with -v they print a table")
	attackFlags = flag.String("attackserver", "", "more `flags` for the servers that are attacked; they count for more than the attack's own")
)

// An attack is one way to harm a server by its connections. Everything aims at a server that
// the test has started on this machine, and ends by itself.
type attack struct {
	name  string
	flags []string                            // of the server
	start func(t testing.TB) *harness.Process // instead of rlserver with these flags
	fire  func(s *siege)                      // attacks, and leaves nothing of its own behind
	only  bool                                // in the large size only
	// panics is how many handlers are to panic.
	panics func(s *siege) int
}

// attacks are in the order of the table.
var attacks = []attack{
	{name: "slow drip", fire: dripBytes},
	{name: "never reads", flags: deafFlags, fire: neverRead},
	{name: "never reads, usual limits", flags: []string{"--write-timeout", "5"}, fire: neverReadUsualLimits, only: true},
	{name: "long answers", fire: askAtLength},
	{name: "reads slowly", flags: slowFlags, fire: readSlowly},
	{name: "reads slowly, timeout", flags: slowIdleFlags, fire: readSlowly},
	{name: "long pipeline", fire: pipelineFirst},
	{name: "past maxclients", flags: []string{"--maxclients", "200"}, fire: floodPastMaxClients},
	{name: "half open", flags: halfOpenFlags, fire: halfOpen},
	{name: "connect and leave", fire: connectAndLeave},
	{name: "out of descriptors", start: startWithFewDescriptors, fire: exhaustDescriptors},
	{name: "churn", flags: churnFlags, fire: churnAWhile},
	{name: "panics", start: startPanicking, fire: provokePanics, panics: panicsProvoked},
}

// Whatever connections do to a server, honest clients of it are answered, rightly and in
// time, and when it is over nothing is left of it.
func TestAttack(t *testing.T) {
	table := newAttackTable()
	defer table.Print(t.Output())
	for _, one := range attacks {
		t.Run(one.name, func(t *testing.T) {
			if one.only && !*attackFlag {
				t.Skip("a soak: make attack")
			}
			one.besiege(t, table)
		})
	}
}

// A siege is an attack that goes on.
type siege struct {
	t      *testing.T
	p      *harness.Process
	watch  *watch
	before vital
	notes  []string
	errors atomic.Int64
}

// The bounds that hold in every attack.
const (
	// honestWaitMax is for one answer, where times matter. Where they do not, an honest client
	// gives up after honestPatience.
	honestWaitMax = 2 * time.Second
	// attackMax is the longest that an attack may take.
	attackMax = 3 * time.Minute
	// recoveryMax is how long a server may take to become what it was, but for its memory: a
	// process that has nothing to do collects its garbage once in two minutes.
	recoveryMax       = harness.Patience
	memoryRecoveryMax = 150 * time.Second
	recoverySoon      = time.Second
)

// calm is how long honest clients are measured before and after an attack.
func calm() time.Duration { return span(300*time.Millisecond, 3*time.Second) }

// size and span are of the small attack, or of the large one.
func size(small, large int) int {
	if *attackFlag {
		return large
	}
	return small
}

func span(small, large time.Duration) time.Duration {
	if *attackFlag {
		return large
	}
	return small
}

func (a attack) besiege(t *testing.T, table *bench.Table) {
	p := a.serve(t)
	s := &siege{t: t, p: p, watch: startWatch(t, p)}
	began := time.Now()
	honest := startHonest(t, p)
	time.Sleep(calm())
	s.before = s.vital()
	s.watch.reset()
	fired := time.Now()
	a.fire(s)
	over := time.Now()
	peak := s.watch.peak()
	after := s.recover()
	time.Sleep(time.Until(over.Add(calm())))
	s.watch.stop()
	answers := honest.stop()
	phases := [3]latencies{answers.between(began, fired), answers.between(fired, over), answers.between(over, time.Now())}
	s.addTo(table, a.name, over.Sub(fired), phases, [3]vital{s.before, peak, after})
	for i, l := range phases {
		if phase := [...]string{"before", "during", "after"}[i]; len(l) == 0 {
			t.Errorf("no honest client was answered %s the attack", phase)
		} else {
			harness.Within(t, honestWaitMax, l.max(), "the slowest answer to an honest client "+phase+" the attack")
		}
	}
	panics := 0
	if a.panics != nil {
		panics = a.panics(s)
	}
	if after.panics != int64(panics) {
		t.Errorf("%d handlers panicked; want %d", after.panics, panics)
	}
}

func (a attack) serve(t *testing.T) *harness.Process {
	t.Helper()
	if a.start != nil {
		return a.start(t)
	}
	return harness.StartServer(t, slices.Concat(a.flags, strings.Fields(*attackFlags))...)
}

// vital looks at the server now.
func (s *siege) vital() vital {
	s.t.Helper()
	v, err := s.watch.look()
	if err != nil {
		s.t.Fatalf("INFO: %v", err)
	}
	return v
}

// ask sends a command over the watch's connection, which is never idle.
func (s *siege) ask(words ...string) string {
	s.t.Helper()
	reply, err := s.watch.ask(words...)
	if err != nil {
		s.t.Fatalf("%v: %v", words, err)
	}
	return reply
}

// counted is one of the numbers of INFO.
func (s *siege) counted(name string) int64 {
	s.t.Helper()
	n, err := strconv.ParseInt(harness.InfoFields(s.ask("INFO", "everything"))[name], 10, 64)
	if err != nil {
		s.t.Fatalf("INFO: %s: %v", name, err)
	}
	return n
}

// recover waits until the same process is back to what it was, and says how long it had more
// memory than that if it was long.
func (s *siege) recover() vital {
	s.t.Helper()
	for began := time.Now(); ; harness.Pause() {
		now, took := s.vital(), time.Since(began)
		problem := now.differsFrom(s.before)
		most := recoveryMax
		if problem == "" {
			if problem = now.outgrows(s.before); problem == "" {
				if took > recoverySoon {
					s.note("memory back after %.0f s", took.Seconds())
				}
				return now
			}
			most = memoryRecoveryMax
		}
		if took > most {
			s.errorf("%v after the attack %s:\nbefore %+v\nnow    %+v", most, problem, s.before, now)
			return now
		}
	}
}

// waitClients waits until so many connections are left besides those that were there before
// the attack.
func (s *siege) waitClients(more int, most time.Duration) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		now, took := s.vital(), time.Since(began)
		if now.clients == s.before.clients+int64(more) {
			harness.Within(s.t, most, took, "closing connections")
			return
		}
		if took > harness.Patience {
			s.errorf("after %v there are %d connections besides those before the attack; want %d", took, now.clients-s.before.clients, more)
			return
		}
	}
}

// errorf is for what may go wrong on thousands of connections at once: the first say enough.
func (s *siege) errorf(format string, values ...any) {
	s.t.Helper()
	const told = 4
	switch n := s.errors.Add(1); {
	case n <= told:
		s.t.Errorf(format, values...)
	case n == told+1:
		s.t.Error("and so on")
	}
}

// note adds to what the table says of the attack.
func (s *siege) note(format string, values ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, values...))
}

// dial connects for no longer than an attack may take.
func (s *siege) dial() *harness.Conn {
	s.t.Helper()
	c := s.p.Dial()
	_ = c.SetDeadline(time.Now().Add(attackMax))
	return c
}

// dialNarrow connects with a small receive buffer. It has to be small when the connection
// begins: a sender that has seen a large window waits for it to become large again.
func (s *siege) dialNarrow(bytes int) *harness.Conn {
	s.t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		problem := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, bytes)
		})
		if problem != nil {
			return problem
		}
		return err
	}}
	nc, err := dialer.Dial("tcp", s.p.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(attackMax))
	return harness.NewConn(s.t, nc)
}

// parallel runs work for each connection, in a goroutine of its own. The work reports with
// Errorf and not with Fatalf, which is for the test's goroutine only.
func parallel(conns []*harness.Conn, work func(i int, c *harness.Conn)) {
	var working sync.WaitGroup
	for i, c := range conns {
		working.Go(func() { work(i, c) })
	}
	working.Wait()
}

func closeAll(conns []*harness.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
