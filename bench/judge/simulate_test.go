package judge

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A simulation is clients of a limiter, which is the engine's store, in a time of its own.
type simulation struct {
	seed        uint64
	rule        Rule
	keys        int64
	connections int
	pipeline    int
	threads     int
	requests    int
	latency     time.Duration // mean of each way; one in a hundred is fifty times as long
	think       time.Duration // mean, between a batch and the next of a connection
	drift       int64         // how much faster the server's clock runs, in millionths
	// admits says of a request that was denied, whether the server admits it all the same.
	admits func(random *rand.Rand) bool
	// asked is the limit that the server keeps; the rule's if it is zero.
	asked engine.Limit
}

// serverEpoch is what the server's clock says when a run begins, in ns.
const serverEpoch = 1_800_000_000_123_456_789

// A batch is requests of a connection that are on their way.
type batch struct {
	connection              int
	sent, decided, received int64
}

type batches []batch

func (b batches) Len() int           { return len(b) }
func (b batches) Less(i, k int) bool { return b[i].decided < b[k].decided }
func (b batches) Swap(i, k int)      { b[i], b[k] = b[k], b[i] }
func (b *batches) Push(x any)        { *b = append(*b, x.(batch)) }
func (b *batches) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

func (s *simulation) server(at int64) int64 { return serverEpoch + at + at*s.drift/1e6 }

// run returns what each thread saw, in the order of receipt, and how many were denied and
// admitted all the same.
func (s *simulation) run() (seen [][]admission, denied, wrong int) {
	random := rand.New(rand.NewPCG(s.seed, 0))
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		panic(err)
	}
	limit := s.rule.Limit
	if s.asked.Limit() != 0 {
		limit = s.asked
	}
	span := func(mean time.Duration) int64 { return int64(random.ExpFloat64()*float64(mean)) + 1 }
	way := func() int64 {
		if random.IntN(100) == 0 {
			return span(50 * s.latency)
		}
		return span(s.latency)
	}
	next := func(connection int, at int64) batch {
		sent := at + span(s.think)
		decided := sent + way()
		return batch{connection, sent, decided, decided + way()}
	}
	var under batches
	for c := range s.connections {
		heap.Push(&under, next(c, 0))
	}
	seen = make([][]admission, s.threads)
	for range s.requests / s.pipeline {
		b := heap.Pop(&under).(batch)
		// The clock is read once, some time between the arrival and the first decision.
		now := s.server(b.sent+random.Int64N(b.decided-b.sent)) / 1000
		for range s.pipeline {
			key := random.Int64N(s.keys)
			d, err := store.Check(strconv.FormatInt(key, 10), s.rule.Algorithm, limit, s.rule.Cost, now)
			switch {
			case err != nil:
				panic(err)
			case !d.Allowed && (s.admits == nil || !s.admits(random)):
				denied++
				continue
			case !d.Allowed:
				wrong++
			}
			thread := b.connection % s.threads
			seen[thread] = append(seen[thread], admission{key, b.sent, b.received})
		}
		heap.Push(&under, next(b.connection, b.received))
	}
	for _, admissions := range seen {
		slices.SortStableFunc(admissions, func(a, b admission) int { return cmp.Compare(a.received, b.received) })
	}
	return seen, denied, wrong
}

// judge tells a judge what the threads saw: each what it saw in a while, in turns; or in wild turns,
// in which some run ahead of the others.
func (s *simulation) judge(seen [][]admission, wild bool) *Judge {
	random := rand.New(rand.NewPCG(s.seed, 1))
	j, err := New(s.rule, s.keys)
	if err != nil {
		panic(err)
	}
	for range 3 {
		sent := random.Int64N(1e6)
		at := sent + random.Int64N(int64(s.latency))
		j.SawTime(time.Duration(sent), time.Duration(at+random.Int64N(int64(s.latency))), s.server(at)/1000)
	}
	var witnesses []*Witness
	for range seen {
		witnesses = append(witnesses, j.Witness())
	}
	for turn, left := int64(1), true; left; turn++ {
		left = false
		for i := range seen {
			n := random.IntN(300) // of a thread that runs ahead of others, or behind
			if !wild {
				n = sort.Search(len(seen[i]), func(k int) bool { return seen[i][k].received > turn*int64(blockAge) })
			}
			for _, a := range seen[i][:min(n, len(seen[i]))] {
				witnesses[i].Admitted(a.key, time.Duration(a.sent), time.Duration(a.received))
			}
			seen[i] = seen[i][min(n, len(seen[i])):]
			left = left || len(seen[i]) > 0
		}
	}
	for _, w := range witnesses {
		w.Flush()
	}
	return j
}
