package engine_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/bench"
)

// growthTarget is the time of a check with the most keys to that with the fewest, at most.
const growthTarget = 1.15

// storeSizes are numbers of keys: the tables of the first fit into a processor's cache.
var storeSizes = []int{100_000, 1_000_000, 3_000_000, 10_000_000}

// A batch is what one goroutine asks at once: as many received keys as a pipeline has.
type batch struct {
	walker
	store     *engine.Store
	questions [received]engine.Question
}

func newBatch(keys int) *batch {
	b := &batch{walker: *newWalker(0, keys, nil), store: newStore()}
	for i := range b.questions {
		b.questions[i] = engine.Question{
			Op: engine.OpCheck, Key: unsafe.String(&b.buffer[i][0], keyBytes),
			Algorithm: engine.TokenBucket, Limit: generousLimit, Cost: 1,
		}
	}
	touch(storeCheck(b.store, engine.TokenBucket, generousLimit), keys)
	return b
}

// loop asks batches, by a way to ask one.
func (b *batch) loop(ask func(now int64)) loop {
	return func(stop *atomic.Bool) (done tally) {
		for !stop.Load() {
			b.receive()
			b.now++
			ask(b.now)
			for i := range b.questions {
				done.add(b.questions[i].Decision.Allowed)
			}
		}
		return done
	}
}

func (b *batch) askEach(now int64) {
	for i := range b.questions {
		q := &b.questions[i]
		q.Err = b.store.Ask(q.Op, q.Key, q.Algorithm, &q.Limit, q.Cost, now, &q.Decision)
	}
}

func (b *batch) askAll(now int64) { b.store.AskAll(b.questions[:], now) }

// BenchmarkBatch compares questions that are asked one by one with the same asked at once, in stores
// of more and more keys, on one core.
func BenchmarkBatch(t *testing.B) {
	rounds, length := bench.Scaled(7, 3), time.Duration(bench.Scaled(200, 10))*time.Millisecond
	var singles, batches []*row
	for _, keys := range storeSizes {
		b := newBatch(bench.Scaled(keys, 100))
		confirm := func(t testing.TB, done tally) {
			if done.admitted != done.checks {
				t.Fatalf("%d of %d checks were admitted; this is of checks that all are", done.admitted, done.checks)
			}
		}
		singles = append(singles, &row{loops: []loop{b.loop(b.askEach)}, confirm: confirm})
		batches = append(batches, &row{loops: []loop{b.loop(b.askAll)}, confirm: confirm})
	}
	for range rounds {
		for i := range storeSizes {
			singles[i].round(t, length)
			batches[i].round(t, length)
		}
	}
	rows := bench.NewTable(fmt.Sprintf("token_bucket, %d received keys at a time: ns a check, × is to the fewest keys", received),
		"keys", "one by one", "×", "AskAll", "×", "target", "")
	for i, keys := range storeSizes {
		grown := bench.Ratio(batches[i].ns, batches[0].ns)
		rows.Add("%d|%.1f|%.2f|%.1f|%.2f|≤ %.2f|%s", bench.Scaled(keys, 100), bench.Median(singles[i].ns), bench.Ratio(singles[i].ns, singles[0].ns),
			bench.Median(batches[i].ns), grown, growthTarget, bench.Verdict(grown <= growthTarget))
	}
	rows.Print(os.Stdout)
}
