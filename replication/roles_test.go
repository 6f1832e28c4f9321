package replication

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/replication/stream"
)

// A network connects peers in memory, by their ports. A peer that has stopped is not reached.
type network struct {
	mu    sync.Mutex
	peers map[int]*peer
	last  int // port
}

// dial is Options.Dial.
func (n *network) dial(_ context.Context, addr string) (net.Conn, error) {
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	n.mu.Lock()
	p := n.peers[number]
	n.mu.Unlock()
	if p == nil {
		return nil, errors.New("refused")
	}
	near, far := net.Pipe()
	go p.greeted(far)
	return near, nil
}

// A peer is a node that others can reach.
type peer struct {
	*Node
	network *network
	dir     string
	port    int
	refused atomic.Bool
}

func (n *network) start(t *testing.T, dir string, primary int, appendOnly bool) *peer {
	t.Helper()
	n.last++
	p := &peer{network: n, dir: dir, port: n.last}
	p.Node = startNode(t, dir, func(o *Options) {
		o.Dial = n.dial
		o.Refuse = func(text string) { p.refused.Store(text != "") }
		o.Tuning.AppendOnly = appendOnly
		o.Tuning.Timeout = 5 * time.Second
		if primary != 0 {
			o.Host, o.Port = "peer", primary
		}
	})
	n.mu.Lock()
	n.peers[p.port] = p
	n.mu.Unlock()
	p.Listening()
	return p
}

// stop stops the node as a server does.
func (p *peer) stop() error {
	p.network.mu.Lock()
	delete(p.network.peers, p.port)
	p.network.mu.Unlock()
	return p.Close(false)
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
		p.ServeReplica(link.SyncRequest{Conn: conn, IP: "127.0.0.1", Port: 1, Version: version, ID: words[2], Offset: offset})
		return
	}
}

// oneByte reads one byte at a time, so that nothing behind a command is read.
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

// states are all keys that are not idle at an instant (µs), and their states.
func (p *peer) states(now int64) map[string]string {
	m := map[string]string{}
	_ = p.feed.Dump(stream.Changes(func(c *engine.Change) error {
		if _, ok := p.Store.Lookup(c.Key, now); !ok {
			return nil
		}
		m[strings.Clone(c.Key)] = fmt.Sprint(c.Algorithm, c.Word, c.Log.Period, slices.Clone(c.Log.Entries))
		return nil
	}))
	return m
}

// change changes a key, if changes are accepted.
func (p *peer) change(random *rand.Rand) {
	if p.refused.Load() {
		return
	}
	a := engine.Algorithms()[random.IntN(len(engine.Algorithms()))]
	period := []time.Duration{time.Hour, 2 * time.Hour, time.Minute}[random.IntN(3)]
	limit, _ := engine.NewLimit(1000, period, 1000)
	key := fmt.Sprint("key:", a, random.IntN(50))
	switch random.IntN(500) {
	case 0:
		p.Store.Flush()
	case 11, 12, 13, 14:
		e := stream.Entry{Field: fmt.Sprint("policy", random.IntN(5)), Value: []string{"", fmt.Sprint(random.IntN(9))}[random.IntN(2)]}
		p.Keep(func() ([]stream.Entry, error) { return []stream.Entry{e}, nil }, func(error) {})
	case 1, 2, 3, 4:
		p.Store.Reset(key, p.Now())
	case 5, 6, 7, 8, 9, 10:
		_, _ = p.Store.Refund(key, a, limit, 3, p.Now())
	default:
		_, _ = p.Store.Check(key, a, limit, 1, p.Now())
	}
}

// However roles change, nothing waits for ever, and in the end a replica has what its primary
// has. Time is that of a bubble: how fast the machine is decides nothing.
func TestRolesInAnyOrder(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { changeRoles(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func changeRoles(t *testing.T, random *rand.Rand) {
	const peers, rounds, steps = 3, 3, 25
	n := &network{peers: map[int]*peer{}}
	var all [peers]*peer
	for i := range all {
		all[i] = n.start(t, t.TempDir(), 0, i != 2)
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
				must(t, p.Follow("peer", all[j].port))
			case 6:
				if err := p.Save(); err != nil && !errors.Is(err, stream.ErrReplaced) {
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
				if err := p.stop(); err != nil && !strings.Contains(err.Error(), "lacks changes until it has been rewritten") {
					t.Fatal(err)
				}
				primary := 0
				if random.IntN(2) == 0 && i != j {
					primary = all[j].port
				}
				all[i] = n.start(t, p.dir, primary, random.IntN(2) == 0)
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
		if l := r.link.Load(); l == nil || l.Port != primary.port {
			must(t, r.Follow("peer", primary.port))
		}
		for range 50 {
			primary.change(random)
		}
	}
	reached := func() bool {
		end := primary.feed.Drained()
		for _, r := range replicas {
			if l := r.link.Load(); !l.IsUp() || r.feed.Offset() != end {
				return false
			}
		}
		n := 0
		primary.replicas.Each(func(_ string, _ int, offset int64) {
			if offset >= end {
				n++
			}
		})
		return n == len(replicas)
	}
	for until := time.Now().Add(20 * time.Second); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			for _, r := range replicas {
				t.Log(r.Primary())
			}
			t.Fatal("round", round, "they do not come together")
		}
	}
	now := primary.Now()
	policies := primary.Entries.(*texts).copy()
	want := primary.states(now)
	for i, r := range replicas {
		if got := r.Entries.(*texts).copy(); !maps.Equal(got, policies) {
			t.Errorf("round %d, replica %d has the policies %v, and the primary %v", round, i, got, policies)
		}
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
