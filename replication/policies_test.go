package replication

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// texts are a set of policies that understands any text.
type texts struct {
	mu  sync.Mutex
	all stream.Texts
}

func (s *texts) Apply(entries []stream.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = stream.Texts{}
	}
	for _, e := range entries {
		_ = s.all.Entry(e)
	}
	return nil
}

func (s *texts) Replace(entries []stream.Entry) error {
	s.mu.Lock()
	s.all = nil
	s.mu.Unlock()
	return s.Apply(entries)
}

func (s *texts) Each(visit func(stream.Entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all.List() {
		visit(e)
	}
}

func (s *texts) copy() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}

// keep changes policies, and returns when that is kept.
func (n *Node) keep(entries ...stream.Entry) error {
	done := make(chan error)
	n.Keep(func() ([]stream.Entry, error) { return entries, nil }, func(err error) { done <- err })
	return <-done
}

// want wants the node to have policies.
func (n *Node) want(t *testing.T, want map[string]string) {
	t.Helper()
	if got := n.Entries.(*texts).copy(); !maps.Equal(got, want) {
		t.Errorf("the policies are %v, want %v", got, want)
	}
}

// Policies are found after a crash in the log, from its increment as well as from its base, and in a
// snapshot. FLUSHALL leaves them. Without a disk they live as long as the node.
func TestPoliciesOutliveTheNode(t *testing.T) {
	for name, tune := range map[string]func(*Tuning){
		"log":      func(t *Tuning) { t.AppendOnly, t.Fsync = true, "always" },
		"snapshot": func(t *Tuning) { t.SavePoints = []SavePoint{{After: time.Hour, Changes: 1 << 40}} },
		"nothing":  func(*Tuning) {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			n := startNode(t, dir, func(o *Options) { tune(&o.Tuning) })
			long := strings.Repeat("a text of some length ", 2000)
			must(t, n.keep(stream.Entry{Field: "api", Value: "one"}, stream.Entry{Field: "api key", Value: long}, stream.Entry{Field: "gone", Value: "two"}))
			n.take(t, "key")
			n.Store.Flush()
			must(t, n.keep(stream.Entry{Field: "gone"}))
			want := map[string]string{"api": "one", "api key": long}
			n.want(t, want)
			if name == "snapshot" {
				must(t, n.Save())
			}
			if name == "nothing" {
				want = nil
			}
			for range 2 {
				dir = copyOf(t, dir) // as it is on disk now
				again := startNode(t, dir, func(o *Options) { tune(&o.Tuning) })
				again.want(t, want)
				if name == "log" {
					must(t, again.Rewrite())
					waitForRewriteOf(again)
				}
			}
		})
	}
}

// A change is refused with its own error, and on a replica; and nothing has changed then.
func TestPoliciesThatAreRefused(t *testing.T) {
	n := startNode(t, t.TempDir(), func(*Options) {})
	must(t, n.keep(stream.Entry{Field: "api", Value: "one"}))
	made, done := errors.New("made up"), make(chan error)
	n.Keep(func() ([]stream.Entry, error) { return nil, made }, func(err error) { done <- err })
	if err := <-done; !errors.Is(err, made) {
		t.Error(err)
	}
	replica := startNode(t, t.TempDir(), func(o *Options) { o.Host, o.Port = "127.0.0.1", 1 })
	if err := replica.keep(stream.Entry{Field: "api", Value: "two"}); !errors.Is(err, ErrReplica) {
		t.Error(err)
	}
	replica.want(t, nil)
	must(t, replica.Follow("", 0))
	must(t, replica.keep(stream.Entry{Field: "api", Value: "two"}))
	n.want(t, map[string]string{"api": "one"})
}
