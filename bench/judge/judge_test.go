package judge

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

func limitOf(units int64, period time.Duration, burst int64) engine.Limit {
	l, err := engine.NewLimit(units, period, burst)
	if err != nil {
		panic(err)
	}
	return l
}

// simulations calls what follows for each algorithm, with limits, loads and latencies of many kinds.
func simulations(t *testing.T, check func(t *testing.T, s *simulation)) {
	for _, a := range engine.Algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(60) {
				random := rand.New(rand.NewPCG(seed, 2))
				pick := func(from ...int64) int64 { return from[random.IntN(len(from))] }
				limit := pick(1, 2, 3, 10, 100, 1000)
				burst := limit
				if a.HasBurst() {
					burst = pick(1, limit, 3*limit)
				}
				s := &simulation{
					seed: seed,
					rule: Rule{
						Algorithm: a,
						Limit:     limitOf(limit, time.Duration(pick(1, 7, 100, 1000))*time.Millisecond, burst),
						Cost:      pick(1, 1, 1, 3),
						Tick:      time.Microsecond,
						Remote:    random.IntN(4) == 0,
					},
					keys:        pick(1, 1, 10, 300),
					connections: int(pick(1, 2, 50)),
					pipeline:    int(pick(1, 4, 64)),
					threads:     int(pick(1, 2, 5)),
					requests:    20_000,
					latency:     time.Duration(pick(5, 50, 1000)) * time.Microsecond,
					think:       time.Duration(pick(1, 100, 10_000)) * time.Microsecond,
				}
				if s.rule.Remote {
					s.drift = 480
				}
				check(t, s)
			}
		})
	}
}

func (s *simulation) String() string {
	return fmt.Sprintf("seed %d: %v %d/%v burst %d cost %d, %d keys, %d connections, pipeline %d, %d threads, latency %v, think %v, drift %d",
		s.seed, s.rule.Algorithm, s.rule.Limit.Limit(), s.rule.Limit.Period(), s.rule.Limit.Burst(), s.rule.Cost,
		s.keys, s.connections, s.pipeline, s.threads, s.latency, s.think, s.drift)
}

// A server that keeps its limit is not accused, whatever its latencies and the order in which
// threads tell what they saw.
func TestRightLimitersAreNotAccused(t *testing.T) {
	simulations(t, func(t *testing.T, s *simulation) {
		seen, _, _ := s.run()
		j := s.judge(seen, s.seed%2 == 0)
		if found := j.Violations(); len(found) > 0 {
			t.Errorf("%v\naccused of %+v", s, found)
		}
		if err := j.Err(); err != nil || j.Unjudged() != 0 {
			t.Errorf("%v\n%v, %d keys not judged", s, err, j.Unjudged())
		}
	})
}

// A server is caught that admits one of ten thousand requests that it ought to deny, and one that
// admits one unit more than the limit.
func TestWrongLimitersAreCaught(t *testing.T) {
	oneOf := func(n int) func(s *simulation) {
		return func(s *simulation) {
			s.admits = func(random *rand.Rand) bool { return random.IntN(n) == 0 }
		}
	}
	oneMore := func(s *simulation) {
		if l := &s.rule.Limit; s.rule.Algorithm.HasBurst() {
			s.asked = limitOf(l.Limit(), l.Period(), l.Burst()+1)
		} else {
			s.asked = limitOf(l.Limit()+1, l.Period(), 0)
		}
	}
	for _, c := range []struct {
		name  string
		keys  int64
		wrong func(s *simulation)
		want  int // keys
	}{
		{"one in 10,000", 1, oneOf(10_000), 1},
		{"one in 10,000, many keys", 100, oneOf(10_000), 8}, // of about 13
		{"one unit more", 10, oneMore, 10},
	} {
		for _, a := range engine.Algorithms() {
			for _, threads := range []int{1, 3} {
				s := &simulation{
					seed:        7,
					rule:        Rule{Algorithm: a, Limit: limitOf(10, 500*time.Millisecond, 10), Cost: 1, Tick: time.Microsecond},
					keys:        c.keys,
					connections: 20,
					pipeline:    16,
					threads:     threads,
					requests:    150_000,
					latency:     200 * time.Microsecond,
					think:       2000 * time.Microsecond,
				}
				c.wrong(s)
				seen, denied, wrong := s.run()
				found := s.judge(seen, false).Violations()
				t.Logf("%s, %v, %d threads: %d denied, %d admitted wrongly, %d keys accused", c.name, a, threads, denied, wrong, len(found))
				if len(found) < c.want {
					t.Errorf("%d keys are accused, want %d\n%v", len(found), c.want, s)
				}
			}
		}
	}
}

