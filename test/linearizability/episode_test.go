package linearizability

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// An episode is one store under work: rounds of fresh keys, one after the other, while
// everything else that can happen to a store goes on beside them.
type episode struct {
	testing.TB
	in      setting
	workers int
	threads int
	store   *engine.Store
	clock   *clock
	begun   time.Time
	barrier barrier
	scripts [][][]turn // by round and worker
}

// A record is one call as a worker made it.
type record struct {
	turn        *turn
	now, newest int64 // µs
	begin, end  time.Duration
	answer      model.Answer
}

// newEpisode draws an episode. With as many threads as processors, calls run side by side;
// with more, they are stopped anywhere, for long.
func newEpisode(t testing.TB, random *rand.Rand, in setting, rounds int) *episode {
	e := &episode{
		TB: t, in: in, workers: 2 + random.IntN(5), threads: max(2, runtime.NumCPU()),
		store: mustStore(in.phases[0].maxMemory), scripts: make([][][]turn, rounds),
	}
	if random.IntN(3) == 0 {
		e.threads += e.workers
	}
	e.clock, e.barrier.parties, e.barrier.awake = newClock(noon, e.workers), int64(e.workers), 256
	for round := range e.scripts {
		keys := drawSubjects(random, in.keyLengths, round)
		for range e.workers {
			script := drawScript(random, keys, callsPerKey/e.workers, in.phase(round))
			e.scripts[round] = append(e.scripts[round], script)
		}
	}
	return e
}

// record lets the workers go through all rounds, and returns their history and what the
// store counted meanwhile.
func (e *episode) record() ([]porcupine.Operation, evidence) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(e.threads))
	before := e.store.Stats()
	e.begun = time.Now()
	records := make([][]record, e.workers)
	var done sync.WaitGroup
	for worker := range records {
		done.Go(func() { records[worker] = e.work(worker) })
	}
	done.Wait()
	after := e.store.Stats()

	history := make([]porcupine.Operation, 0, len(e.scripts)*subjects*callsPerKey)
	for worker := range records {
		for i := range records[worker] {
			history = append(history, records[worker][i].operation(worker))
		}
	}
	seen := gather(before, after)
	seen[calls], seen[histories] = uint64(len(history)), uint64(subjects*len(e.scripts))
	return history, seen
}

// work is one worker's part of all rounds.
func (e *episode) work(worker int) []record {
	records := make([]record, 0, len(e.scripts)*len(e.scripts[0][worker]))
	filler := worker // each inserts fillers of its own
	for round := range e.scripts {
		e.barrier.wait()
		e.store.SetMaxMemory(e.in.phase(round).maxMemory)
		for i := range e.scripts[round][worker] {
			u := &e.scripts[round][worker][i]
			records = append(records, e.ask(worker, u))
			if u.advance > 0 {
				e.clock.advance(u.advance)
			}
			for range u.fill {
				e.insert(worker, filler%len(e.in.fillers))
				filler += e.workers
			}
			if u.sweep > 0 {
				e.sweep(u.sweep)
			}
		}
	}
	return records
}

// ask makes the call of a turn.
func (e *episode) ask(worker int, u *turn) record {
	q := u.question
	q.Now = e.clock.enter(worker)
	if u.slow {
		runtime.Gosched()
	}
	begin := time.Since(e.begun)
	answer, err := q.Of(e.store, u.subject.key)
	end := time.Since(e.begun)
	e.clock.leave(worker)
	if err != nil {
		e.Errorf("%v: %v", q, err)
	}
	return record{turn: u, now: q.Now, newest: e.clock.now.Load(), begin: begin, end: end, answer: answer}
}

// insert makes a filler key, or asks about one that is still there.
func (e *episode) insert(worker, filler int) {
	l, a := e.in.fillMost, engine.Algorithms()[filler%len(engine.Algorithms())]
	if filler%4 == 0 {
		l = e.in.fillIdle
	}
	now := e.clock.enter(worker)
	_, err := e.store.Check(e.in.fillers[filler], a, l, 1, now)
	e.clock.leave(worker)
	if err != nil && !errors.Is(err, engine.ErrNoMemory) {
		e.Errorf("filler: %v", err)
	}
}

// sweep reclaims keys that are idle by every reading of the clock in flight.
func (e *episode) sweep(keys int) {
	if oldest := e.clock.oldest(); oldest != entering {
		e.store.Sweep(keys, oldest-1)
	}
}

func (r *record) operation(worker int) porcupine.Operation {
	q := r.turn.question
	q.Now = r.now
	return porcupine.Operation{
		ClientId: worker,
		Input: call{
			key: r.turn.subject.key, shared: len(r.turn.subject.algorithms) > 1,
			Question: q, newest: r.newest,
		},
		Call:   int64(r.begin),
		Output: r.answer,
		Return: int64(r.end),
	}
}

// A barrier lets no worker go on before all have come. A worker that waits stays awake for a
// while, so that all go on at once.
type barrier struct {
	parties int64
	awake   int // rounds, before a worker yields
	arrived atomic.Int64
}

func (b *barrier) wait() {
	const yielding = 64 // rounds, before a worker sleeps
	round := (b.arrived.Add(1) - 1) / b.parties
	for spins := 0; b.arrived.Load() < (round+1)*b.parties; spins++ {
		switch {
		case spins < b.awake:
		case spins < b.awake+yielding:
			runtime.Gosched()
		default:
			time.Sleep(20 * time.Microsecond)
		}
	}
}
