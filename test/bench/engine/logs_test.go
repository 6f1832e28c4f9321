package engine_test

import (
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// logLimit is the limit of the logs that are measured, all full: as many entries.
const logLimit = 10_000

// A logState is a state that a full log can be in for long.
type logState struct {
	name   string
	period time.Duration
	// step is how far the clock goes on between two checks of a key, in µs.
	step int64
	// admits says whether every check is admitted, or none.
	admits bool
}

// While checks are denied the clock goes on, but an hour of microseconds is more checks
// than are made, so no entry leaves; a token bucket of the same limit has one unit more
// every 360,000 checks. In steady state one entry leaves at the instant of each check, so
// every check is admitted and writes.
var logStates = []logState{
	{name: "denied", period: time.Hour, step: 1},
	{name: "steady", period: 10 * time.Second, step: 1000, admits: true},
}

// confirm makes sure that what was measured is what the state says.
func (s logState) confirm(t testing.TB, done tally) {
	t.Helper()
	if others := done.checks - done.admitted; s.admits && others > 0 {
		t.Fatalf("%d of %d checks were denied; this is of checks that are admitted", others, done.checks)
	}
	if !s.admits && done.admitted > done.checks/100_000+1 {
		t.Fatalf("%d of %d checks were admitted; this is of checks that are denied", done.admitted, done.checks)
	}
}

// A roundWalker supplies one goroutine with one key after the other, and after each round
// with a later instant.
type roundWalker struct {
	keys   []string
	next   int
	now    int64           // µs
	step   int64           // µs
	answer engine.Decision // to the last question
}

// ask asks the next question, and says whether the answer was yes.
func (w *roundWalker) ask(check checkFunc) bool {
	if w.next == len(w.keys) {
		w.next = 0
		w.now += w.step
	}
	check(w.keys[w.next], w.now, &w.answer)
	w.next++
	return w.answer.Allowed
}

// fullLogs makes a store whose keys have all that the limit allows, admitted a step apart,
// and a walker that goes on from there.
func fullLogs(s logState, a engine.Algorithm, keys int) (checkFunc, *roundWalker) {
	check := storeCheck(newStore(), a, mustLimit(logLimit, s.period, 0))
	w := &roundWalker{keys: heldKeys(keys), now: firstNow, step: s.step}
	for range keys * logLimit {
		if !w.ask(check) {
			panic("enginebench: a log is full too soon")
		}
	}
	return check, w
}

// logKeys are the numbers of keys: one log, all of which is in the cache, and more of them
// than fit into a core's own.
var logKeys = []int{1, 16}

// logAlgorithms are the algorithms that are compared. One goroutine asks, because what is
// compared is the length of a step and not what happens when two collide.
var logAlgorithms = []engine.Algorithm{engine.SlidingWindowLog, engine.TokenBucket}
