package replication

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// A link is a way to a server that a test makes worse: it delays, narrows, cuts, holds back or
// refuses. It does the same to bytes in both directions.
type link struct {
	to       string
	port     int
	listener net.Listener

	mu      sync.Mutex
	weather weather
	cuts    int // how often it has been cut
	lost    int // packets that were cut by that
	pairs   map[*linkPair]struct{}
	closed  bool
}

// The weather on a link.
type weather struct {
	delay  time.Duration // of every packet
	rate   int           // bytes a second; 0 is no bound
	hole   bool          // nothing passes, and neither side is told
	refuse bool          // connections end as soon as they begin
}

// A linkPair is a connection through a link.
type linkPair struct {
	near, far net.Conn
	cut       bool // the next packet is carried in part, and then no more
}

// linkPacket is how much is carried at once, in bytes.
const linkPacket = 4096

// cutPatience is how long a cut waits for a packet to cut.
const cutPatience = 30 * time.Millisecond

// startLink makes a link to an address, on a port of its own.
func startLink(t testing.TB, to string) *link {
	t.Helper()
	listener, port := harness.ListenFree(t)
	l := &link{to: to, port: port, listener: listener, pairs: map[*linkPair]struct{}{}}
	go l.accept(listener)
	t.Cleanup(l.close)
	return l
}

// down has the link refuse connections as the host of a dead server does, until up.
func (l *link) down() {
	_ = l.listener.Close()
	l.cut()
}

func (l *link) up(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)))
	if err != nil {
		t.Fatal(err)
	}
	l.listener = listener
	go l.accept(listener)
}

func (l *link) accept(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go l.connect(near)
	}
}

func (l *link) connect(near net.Conn) {
	l.await()
	if l.now().refuse {
		_ = near.Close()
		return
	}
	far, err := net.DialTimeout("tcp", l.to, 5*time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	p := &linkPair{near: near, far: far}
	l.mu.Lock()
	l.pairs[p] = struct{}{}
	closed := l.closed
	l.mu.Unlock()
	if closed {
		l.end(p)
		return
	}
	go l.carry(p, near, far)
	go l.carry(p, far, near)
}

// carry carries one direction of a connection until it ends.
func (l *link) carry(p *linkPair, from, to net.Conn) {
	defer l.end(p)
	packet := make([]byte, linkPacket)
	for {
		n, err := from.Read(packet)
		if n > 0 {
			w := l.now()
			pause := w.delay
			if w.rate > 0 {
				pause += time.Duration(n) * time.Second / time.Duration(w.rate)
			}
			time.Sleep(pause)
			l.await()
			l.mu.Lock()
			cut := p.cut
			if cut {
				l.lost++
			}
			l.mu.Unlock()
			if cut {
				_, _ = to.Write(packet[:n/2])
				return
			}
			if _, err := to.Write(packet[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// await waits while there is a hole. What is held back when it closes goes on: a network
// that drops packets repeats them.
func (l *link) await() {
	for l.now().hole {
		time.Sleep(2 * time.Millisecond)
	}
}

func (l *link) now() weather {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return weather{refuse: true}
	}
	return l.weather
}

func (l *link) set(w weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.weather = w
}

func (l *link) end(p *linkPair) {
	_, _ = p.near.Close(), p.far.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// cut cuts all connections, in the middle of the next packet if one comes soon.
func (l *link) cut() {
	l.mu.Lock()
	var list []*linkPair
	for p := range l.pairs {
		p.cut = true
		list = append(list, p)
	}
	l.cuts++
	l.mu.Unlock()
	time.Sleep(cutPatience)
	for _, p := range list {
		l.end(p)
	}
}

// counted is how often it was cut, and how many packets were cut by that.
func (l *link) counted() (cuts, packets int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts, l.lost
}

func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.listener.Close()
	l.cut()
}

// trouble makes the link worse in one way or another, for a while, and says how. The longest
// is longer than timeout.
func (l *link) trouble(rng *rand.Rand, timeout time.Duration) string {
	defer l.set(weather{})
	span := time.Duration(rng.Int64N(int64(700 * time.Millisecond)))
	switch kind := rng.IntN(7); kind {
	case 0:
		l.cut()
		return "cut"
	case 1:
		w := weather{delay: time.Duration(1+rng.IntN(40)) * time.Millisecond}
		l.set(w)
		time.Sleep(2 * span)
		return fmt.Sprintf("delay of %v for %v", w.delay, 2*span)
	case 2:
		w := weather{rate: 20_000 << rng.IntN(6)}
		l.set(w)
		time.Sleep(2 * span)
		return fmt.Sprintf("%d bytes a second for %v", w.rate, 2*span)
	case 3:
		l.set(weather{hole: true})
		time.Sleep(span)
		return fmt.Sprintf("hole for %v", span)
	case 4:
		l.set(weather{hole: true})
		time.Sleep(timeout + span)
		return fmt.Sprintf("hole for %v", timeout+span)
	case 5:
		times := 3 + rng.IntN(10)
		for range times {
			l.cut()
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		}
		return fmt.Sprintf("%d cuts", times)
	default:
		l.set(weather{refuse: true})
		l.cut()
		time.Sleep(2 * span)
		return fmt.Sprintf("cut, and connections refused for %v", 2*span)
	}
}
