//go:build linux

package backend

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// A key of which all is taken when Redis's clock steps back an hour owes what it owed, and its time goes on
// from there. It is neither held for the hour nor forgiven.
func TestRedisClockStepsBack(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	r, now := harness.StartRedisWithClock(t, at)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "0").Client()
	inRedis := r.Client()
	for _, a := range harness.Algorithms() {
		ask := func(why string, want []int64, op, algorithm string, cost int) {
			t.Helper()
			if got := harness.Integers(t, c, "RL."+op, a, algorithm, 10, "1s", "COST", cost); !slices.Equal(got[:len(want)], want) {
				t.Errorf("%s, %s: %v; want %v", a, why, got, want)
			}
		}
		other := harness.Algorithms()[0]
		if a == other {
			other = harness.Algorithms()[1]
		}
		lasts := time.Second
		if a == engine.SlidingWindowCounter.String() { // until its slice is over
			lasts += time.Second / engine.CounterSlices
		}
		millis := (lasts + time.Millisecond - 1).Milliseconds()
		now.Set(at)
		ask("at first", []int64{1, 10, 0, 0, millis}, "CHECK", a, 10)
		back := at.Add(-time.Hour)
		now.Set(back)
		ask("after the step", []int64{0, 10, 0, millis, millis}, "PEEK", a, 10)
		now.Set(back.Add(time.Second))
		ask("a peek writes nothing", []int64{0, 10, 0, millis, millis}, "PEEK", a, 10)
		// The first to change the key finds the step, whatever is asked and answered.
		if err := c.Do(t.Context(), "RL.CHECK", a, other, 10, "1s").Err(); !redis.HasErrorPrefix(err, "WRONGTYPE") {
			t.Errorf("%s: another algorithm is told %v", a, err)
		}
		if left := inRedis.PTTL(t.Context(), "rl:"+a).Val(); left != time.Duration(millis)*time.Millisecond {
			t.Errorf("%s: Redis keeps the key for %v", a, left)
		}
		now.Set(back.Add(time.Second + lasts - time.Millisecond))
		ask("just before it is over", []int64{0, 10}, "CHECK", a, 10)
		now.Set(back.Add(time.Second + lasts))
		ask("when it is over", []int64{1, 10, 0, 0, millis}, "CHECK", a, 10)
		// A request that is denied finds it as well, and one that is admitted.
		now.Set(back)
		ask("after the next step", []int64{0, 10}, "CHECK", a, 1)
		now.Set(back.Add(lasts - time.Millisecond))
		ask("just before the next is over", []int64{0, 10}, "PEEK", a, 10)
		now.Set(back.Add(lasts))
		ask("when the next is over", []int64{1, 10}, "CHECK", a, 6)
		now.Set(back)
		ask("after the last step", []int64{1, 10, 0, 0}, "CHECK", a, 4)
		ask("full", []int64{0, 10, 0}, "CHECK", a, 1)
	}
}

// A window that runs when the clock steps back ends with one of the new clock's. Else the next one
// would be short, and the limit could be taken three times around it.
func TestRedisWindowAfterAStepBack(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	r, now := harness.StartRedisWithClock(t, at)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "0").Client()
	for i, row := range []struct {
		at   time.Duration
		cost int
		want []int64
	}{
		{0, 10, []int64{1, 10, 0, 0, 1000}},
		{-4300 * time.Millisecond, 1, []int64{0, 10, 0, 1300, 1300}},
		{-3001 * time.Millisecond, 1, []int64{0, 10, 0, 1, 1}},
		{-3000 * time.Millisecond, 10, []int64{1, 10, 0, 0, 1000}},
		{-2001 * time.Millisecond, 1, []int64{0, 10, 0, 1, 1}},
		{-2000 * time.Millisecond, 10, []int64{1, 10, 0, 0, 1000}},
	} {
		now.Set(at.Add(row.at))
		if got := harness.Integers(t, c, "RL.CHECK", "k", "fixed_window", 10, "1s", "COST", row.cost); !slices.Equal(got[:5], row.want) {
			t.Errorf("row %d, at %v: %v; want %v", i, row.at, got, row.want)
		}
	}
}
