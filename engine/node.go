package engine

import (
	"math"
	"strings"
	"sync/atomic"
	"unsafe"
)

// A node is one key in a shard's list. The list holds two further kinds of node that hold
// no key: sentinels, where buckets begin, and markers, which stand behind a node that is
// being removed.
//
// Who owns what, at each atomic step:
//
//   - A live node's state belongs to nobody. Whoever swaps it from the state that its step
//     saw has made that step; everybody else starts theirs over.
//   - kill swaps the state to a mark. Before that the node is live; after it no step
//     accepts the node again (invariant 3). A racing update either came before, and then
//     kill fails because the state is another, or comes after, and then fails itself and
//     looks the key up anew. So no update is lost, and none lands on a key that is gone.
//   - freeze appends a marker, from which moment next never changes again. Before it a
//     new node may still be linked behind this one; after it the link is refused, so
//     unlinking cannot drop a node that was inserted meanwhile.
//   - Unlinking swaps the predecessor's next from this node to the marker's next. Anybody
//     who passes may do it; only one succeeds, and then nobody can reach the node any
//     more except those who already hold it.
//
// ABA: a word that leaves a value and returns to it is the same state again, since the
// word is all there is to a meter's state, and a step taken from it is as right the second
// time. Pointers (next, log) are compared by address, and the garbage collector gives no
// address away while a caller still holds it.
type node struct {
	next atomic.Pointer[node]
	// order places the node in its shard's list; shard.go tells how.
	order uint64
	key   string
	// word and log are the node's state; algorithms use one of them. wordDead and logDead
	// are the marks of a dead node.
	word atomic.Int64
	log  atomic.Pointer[logState]
	// kind is the algorithm that owns the key, or kindSentinel or kindMarker.
	// Invariant: never changes, so another algorithm gets another node.
	kind uint8
}

const (
	kindSentinel = 0
	kindMarker   = 255

	wordDead = math.MinInt64
)

var logDead = new(logState)

// inlineKeyBytes is the longest key that is allocated together with its node, so that
// comparing it touches memory that the look-up has already fetched.
const inlineKeyBytes = 24

// newNode makes a node that nobody else can see yet. It keeps a copy of the key, which may
// stand in a caller's buffer.
func newNode(hash uint64, key string, a Algorithm, st state) *node {
	var n *node
	if len(key) <= inlineKeyBytes {
		with := new(struct {
			node
			key [inlineKeyBytes]byte
		})
		n = &with.node
		n.key = unsafe.String(&with.key[0], copy(with.key[:], key))
	} else {
		n = &node{key: strings.Clone(key)}
	}
	n.order, n.kind = orderOf(hash), uint8(a)
	n.word.Store(st.word)
	n.log.Store(st.log)
	return n
}

func (n *node) algorithm() *algorithm { return &algorithms[n.kind] }

// load reads the state; ok is false when the node is dead.
func (n *node) load() (st state, ok bool) {
	if n.usesLog() {
		log := n.log.Load()
		return state{log: log}, log != logDead
	}
	word := n.word.Load()
	return state{word: word}, word != wordDead
}

// swap makes the step from old to st, unless the state is no longer old.
func (n *node) swap(old, st state) bool {
	if n.usesLog() {
		return n.log.CompareAndSwap(old.log, st.log)
	}
	return n.word.CompareAndSwap(old.word, st.word)
}

// kill ends the node's life, unless the state is no longer old.
func (n *node) kill(old state) bool {
	return n.swap(old, state{word: wordDead, log: logDead})
}

// freeze makes next final. Only a dead node may be frozen.
func (n *node) freeze() {
	for {
		next := n.next.Load()
		if next != nil && next.kind == kindMarker {
			return
		}
		marker := &node{kind: kindMarker}
		marker.next.Store(next)
		if n.next.CompareAndSwap(next, marker) {
			return
		}
	}
}

// usesLog says which of the two fields holds the state.
func (n *node) usesLog() bool { return n.algorithm().keepsLog }

// bytes estimates the memory that the key takes: node, key, share of the bucket array,
// and log.
func (n *node) bytes(st state) int64 {
	const nodeBytes, bucketShare = 64, (64 + 8) / bucketLoad // a sentinel and its place
	total := nodeBytes + bucketShare + int64(len(n.key))
	if st.log != nil {
		total += st.log.bytes()
	}
	return total
}
