package replication

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A peer is a node that others can reach.
type peer struct {
	*Node
	dir      string
	port     int
	listener net.Listener
	refused  atomic.Bool
}

func startPeer(t *testing.T, dir string, primary int, appendOnly bool) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &peer{dir: dir, listener: listener, port: listener.Addr().(*net.TCPAddr).Port}
	p.Node = startNode(t, dir, func(o *Options) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
		o.Refuse = func(text string) { p.refused.Store(text != "") }
		o.Tuning.AppendOnly = appendOnly
		o.Tuning.Timeout = 5 * time.Second
		if primary != 0 {
			o.Host, o.Port = "127.0.0.1", primary
		}
	})
	go p.serve()
	p.Listening()
	return p
}

// stop stops the node as a server does.
func (p *peer) stop() error {
	_ = p.listener.Close()
	return p.Close(false)
}

func (p *peer) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.greeted(conn)
	}
}

// greeted speaks the server's part until RL.SYNC comes.
func (p *peer) greeted(conn net.Conn) {
	in := bufio.NewReaderSize(oneByte{conn}, 16)
	for {
		words, err := readCommand(in)
		if err != nil {
			_ = conn.Close()
			return
		}
		if words[0] != "RL.SYNC" {
			_, _ = io.WriteString(conn, "+OK\r\n")
			continue
		}
		version, _ := strconv.Atoi(words[1])
		offset, _ := strconv.ParseInt(words[3], 10, 64)
		p.ServeReplica(ReplicaLink{Conn: conn, IP: "127.0.0.1", Port: 1, Version: version, ID: words[2], Offset: offset})
		return
	}
}

// oneByte reads no more than is asked for, so that nothing behind a command is taken.
type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:1]) }

func readCommand(in *bufio.Reader) (words []string, err error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	for range n {
		if _, err = in.ReadString('\n'); err != nil {
			return nil, err
		}
		if line, err = in.ReadString('\n'); err != nil {
			return nil, err
		}
		words = append(words, strings.TrimSpace(line))
	}
	return words, err
}

// states are all keys that are not at rest at an instant (µs), and what they are.
func (p *peer) states(now int64) map[string]string {
	m := map[string]string{}
	must2(p.dump(func(c *engine.Change) error {
		if _, ok := p.Store.Lookup(c.Key, now); !ok {
			return nil
		}
		m[strings.Clone(c.Key)] = fmt.Sprint(c.Algorithm, c.Word, c.Log.Period, slices.Clone(c.Log.Entries))
		return nil
	}))
	return m
}

func must2(err error) {
	if err != nil {
		panic(err)
	}
}

// change changes a key, if changes are accepted.
func (p *peer) change(random *rand.Rand) {
	if p.refused.Load() {
		return
	}
	a := engine.Algorithms()[random.IntN(3)]
	period := []time.Duration{time.Hour, 2 * time.Hour, time.Minute}[random.IntN(3)]
	limit, _ := engine.NewLimit(1000, period, 1000)
	key := fmt.Sprint("key:", a, random.IntN(50))
	switch random.IntN(500) {
	case 0:
		p.Store.Flush()
	case 1, 2, 3, 4:
		p.Store.Reset(key, p.Now())
	case 5, 6, 7, 8, 9, 10:
		_, _ = p.Store.Refund(key, a, limit, 3, p.Now())
	default:
		_, _ = p.Store.Check(key, a, limit, 1, p.Now())
	}
}

// However roles change, nobody waits for ever, and who follows has at last what its primary has.
func TestRolesInAnyOrder(t *testing.T) {
	const peers, rounds, steps = 3, 3, 25
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	defer time.AfterFunc(4*time.Minute, func() { panic("something waits for ever") }).Stop()
	var all [peers]*peer
	for i := range all {
		all[i] = startPeer(t, t.TempDir(), 0, i != 2)
	}
	for round := range rounds {
		for range steps {
			i, j := random.IntN(peers), random.IntN(peers)
			p := all[i]
			for range random.IntN(300) {
				all[random.IntN(peers)].change(random)
			}
			switch random.IntN(12) {
			case 0, 1:
				must(t, p.Follow("", 0))
			case 2, 3, 4, 5: // itself, too
				must(t, p.Follow("127.0.0.1", all[j].port))
			case 6:
				if err := p.Save(); err != nil && !errors.Is(err, errReplaced) {
					t.Fatal(err)
				}
			case 7:
				tuning := *p.tuning.Load()
				tuning.AppendOnly = !tuning.AppendOnly
				must(t, p.Tune(tuning))
			case 8:
				_ = p.Rewrite()
			case 9:
				p.Commit(func(error) {})
				p.Wait(1, time.Millisecond, func(int) {})
			case 10:
				// A history that changed its name while the log was made anew leaves it incomplete.
				if err := p.stop(); err != nil && !errors.Is(err, errIncomplete) {
					t.Fatal(err)
				}
				primary := 0
				if random.IntN(2) == 0 && i != j {
					primary = all[j].port
				}
				all[i] = startPeer(t, p.dir, primary, random.IntN(2) == 0)
			case 11:
				p.Info("replication", func(string, any) {})
				p.Info("persistence", func(string, any) {})
			}
			time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
		}
		first := random.IntN(peers)
		converge(t, round, all[first], slices.Concat(all[:first], all[first+1:]), random)
	}
}

// converge makes one the primary of the others, and compares.
func converge(t *testing.T, round int, primary *peer, replicas []*peer, random *rand.Rand) {
	t.Helper()
	must(t, primary.Follow("", 0))
	for _, r := range replicas {
		if l := r.link.Load(); l == nil || l.port != primary.port {
			must(t, r.Follow("127.0.0.1", primary.port))
		}
		for range 50 {
			primary.change(random)
		}
	}
	reached := func() bool {
		end := primary.feed.settle()
		for _, r := range replicas {
			if l := r.link.Load(); l.state() != linkConnected || r.feed.end.Load() != end || r.Role().Offset != end {
				return false
			}
		}
		n, _ := primary.replicas.acknowledged(end)
		return n == len(replicas)
	}
	for until := time.Now().Add(20 * time.Second); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			for _, r := range replicas {
				t.Log(r.Role())
			}
			t.Fatal("round", round, "they do not come together:", primary.Role())
		}
	}
	now := primary.Now()
	want := primary.states(now)
	for i, r := range replicas {
		got := r.states(now)
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("round %d, replica %d, %s:\n    has %s\nthe primary %s", round, i, key, got[key], want[key])
			}
		}
		for key := range got {
			if want[key] == "" {
				t.Errorf("round %d, replica %d has %s, and the primary has not", round, i, key)
			}
		}
	}
}
