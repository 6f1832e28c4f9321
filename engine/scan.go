package engine

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// A KeyInfo describes one key that is not at rest.
type KeyInfo struct {
	Key       string
	Algorithm Algorithm
	// RestMicros is when the key will be at rest, in microseconds since the Unix epoch,
	// rounded up.
	RestMicros int64
	// Bytes estimates the memory that the key takes.
	Bytes int64
}

// Lookup describes key, unless it is absent or at rest.
func (s *Store) Lookup(key string, now int64) (KeyInfo, bool) {
	hash := maphash.String(s.seed, key)
	n := s.shard(hash).find(hash, key)
	if n == nil {
		return KeyInfo{}, false
	}
	return describe(n, now)
}

func describe(n *node, now int64) (KeyInfo, bool) {
	st, alive := n.load()
	if !alive {
		return KeyInfo{}, false
	}
	rest := n.algorithm().rest(st)
	if rest <= now*1000 {
		return KeyInfo{}, false
	}
	return KeyInfo{
		Key:        n.key,
		Algorithm:  Algorithm(n.kind),
		RestMicros: restMicros(rest),
		Bytes:      n.bytes(st),
	}, true
}

// restMicros rounds an instant up to whole microseconds, up to the last one in int64.
func restMicros(ns int64) int64 {
	if ns%1000 != 0 {
		return ns/1000 + 1
	}
	return ns / 1000
}

// A cursor is a position in the store: the shard, and the leading bits of a node's order
// within it. It is kept below 2^53, because some clients read a cursor as a double. Nodes
// that agree in those bits are always visited together, so that none is skipped.
const (
	cursorOrderBits = 46
	cursorShift     = 64 - cursorOrderBits
	cursorEnd       = shardCount << cursorOrderBits
)

// Scan calls visit for keys that are not at rest, from cursor on, and returns the cursor to
// go on from, or 0 at the end. A key that is there from the first call of a scan to its
// last is visited; one that comes or goes meanwhile may be. No key is visited twice unless
// it was removed and made again.
//
// A call visits at most count keys (at least 1) and those that share the last one's
// position; it may visit fewer, or none, before the end.
func (s *Store) Scan(cursor uint64, count int, now int64, visit func(KeyInfo)) uint64 {
	return s.walk(cursor, count, func(_ *shard, n *node) {
		if info, ok := describe(n, now); ok {
			visit(info)
		}
	})
}

// walkStepsPerKey is how many links without a key (sentinels of buckets, removed nodes)
// cost as much of a walk's budget as one key, so that a table that was once much larger
// cannot make one call long.
const walkStepsPerKey = 8

// walkKeysMax bounds what one walk can be asked for, so that its budget fits in an int.
const walkKeysMax = math.MaxInt32 / walkStepsPerKey

// walk calls visit for the nodes from cursor on, until count of them are passed or
// walkStepsPerKey·count links, and returns where to go on.
func (s *Store) walk(cursor uint64, count int, visit func(*shard, *node)) uint64 {
	budget := min(max(count, 1), walkKeysMax) * walkStepsPerKey
	for cursor < cursorEnd {
		sh := s.shards[cursor>>cursorOrderBits].Load()
		order := cursor << cursorShift // the shard's bits fall off
		for n := sh.at(order); n != nil; n = n.next.Load() {
			if n.kind == kindMarker || n.order < order {
				continue
			}
			place := cursor>>cursorOrderBits<<cursorOrderBits | n.order>>cursorShift
			if budget <= 0 && place != cursor {
				return place
			}
			cursor = place
			if n.kind == kindSentinel {
				budget--
				continue
			}
			visit(sh, n)
			budget -= walkStepsPerKey
		}
		cursor = (cursor>>cursorOrderBits + 1) << cursorOrderBits
		if budget <= 0 && cursor < cursorEnd {
			return cursor
		}
	}
	return 0
}

// at is a sentinel at or before order.
func (s *shard) at(order uint64) *node { return s.from(bits.Reverse64(order)) }

// Sweep looks at up to count keys, going round the store from where the last call stopped,
// and forgets those at rest at instant now, which should lie a little in the past, before
// any reading that a decision still under way may hold. It returns how many it forgot. It follows at most
// walkStepsPerKey·count links, so the caller bounds its cost.
func (s *Store) Sweep(count int, now int64) int {
	forgot := 0
	cursor := s.walk(s.sweepCursor.Load(), count, func(sh *shard, n *node) {
		st, alive := n.load()
		if alive && n.algorithm().rest(st) <= now*1000 && s.reclaim(sh, n, st) {
			forgot++
		}
	})
	s.sweepCursor.Store(cursor)
	s.reclaimed.Add(uint64(forgot))
	return forgot
}