// Threads tell a judge what they saw while others do.
func TestWitnessesTellAtOnce(t *testing.T) {
	j, err := New(Rule{Algorithm: engine.TokenBucket, Limit: limitOf(10, time.Second, 0), Cost: 1}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			w := j.Witness()
			for i := range int64(10_000) {
				sent := time.Duration(1000 * i)
				w.Admitted(i%100, sent, sent+100)
			}
			w.Flush()
		})
	}
	all.Wait()
	// Of each key 100 by each of 4, where 10 are allowed in the first 100 ms.
	for _, v := range j.Violations() {
		if v.Admitted != 400 || v.Allowed != 10 {
			t.Fatalf("%+v", v)
		}
	}
	if again := j.Violations(); len(again) > 0 {
		t.Errorf("told once more: %+v", again)
	}
}

// A window of the calendar ends where the server's clock says that it does: here a week, a month and a year
// at once, a second after the run began.
func TestCalendarWindows(t *testing.T) {
	const newYear = 1_704_067_200 // s: 2024-01-01, a Monday
	for _, c := range []engine.Calendar{engine.Week, engine.Month, engine.Year} {
		limit, err := engine.NewCalendarLimit(3, c)
		if err != nil {
			t.Fatal(err)
		}
		for wrong, last := range map[bool]time.Duration{false: 900 * time.Millisecond, true: 1100 * time.Millisecond} {
			j, err := New(Rule{Algorithm: engine.FixedWindow, Limit: limit, Cost: 1, Tick: time.Microsecond}, 1)
			if err != nil {
				t.Fatal(err)
			}
			j.SawTime(0, time.Millisecond, (newYear-1)*1_000_000)
			w := j.Witness()
			for _, at := range []time.Duration{800 * time.Millisecond, 850 * time.Millisecond, last, 1200 * time.Millisecond, 1300 * time.Millisecond, 1400 * time.Millisecond} {
				w.Admitted(0, at, at+time.Millisecond)
			}
			w.Flush()
			if found := j.Violations(); (len(found) == 1) != wrong || j.Err() != nil {
				t.Errorf("%v, the third at %v: %+v, %v", c, last, found, j.Err())
			}
		}
	}
}

// What cannot be judged is said to be so.
func TestUnjudged(t *testing.T) {
	window := Rule{Algorithm: engine.FixedWindow, Limit: limitOf(1, time.Second, 0), Cost: 1}
	j, _ := New(window, 1)
	tell := func() []Violation {
		w := j.Witness()
		for range 3 {
			w.Admitted(0, 1, 2)
		}
		w.Flush()
		return j.Violations()
	}
	if found := tell(); len(found) > 0 || !errors.Is(j.Err(), errNoTime) {
		t.Errorf("without the time: %v %v", found, j.Err())
	}
	j.SawTime(0, time.Millisecond, serverEpoch/1000)
	if found := tell(); len(found) != 1 || j.Err() != nil {
		t.Errorf("with the time: %v %v", found, j.Err())
	}
	j.SawTime(time.Second, time.Second+time.Millisecond, serverEpoch/1000)
	if found := tell(); len(found) > 0 || !errors.Is(j.Err(), errTimeSet) {
		t.Errorf("after the clock was set: %v %v", found, j.Err())
	}
	if j, _ = New(window, 1<<40); j.Unjudged() != 1<<40-cellBytesMax/windowBytes {
		t.Errorf("%d keys of 2^40 are not judged", j.Unjudged())
	}
	j.Witness().Admitted(1<<40-1, 1, 2)
	window.Cost = 0
	if _, err := New(window, 1); err == nil {
		t.Error("a cost of 0 is judged")
	}
}

func BenchmarkAdmitted(b *testing.B) {
	for _, a := range engine.Algorithms() {
		for _, keys := range []int64{1, 100_000, 5_000_000} {
			b.Run(fmt.Sprintf("%v/%d", a, keys), func(b *testing.B) {
				j, _ := New(Rule{Algorithm: a, Limit: limitOf(1000, time.Second, 0), Cost: 1}, keys)
				j.SawTime(0, 1, serverEpoch/1000)
				w, random := j.Witness(), rand.New(rand.NewPCG(0, 0))
				order := make([]int64, 1<<16)
				for i := range order {
					order[i] = random.Int64N(keys)
				}
				// The rate of one key is the limit's, and that of many keys what a server can do.
				step := max(1000, 1_000_000/keys)
				b.ReportAllocs()
				for i := int64(0); b.Loop(); i++ {
					sent := time.Duration(i * step)
					w.Admitted((order[i&(1<<16-1)]+i>>16)%keys, sent, sent+100_000)
				}
			})
		}
	}
}
