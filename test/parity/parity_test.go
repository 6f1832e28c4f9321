package parity_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/lua"
	"github.com/rlserver/rlserver/test/harness"
	"github.com/rlserver/rlserver/test/model"
)

var (
	steps = flag.Int("steps", 40_000, "how many `steps` TestParity takes at least")
	seed  = flag.Uint64("seed", 0, "the `seed` of its sequences; 0: a new one")
)

// sequenceSteps is the length of a sequence; logSteps of one that fills long logs.
const (
	sequenceSteps = 200
	logSteps      = 4000
)

// TestBothKnowTheSameAlgorithms fails as long as an algorithm is missing on one side.
func TestBothKnowTheSameAlgorithms(t *testing.T) {
	if memory, redis := engine.Algorithms(), lua.Algorithms(); !slices.Equal(memory, redis) {
		t.Errorf("memory knows %v and Redis %v", memory, redis)
	}
}

// TestParity compares every field of every reply.
func TestParity(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(*seed, 0))
	count, answered := 0, map[string]int{}
	for n := 0; count < *steps; n++ {
		s, length := model.NewScript(rand.New(rand.NewPCG(*seed, r.Uint64())), fmt.Sprint("s", n)), sequenceSteps
		if n%15 == 0 {
			s.FillLogs()
			length = logSteps
		}
		count += length
		sequence := make([]model.Step, length)
		for i := range sequence {
			sequence[i] = s.Next()
		}
		p.compare(t, sequence, s.StepsBack(), answered)
		p.bounded(t, sequence)
		if t.Failed() {
			return
		}
		p.flush(t)
	}
	t.Logf("%d steps: %v", count, answered)
	for _, kind := range []string{"admitted", "denied", "never", "refunded", "reset", "wrong type", "delayed"} {
		if answered[kind] == 0 {
			t.Errorf("no answer of the kind %q was among them", kind)
		}
	}
}

// A pair is a Redis, behind limiters whose clock the test sets.
type pair struct {
	redis    *redis.Client
	limiters map[int64]*lua.Limiter // by the highest limit of a log
	nows     []int64                // of the next questions
}

func newPair(t *testing.T) *pair {
	server := harness.StartRedis(t)
	p := &pair{redis: server.Client(), limiters: map[int64]*lua.Limiter{}}
	for _, logLimitMax := range model.LogLimits {
		limiter, err := lua.New(lua.Options{
			Mode: lua.Single, Addrs: []string{server.Addr()}, Prefix: "rl:", Pipelines: 1, LogLimitMax: logLimitMax,
			Tuning: lua.Tuning{Timeout: 20 * time.Second, OnFailure: lua.FailError, LocalShare: 1},
			Logger: slog.New(slog.DiscardHandler),
			Clock: func() int64 {
				if len(p.nows) == 0 {
					return model.Noon // of the warm-up
				}
				now := p.nows[0]
				p.nows = p.nows[1:]
				return now
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(limiter.Close)
		p.limiters[logLimitMax] = limiter
		p.ask(limiter, []engine.Question{{Key: "warm-up", Reset: true}}) // the scripts are there from now on
	}
	return p
}

func (p *pair) ask(limiter *lua.Limiter, questions []engine.Question) {
	done := make(chan struct{})
	limiter.Ask(&engine.Batch{Questions: questions, Done: func() { close(done) }})
	<-done
}

// flush empties Redis, where nothing expires in this test.
func (p *pair) flush(t *testing.T) {
	if err := p.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// bounded makes sure that keys have no more entries of a log than the highest limit and one, or
// where a log is too long to be written whole, twice as many; and of a counter one for each slice.
func (p *pair) bounded(t *testing.T, sequence []model.Step) {
	t.Helper()
	const before, entry, whole, slices = 54, 11, 2048, engine.CounterSlices + 1
	most := max(sequence[0].LogLimitMax+1, slices)
	if before+entry*most >= whole {
		most *= 2
	}
	keys := map[string]bool{}
	for _, s := range sequence {
		keys[s.Key] = true
	}
	for key := range keys {
		if n, err := p.redis.StrLen(t.Context(), "rl:"+key).Result(); err != nil || n > before+entry*most {
			t.Errorf("%s takes %d bytes, %v; want at most %d entries", key, n, err, most)
		}
	}
}

// compare puts a sequence to Redis, to a store and to the model. A store takes a clock that steps
// back for a caller that is late, and Redis does not: there only the model is compared.
func (p *pair) compare(t *testing.T, sequence []model.Step, stepsBack bool, answered map[string]int) {
	t.Helper()
	logLimitMax := cmp.Or(sequence[0].LogLimitMax, engine.LogLimitDefault)
	store, err := engine.NewStore(engine.Options{LogLimitMax: logLimitMax})
	if err != nil {
		t.Fatal(err)
	}
	referee := model.NewBackend()
	questions := make([]engine.Question, len(sequence))
	p.nows = nil
	for i, s := range sequence {
		questions[i] = s.Asked(s.Key)
		p.nows = append(p.nows, s.Now)
	}
	p.ask(p.limiters[logLimitMax], questions)
	for i, s := range sequence {
		right := referee.Ask(s.Key, s.Question)
		fromMemory := right
		if !stepsBack {
			if fromMemory, err = s.Of(store, s.Key); err != nil {
				t.Fatalf("memory: %v to %v", err, s)
			}
		}
		fromRedis, err := answerOf(questions[i])
		if err != nil || fromRedis != fromMemory {
			t.Errorf("step %d of %s\n  memory: %v\n  Redis:  %v %v\n  model:  %v\nafter\n%s", i, s.Key, fromMemory, fromRedis, err, right, before(sequence[:i+1]))
			return
		}
		answered[kindOf(s, right)]++
		if right.Decision.Delay > 0 {
			answered["delayed"]++
		}
		if fromMemory != right {
			t.Errorf("step %d of %s: both say %v, the model %v, after\n%s", i, s.Key, fromMemory, right, before(sequence[:i+1]))
			return
		}
	}
}

// answerOf is Redis's answer in the words of the model.
func answerOf(q engine.Question) (model.Answer, error) {
	var wrong *engine.WrongTypeError
	switch {
	case errors.As(q.Err, &wrong) && wrong.Asked == q.Algorithm:
		return model.Answer{Owner: wrong.Owner}, nil
	case q.Reset:
		return model.Answer{Live: q.Existed}, q.Err
	}
	return model.Answer{Decision: q.Decision}, q.Err
}

func kindOf(s model.Step, a model.Answer) string {
	switch {
	case s.Op == model.Reset:
		return "reset"
	case a.Owner != 0:
		return "wrong type"
	case s.Op == model.Refund:
		return "refunded"
	case a.Decision.Allowed:
		return "admitted"
	case a.Decision.RetryAfter == engine.Never:
		return "never"
	}
	return "denied"
}

// before lists the last steps on the last one's key.
func before(sequence []model.Step) string {
	var lines []string
	last := sequence[len(sequence)-1]
	for _, s := range slices.Backward(sequence) {
		if s.Key == last.Key && len(lines) < 30 {
			lines = append(lines, "  "+s.String())
		}
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}
