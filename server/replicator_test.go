package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/server/config"
)

// A ledger is a Replicator whose disk and replicas do what a test says, when it says so.
type ledger struct {
	holds     atomic.Bool
	commits   atomic.Int64
	abandoned atomic.Int32     // WAITs
	links     chan ReplicaLink // that ServeReplica has got; it returns when the link's peer leaves
	mu        sync.Mutex
	stuck     bool // commits wait for release
	err       error
	waiting   []func(error)
	waits     []func(int) // callbacks of WAIT
	role      Role
	saveErr   error
	saving    chan struct{} // SAVE ends when it is closed; nil: at once
	lastWait  [2]int64      // replicas and timeout (ms)
}

func newLedger() *ledger {
	l := &ledger{links: make(chan ReplicaLink, 10)}
	l.holds.Store(true)
	return l
}

func (l *ledger) Holds() bool { return l.holds.Load() }

func (l *ledger) Commit(done func(error)) {
	l.commits.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stuck {
		l.waiting = append(l.waiting, done)
		return
	}
	err := l.err
	time.AfterFunc(time.Millisecond, func() { done(err) })
}

// stick has commits wait until release, which ends all of them with err, and those to come.
func (l *ledger) stick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck = true
}

func (l *ledger) release(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stuck, l.err = false, err
	for _, done := range l.waiting {
		go done(err)
	}
	l.waiting = nil
}

// releaseHeld ends the commits that wait, and no others.
func (l *ledger) releaseHeld() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, done := range l.waiting {
		go done(nil)
	}
	l.waiting = nil
}

func (l *ledger) held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

func (l *ledger) Follow(host string, port int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if host == "unreachable" {
		return errors.New("no way there")
	}
	l.role = Role{Replica: host != "", Host: host, Port: port, State: "connect", Offset: l.role.Offset}
	return nil
}

func (l *ledger) Role() Role {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.role
}

func (l *ledger) Wait(replicas int, timeout time.Duration, done func(int)) (abandon func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastWait = [2]int64{int64(replicas), timeout.Milliseconds()}
	l.waits = append(l.waits, done)
	return func() { l.abandoned.Add(1) }
}

// acknowledge ends every WAIT.
func (l *ledger) acknowledge(replicas int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, done := range l.waits {
		go done(replicas)
	}
	l.waits = nil
}

func (l *ledger) waitsUnderWay() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waits)
}

func (l *ledger) ServeReplica(link ReplicaLink) {
	l.links <- link
	_, _ = io.Copy(io.Discard, link.Conn)
	_ = link.Conn.Close()
}

func (l *ledger) Save() error {
	if l.saving != nil {
		<-l.saving
	}
	return l.saveErr
}

func (l *ledger) BackgroundSave() error { return l.saveErr }
func (l *ledger) Rewrite() error        { return l.saveErr }
func (l *ledger) LastSave() int64       { return 1_700_000_000 }
func (l *ledger) Info(section string, add func(name string, value any)) {
	add("section_of_the_ledger", section)
}

// A served is a server of this process.
type served struct {
	*Server
	t     *testing.T
	addr  string
	stop  context.CancelFunc
	ended chan error
}

// ledgerSettings are the settings that tests change of what a ledger does. Without a ledger they
// do nothing.
type ledgerSettings struct {
	appendOnly  bool
	fsync, save string
	ledger      *ledger
}

func (l *ledgerSettings) Settings() []config.Setting {
	return config.In(config.Persistence, []config.Setting{
		{Name: config.NameAppendOnly, Field: config.Bool(&l.appendOnly), Default: "no", Live: true},
		{Name: "appendfsync", Field: config.OneOf(&l.fsync, "always", "everysec"), Default: "everysec", Live: true},
		{Name: "save", Field: config.Text(&l.save, "anything"), Live: true},
	})
}

func (l *ledgerSettings) Copy() config.Section { other := *l; return &other }

func (l *ledgerSettings) Apply() error {
	if l.ledger != nil && l.appendOnly {
		l.ledger.holds.Store(l.fsync == "always")
	}
	return nil
}

// eachCarrier runs a test on an event loop and on goroutines.
func eachCarrier(t *testing.T, test func(t *testing.T, loops int)) {
	t.Parallel() // the tests wait more than they work
	for name, loops := range map[string]int{"event loop": 1, "goroutines": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, loops)
		})
	}
}

// startServed serves with a ledger from a limiter, nil being a store, until the test ends.
func startServed(t *testing.T, loops int, l *ledger, limiter Limiter, prepare ...func(*Server)) *served {
	t.Helper()
	if limiter == nil {
		limiter = newStore(t)
	}
	cfg := config.Default(&ledgerSettings{ledger: l})
	cfg.Port, cfg.EventLoops, cfg.ShutdownTimeout = config.PortAuto, loops, time.Hour
	s := New(cfg, limiter, slog.New(slog.DiscardHandler), new(slog.LevelVar), "test")
	if l != nil {
		if err := s.Replicate(l); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range prepare {
		one(s)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	sv := &served{s, t, s.Addrs()[0].String(), stop, make(chan error, 1)}
	go func() { sv.ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		if l != nil {
			l.release(nil) // also after a failure
		}
		stop()
		sv.hasEnded()
	})
	return sv
}

// hasEnded waits for the end of the server, which is to be without an error. It may be called again.
func (s *served) hasEnded() {
	s.t.Helper()
	if err := <-s.ended; err != nil {
		s.t.Errorf("the server ended with %v", err)
	}
	s.ended <- nil
}

// A peer is a connection to it. It waits for replies as long as the test may take: how busy the
// machine is decides nothing.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *served) dial() *peer {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	return &peer{s.t, nc, bufio.NewReader(nc)}
}

// send sends commands, one a line, in one write.
func (p *peer) send(lines ...string) {
	p.t.Helper()
	var all strings.Builder
	for _, line := range lines {
		words := strings.Fields(line)
		fmt.Fprintf(&all, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&all, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := io.WriteString(p, all.String()); err != nil {
		p.t.Fatal(err)
	}
}

// read is the next reply, its parts with spaces between them; or how reading ended.
func (p *peer) read() string {
	line, err := p.r.ReadString('\n')
	if err != nil {
		return "(" + err.Error() + ")"
	}
	line = strings.TrimSpace(line)
	n, _ := strconv.Atoi(line[1:])
	switch {
	case line[0] == '$' && n >= 0:
		body := make([]byte, n+2)
		if _, err := io.ReadFull(p.r, body); err != nil {
			return "(" + err.Error() + ")"
		}
		return string(body[:n])
	case line[0] == '*':
		var parts []string
		for range n {
			parts = append(parts, p.read())
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return line
}

func (p *peer) expect(want ...string) {
	p.t.Helper()
	for i, one := range want {
		if got := p.read(); got != one && (!strings.HasSuffix(one, "…") || !strings.HasPrefix(got, strings.TrimSuffix(one, "…"))) {
			p.t.Fatalf("reply %d is %q, want %q", i+1, got, one)
		}
	}
}

func (p *peer) ask(line string, want ...string) {
	p.t.Helper()
	p.send(line)
	p.expect(want...)
}

// expectNothing: no byte comes for a while.
func (p *peer) expectNothing() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
	if b, err := p.r.ReadByte(); err == nil {
		_ = p.r.UnreadByte()
		p.t.Fatalf("%q was sent, and then %q", b, p.read())
	}
	_ = p.SetReadDeadline(time.Time{})
}

// eventually waits for a condition, as long as the test may take.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for start := time.Now(); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("waited in vain for " + what)
		}
	}
}
