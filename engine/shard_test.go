package engine

import (
	"fmt"
	"hash/maphash"
	"math"
	"testing"
	"time"
)

// Keys whose hashes agree, which no store can be made to have from outside: here nodes are
// put into a shard with hashes of the test's choosing.

func hashOf(s *Store, key string) uint64 { return maphash.String(s.seed, key) }

// planted puts a token_bucket key into the store's first shard under this hash, at rest at
// noon + 1 s.
func planted(t *testing.T, s *Store, hash uint64, key string) *node {
	t.Helper()
	n := newNode(hash, key, TokenBucket, state{word: (noon + sec) * 1000})
	if !s.shards[0].Load().insert(hash, n) {
		t.Fatalf("key %q is there already", key)
	}
	return n
}

// Keys with one hash stand behind one another: each is found, none is inserted twice, and
// removing one leaves the others.
func TestEqualHashes(t *testing.T) {
	for _, hash := range []uint64{0, 1, 0x8000_0000_0000_0000, 0x1234_5678_9abc_def0} {
		s := mustStore()
		sh := s.shards[0].Load()
		nodes := map[string]*node{}
		for i := range 10 {
			key := fmt.Sprint("equal", i)
			nodes[key] = planted(t, s, hash, key)
		}
		for _, key := range []string{"equal0", "equal5", "equal9"} { // first, middle, last
			if sh.insert(hash, newNode(hash, key, TokenBucket, state{word: 1})) {
				t.Fatalf("hash %x: %s twice", hash, key)
			}
			st, _ := nodes[key].load()
			if !s.reclaim(sh, nodes[key], st) {
				t.Fatalf("hash %x: %s was not reclaimed", hash, key)
			}
			delete(nodes, key)
		}
		for i := range 10 {
			key := fmt.Sprint("equal", i)
			if got := sh.find(hash, key); got != nodes[key] {
				t.Errorf("hash %x: find(%s) is %v, want %v", hash, key, got, nodes[key])
			}
		}
		oneNodePerKey(t, s)
	}
}

// The same keys of the same hash, inserted by all at once while one of them is removed
// again and again.
func TestEqualHashesRace(t *testing.T) {
	const keys = 8
	collide(t)
	for range 300 {
		s := mustStore()
		sh := s.shards[0].Load()
		together(workers, func(worker int) {
			for i := range keys {
				key := fmt.Sprint((i + worker) % keys)
				sh.insert(1, newNode(1, key, LeakyBucket, state{word: 1}))
				if n := sh.find(1, "3"); n != nil {
					if st, alive := n.load(); alive {
						s.reclaim(sh, n, st)
					}
				}
			}
		})
		oneNodePerKey(t, s)
		if s.Len() < keys-1 {
			t.Fatalf("%d keys of %d are left", s.Len(), keys-1)
		}
	}
}

// Each worker inserts and removes a key of its own, all of one hash, so that the node to
// insert behind is often just being removed. No insert may end on such a node.
func TestInsertBehindARemovedNode(t *testing.T) {
	collide(t)
	s := mustStore()
	sh := s.shards[0].Load()
	together(workers, func(worker int) {
		key := fmt.Sprint(worker)
		for range 20_000 {
			n := newNode(1, key, TokenBucket, state{word: 1})
			if !sh.insert(1, n) || sh.find(1, key) != n || !s.reclaim(sh, n, state{word: 1}) {
				t.Error("a key that only this worker touches is lost, or was there already")
				return
			}
		}
	})
	oneNodePerKey(t, s)
	if s.Len() != 0 {
		t.Errorf("%d keys are left", s.Len())
	}
}

// An insert does not wait for another goroutine to finish a removal: one that stalled
// between freezing a node and unlinking it, here for good, holds nobody up.
func TestInsertPassesAStalledRemoval(t *testing.T) {
	const deadline = 2 * time.Second // for a hang; the insert takes microseconds
	s := mustStore()
	sh := s.shards[0].Load()
	planted(t, s, 1, "first")
	stalled := planted(t, s, 1, "second")
	st, _ := stalled.load()
	stalled.kill(st)
	sh.size.Add(-1)
	stalled.freeze() // and then nothing more

	inserted := make(chan bool)
	go func() { inserted <- sh.insert(1, newNode(1, "third", TokenBucket, st)) }()
	select {
	case <-inserted:
	case <-time.After(deadline):
		t.Error("the insert spins until the removal is finished")
		sh.remove(stalled) // finish it, so that the other tests have their processor back
		<-inserted
	}
	sh.remove(stalled) // whoever stalled goes on
	if sh.find(1, "third") == nil || sh.find(1, "first") == nil {
		t.Error("a key is missing")
	}
	oneNodePerKey(t, s)
}

// The highest order is a key's like any other: what stands there can be removed.
func TestRemoveAtTheHighestOrder(t *testing.T) {
	s := mustStore()
	sh := s.shards[0].Load()
	planted(t, s, 1, "before") // in the same bucket, so that a removal has to walk past it
	n := planted(t, s, math.MaxUint64, "last")
	st, _ := n.load()
	if !s.reclaim(sh, n, st) {
		t.Fatal("not reclaimed")
	}
	if sh.find(math.MaxUint64, "last") != nil {
		t.Error("a dead node is still found: a check of its key would look it up again for ever")
	}
}

// Buckets double as keys come; every key is found in every size of the table.
func TestGrowth(t *testing.T) {
	s := mustStore()
	sh := s.shards[0].Load()
	const keys = 3000
	for i := range uint64(keys) {
		planted(t, s, spread(i), fmt.Sprint(i))
		for _, old := range []uint64{0, i / 2, i} {
			if sh.find(spread(old), fmt.Sprint(old)) == nil {
				t.Fatalf("key %d of %d is lost at level %d", old, i, sh.level.Load())
			}
		}
	}
	if level := sh.level.Load(); 1<<level < keys/(2*bucketLoad) || 1<<level > 4*keys {
		t.Errorf("%d keys and 2^%d buckets", keys, level)
	}
	oneNodePerKey(t, s)
}

// spread makes a hash of a number: multiplying by an odd number loses nothing.
func spread(i uint64) uint64 { return i * 0x9e37_79b9_7f4a_7c15 }
