package engine

import (
	"math/bits"
	"sync/atomic"
)

// A shard is a lock-free hash table: a split-ordered list (Shalev and Shavit, "Split-Ordered
// Lists: Lock-Free Extensible Hash Tables", JACM 2006), with nodes removed by markers.
//
// All keys of a shard stand in one linked list, in the order of their bit-reversed hash.
// A bucket is a shortcut into it: a sentinel node in front of the keys whose hash ends in
// the bucket's number. Because the order is that of reversed bits, doubling the number of
// buckets splits each bucket's stretch of the list in two without moving a single key: a
// new bucket only needs its sentinel put in the middle of its parent's stretch, which
// whoever first looks for a key there does. So growth costs nobody a pause, and a position
// in the list means the same before and after, which is what scanning needs.
//
// Lookup, insertion, update and removal are lock-free: a stalled goroutine never stops
// another, and a retry means that another made progress.
type shard struct {
	head node // the sentinel of bucket 0
	// level: buckets 0 … 2^level−1 are in use. Only grows.
	level atomic.Uint32
	// size counts live nodes; it steers growth and may be off by the operations under way.
	size atomic.Int64
	// contended counts swaps that lost to another caller.
	contended atomic.Uint64
	// buckets[i] holds the sentinels of buckets 2^(i−1) … 2^i−1; each array is made when
	// first needed and never replaced.
	buckets [levelMax + 1]atomic.Pointer[[]atomic.Pointer[node]]

	_ [64]byte // keeps one shard's counters off the next one's cache line
}

const (
	// bucketLoad is how many keys a bucket holds on average before buckets double.
	bucketLoad = 1
	// levelMax bounds the number of buckets of a shard to 2^levelMax.
	levelMax = 32
)

// orderOf places a key: its hash with the bits reversed and the last bit set, which sets
// keys apart from sentinels and behind them.
func orderOf(hash uint64) uint64 { return bits.Reverse64(hash) | 1 }

// from is the sentinel to start at for a key with this hash.
func (s *shard) from(hash uint64) *node {
	return s.bucket(uint32(hash) & (1<<s.level.Load() - 1))
}

// bucket is the sentinel of bucket i, put into the list if it is not there yet.
func (s *shard) bucket(i uint32) *node {
	if i == 0 {
		return &s.head
	}
	place := &s.bucketArray(bits.Len32(i))[i-1<<(bits.Len32(i)-1)]
	if n := place.Load(); n != nil {
		return n
	}
	// The parent is the bucket of which this one is the upper half. The depth of this
	// recursion is at most the number of bits in i.
	parent := s.bucket(i &^ (1 << (bits.Len32(i) - 1)))
	n := s.addSentinel(parent, bits.Reverse64(uint64(i)))
	place.Store(n) // everybody who races here stores the same sentinel
	return n
}

func (s *shard) bucketArray(i int) []atomic.Pointer[node] {
	if array := s.buckets[i].Load(); array != nil {
		return *array
	}
	array := make([]atomic.Pointer[node], 1<<(i-1))
	if s.buckets[i].CompareAndSwap(nil, &array) {
		return array
	}
	return *s.buckets[i].Load()
}

// addSentinel finds or inserts the sentinel at order, searching from start.
func (s *shard) addSentinel(start *node, order uint64) *node {
	fresh := &node{order: order, kind: kindSentinel}
	for {
		before, after, _ := s.seek(start, order-1, "")
		if after != nil && after.order == order {
			return after
		}
		fresh.next.Store(after)
		// Until this swap the sentinel is ours; after it, it is the list's for ever.
		if before.next.CompareAndSwap(after, fresh) {
			return fresh
		}
	}
}

// seek finds the last node at or before order and the node behind it, unlinking frozen
// nodes on the way. same is the node at order that holds key, dead or alive, or nil. start
// is a sentinel at or before order; sentinels are never removed.
func (s *shard) seek(start *node, order uint64, key string) (before, after, same *node) {
restart:
	before, same = start, nil
	after = before.next.Load()
	for after != nil {
		next := after.next.Load()
		if next != nil && next.kind == kindMarker {
			// after is frozen. If before is frozen too, its next is a marker and this
			// swap fails, so nothing is ever unlinked from a removed node.
			if !before.next.CompareAndSwap(after, next.next.Load()) {
				goto restart
			}
			after = next.next.Load()
			continue
		}
		if after.order > order {
			break
		}
		if after.order == order && after.key == key {
			same = after
		}
		before, after = after, next
	}
	return before, after, same
}

// find is the node of key, dead or alive, or nil. It takes no part in unlinking, so that
// a lookup writes nothing.
func (s *shard) find(hash uint64, key string) *node {
	order := orderOf(hash)
	for n := s.from(hash).next.Load(); n != nil && n.order <= order; n = n.next.Load() {
		// A marker has order 0 and is passed over like any other node before order.
		if n.order == order && n.key == key {
			return n
		}
	}
	return nil
}

// insert links a node for its key, unless one is there: then it returns false, and the
// caller looks the key up again. The key is compared whole; keys with equal hashes stand
// behind one another, and a new one goes behind all of them, so that two callers who
// insert the same key want the same link and only one gets it (invariant 1).
func (s *shard) insert(hash uint64, fresh *node) bool {
	start := s.from(hash)
	for {
		before, after, same := s.seek(start, fresh.order, fresh.key)
		if same != nil {
			if _, alive := same.load(); alive {
				return false
			}
			s.remove(same)
			continue
		}
		fresh.next.Store(after)
		// Until this swap the node is ours; after it, it belongs to nobody. It fails if
		// anything came behind before, or before was frozen, since we looked.
		if before.next.CompareAndSwap(after, fresh) {
			s.grow(s.size.Add(1))
			return true
		}
		s.contended.Add(1)
	}
}

// remove takes a dead node out of the list.
func (s *shard) remove(n *node) {
	n.freeze()
	s.seek(s.from(bits.Reverse64(n.order)), n.order, "")
}

// grow doubles the buckets when there are too many keys for them. It sets one word:
// the buckets themselves are filled in by those who look there.
func (s *shard) grow(size int64) {
	level := s.level.Load()
	if level < levelMax && size > bucketLoad<<level {
		s.level.CompareAndSwap(level, level+1)
	}
}
