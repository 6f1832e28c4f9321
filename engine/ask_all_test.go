package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// AskAll answers what the same questions get one by one, in the same order, errors and resets
// included, and leaves the store as they do.
func TestAskAllAnswersAsAsk(t *testing.T) {
	long := strings.Repeat("k", KeyBytesMax)
	keys := []string{"", "k", "user:123", "user:456", "0123456789abcdef", "\x00\x00\x00\x00\x00\x00\x00\x00", "a key that is not short", long, long + "k"}
	rapid.Check(t, func(t *rapid.T) {
		one, all := mustStore(), mustStore()
		now := drawStart(t)
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			var questions []Question
			for range rapid.IntRange(0, 3*askAllAhead).Draw(t, "questions") {
				a := rapid.SampledFrom(append(Algorithms(), algorithmEnd)).Draw(t, "algorithm")
				l := Limit{}
				if a.Valid() {
					l = drawLimit(t, a)
				}
				questions = append(questions, Question{
					Key:   rapid.SampledFrom(keys).Draw(t, "key"),
					Reset: rapid.IntRange(0, 9).Draw(t, "reset") == 0,
					Op:    drawOp(t), Algorithm: a, Limit: l, Cost: rapid.Int64Range(0, 3).Draw(t, "cost"),
					// What is left of an answer before.
					Decision: Decision{Limit: 1}, Existed: true, Err: ErrNoMemory,
				})
			}
			all.AskAll(questions, now)
			for i := range questions {
				q := &questions[i]
				got := fmt.Sprint(q.Decision, q.Err)
				var want string
				if q.Reset {
					got, want = fmt.Sprint(q.Existed, q.Err), fmt.Sprint(one.Reset(q.Key, now), nil)
				} else {
					d, err := ask(one, q.Op, q.Key, q.Algorithm, q.Limit, q.Cost, now)
					want = fmt.Sprint(d, err)
				}
				if got != want {
					t.Fatalf("question %d, %+v: %s, but alone %s", i, q, got, want)
				}
			}
			if one.Stats() != all.Stats() {
				t.Fatalf("%+v, but one by one %+v", all.Stats(), one.Stats())
			}
			now = min(now+rapid.Int64Range(0, 100*sec).Draw(t, "later"), NowMicrosMax)
		}
	})
}

// AskAll allocates nothing for keys that exist.
func TestAskAllAllocatesNothing(t *testing.T) {
	s, questions := mustStore(), make([]Question, 64)
	for i := range questions {
		questions[i] = Question{Key: fmt.Sprintf("user:%d", i), Algorithm: TokenBucket, Limit: mustLimit(1000, time.Hour, 0), Cost: 1}
	}
	s.AskAll(questions, noon)
	allocations := testing.AllocsPerRun(100, func() { s.AskAll(questions, noon) })
	for i := range questions {
		if q := &questions[i]; q.Err != nil || !q.Decision.Allowed {
			t.Fatalf("%+v", q)
		}
	}
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
