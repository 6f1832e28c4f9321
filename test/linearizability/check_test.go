package linearizability

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// A call is what porcupine is told of one question; its answer is a model.Answer.
type call struct {
	key string
	// shared says that more than one algorithm asks about the key.
	shared bool
	model.Question
	// newest is a reading (µs) of the clock after the answer: no call before this
	// one in any order had a newer one.
	newest int64
}

// kept is how a store without a bound on its memory has to answer. A shared key that is idle is
// dropped by a caller of the other algorithm before that goes on; until then a call with an older
// reading may find it gone.
var kept = modelOf(func(k model.Key, c call) bool { return c.shared && !k.Live(c.newest) }, false)

// evicted is how a store with a bound has to answer: any key may be forgotten between any
// two calls, and a log may find no room for one unit more.
var evicted = modelOf(func(model.Key, call) bool { return true }, true)

// modelOf is the contract of one key for porcupine. mayForget says whether the key may be
// gone when a call comes to it, bounded whether a log may be told that there is no memory.
func modelOf(mayForget func(model.Key, call) bool, bounded bool) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: byKey,
		Init:      func() []any { return []any{model.Key{}} },
		Step: func(state, input, output any) (states []any) {
			k, c, got := state.(model.Key), input.(call), output.(model.Answer)
			before := []model.Key{k}
			if k.Owner != 0 && mayForget(k, c) {
				before = append(before, model.Key{})
			}
			for _, k := range before {
				after, want := k.Ask(c.Question)
				if got == want {
					states = append(states, after)
				}
				if bounded && got == (model.Answer{NoMemory: true}) && logGrows(c, want) {
					states = append(states, k)
				}
			}
			return states
		},
		Equal: func(a, b any) bool { return a.(model.Key).Equal(b.(model.Key)) },
	}
	return m.ToModel()
}

// logGrows says whether the answer that was wanted would have made a log or a counter longer.
func logGrows(c call, want model.Answer) bool {
	takes := c.Op == model.Check && want.Decision.Allowed || c.Op == model.Force && want.Owner == 0
	return takes && c.Algorithm.Shape() != engine.ShapeWord
}

// byKey partitions: keys have nothing to do with each other.
func byKey(history []porcupine.Operation) (parts [][]porcupine.Operation) {
	part := map[string]int{}
	for _, o := range history {
		key := o.Input.(call).key
		i, known := part[key]
		if !known {
			i = len(parts)
			part[key], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], o)
	}
	return parts
}

// checkTime bounds the search for an order. Histories are short enough for a thousandth of
// it; where it runs out they were not, and nothing was proven.
const checkTime = 30 * time.Second

// demandOrder fails the test unless there is an order for every key of a history.
func demandOrder(t testing.TB, m porcupine.Model, history []porcupine.Operation) {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(m, history, checkTime) {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Fatalf("no order found for %d calls in %v, but none excluded: the histories are too long to be checked", len(history), checkTime)
	case porcupine.Illegal:
		for _, part := range byKey(history) {
			if porcupine.CheckOperationsTimeout(m, part, checkTime) != porcupine.Ok {
				t.Fatalf("no order of these calls gives their answers:\n%s", transcript(part))
			}
		}
		t.Fatal("no order found for the keys together, but for each of them")
	}
}

// orderless is how many of the first keys of a history have no order.
func orderless(t testing.TB, m porcupine.Model, history []porcupine.Operation, first int) (keys uint64) {
	t.Helper()
	parts := byKey(history)
	for _, part := range parts[:min(first, len(parts))] {
		switch porcupine.CheckOperationsTimeout(m, part, checkTime) {
		case porcupine.Ok:
		case porcupine.Illegal:
			keys++
		case porcupine.Unknown:
			t.Fatalf("no order found for %d calls in %v, but none excluded", len(part), checkTime)
		}
	}
	return keys
}

// noMemory is how many calls of a history were told that there is none.
func noMemory(history []porcupine.Operation) (told uint64) {
	for _, o := range history {
		if o.Output.(model.Answer).NoMemory {
			told++
		}
	}
	return told
}

// transcript shows a history in the order in which its calls began.
func transcript(history []porcupine.Operation) string {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range history {
		c := o.Input.(call)
		fmt.Fprintf(&b, "%9d … %9d ns, worker %d, %.20q: %v (clock then at %d)\n\t%v\n",
			o.Call, o.Return, o.ClientId, c.key, c.Question, c.newest, o.Output)
	}
	return b.String()
}
