package disk

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// An oracle is what all changes so far make of the keys: a plain map.
type oracle map[string]engine.Change

// apply applies a change, whose key and entries may be gone afterwards.
func (o oracle) apply(c *engine.Change) error {
	switch {
	case c.Key == "":
		clear(o)
	case c.Algorithm == 0:
		delete(o, c.Key)
	case !c.Algorithm.KeepsLog():
		k := keep(c)
		o[k.Key] = k
	default:
		k := keep(c)
		var entries []engine.LogEntry
		for _, e := range o[k.Key].Log.Entries {
			if e.At < k.Log.From {
				entries = append(entries, e)
			}
		}
		entries = append(entries, k.Log.Entries...)
		k.Log.Entries = slices.DeleteFunc(entries, func(e engine.LogEntry) bool { return e.At < k.Log.Oldest })
		k.Log.From = math.MinInt64
		o[k.Key] = k
	}
	return nil
}

func (o oracle) equal(other oracle) bool { return maps.EqualFunc(o, other, sameChange) }

// dump is a dumper of an oracle that does not change.
func (o oracle) dump(visit func(*engine.Change) error) error {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		c := o[key]
		if err := visit(&c); err != nil {
			return err
		}
	}
	return nil
}

// behind is a dumper that begins when the gate is open.
func behind(gate <-chan struct{}, dump stream.Dumper) stream.Dumper {
	return func(visit func(*engine.Change) error) error {
		<-gate
		return dump(visit)
	}
}

// A history is changes, the same for each seed, and what the keys are after each.
type history struct {
	changes []engine.Change
	states  []oracle // states[i] is after i changes
}

// testID is the id of a history of tests.
func testID(n int) string { return fmt.Sprintf("%040x", n) }

// newHistory makes changes to some keys; their names begin with prefix.
func newHistory(seed uint64, n int, prefix string) *history {
	random := rand.New(rand.NewPCG(seed, 7))
	h := &history{states: []oracle{{}}}
	now := int64(1_700_000_000_000_000)
	for range n {
		now += int64(random.IntN(1000))
		c := engine.Change{Key: fmt.Sprint(prefix, random.IntN(8))}
		last := h.states[len(h.states)-1]
		switch kind := random.IntN(20); {
		case kind == 0 && n > 10:
			c.Key = ""
		case kind == 1:
		case kind < 10:
			c.Algorithm, c.Rest = engine.TokenBucket, now*1000+random.Int64N(1e9)
		default:
			c.Algorithm = engine.SlidingWindowLog
			c.Log = engine.LogChange{Period: 1e9, Oldest: now - 5000, From: now, Entries: []engine.LogEntry{{At: now, Units: 1 + random.Int64N(3)}}}
			if kind == 19 || last[c.Key].Algorithm != c.Algorithm {
				c.Log.From = math.MinInt64
			}
		}
		next := maps.Clone(last)
		_ = next.apply(&c)
		h.changes, h.states = append(h.changes, c), append(h.states, next)
	}
	return h
}

// frame is change i as one frame that begins at an offset.
func (h *history) frame(i int, offset int64) (frames []byte, end int64) {
	payload := stream.AppendChange(nil, &h.changes[i])
	return stream.AppendFrame(nil, stream.FrameChanges, offset, payload), offset + int64(len(payload))
}

// live is an oracle that is changed while it is dumped, key by key.
type live struct {
	mu sync.Mutex
	o  oracle
}

func newLive() *live { return &live{o: oracle{}} }

func (l *live) apply(c *engine.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.o.apply(c)
}

func (l *live) dump(visit func(*engine.Change) error) error {
	l.mu.Lock()
	keys := slices.Collect(maps.Keys(l.o))
	l.mu.Unlock()
	for _, key := range keys {
		l.mu.Lock()
		c, ok := l.o[key]
		l.mu.Unlock()
		if !ok {
			continue
		}
		if err := visit(&c); err != nil {
			return err
		}
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keep is a change that outlives the visit.
func keep(c *engine.Change) engine.Change {
	kept := *c
	kept.Key = strings.Clone(c.Key)
	kept.Log.Entries = slices.Clone(c.Log.Entries)
	return kept
}

func sameChange(a, b engine.Change) bool {
	if len(a.Log.Entries) == 0 && len(b.Log.Entries) == 0 {
		a.Log.Entries, b.Log.Entries = nil, nil
	}
	return reflect.DeepEqual(a, b)
}
