package parity_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/test/model"
)

var callSteps = flag.Int("callsteps", 20_000, "how many `steps` TestParityOfCalls takes at least")

// TestParityOfCalls compares what memory and Redis answer to calls under policies that change: the
// answer, and that of each part.
//
// Under a limit that was replaced, a peek in Redis moves units, and one in memory does not. So after a
// change the first question about a key is no peek.
func TestParityOfCalls(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(*seed, 1))
	count, answered := 0, map[string]int{}
	for n := 0; count < *callSteps; n++ {
		count += p.compareCalls(t, newCallScript(t, rand.New(rand.NewPCG(*seed, r.Uint64()))), answered)
		if t.Failed() {
			return
		}
		p.flush(t)
	}
	t.Logf("%d steps: %v", count, answered)
	for _, kind := range []string{
		"check admitted", "check denied", "check never", "force admitted", "force denied", "force never", "refund admitted", "peek denied",
		"delayed", "shadow denied", "shadow admitted", "with formers", "wrong type", "reset",
	} {
		if answered[kind] < 10 {
			t.Errorf("%d answers were of the kind %q", answered[kind], kind)
		}
	}
}

// compareCalls puts a sequence to Redis and to a store. It returns how many steps that were.
func (p *pair) compareCalls(t *testing.T, s *callScript, answered map[string]int) int {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const length = sequenceSteps
	questions := make([]engine.Question, length)
	told := make([]string, length)
	p.nows = nil
	for i := range questions {
		questions[i], told[i] = s.next()
		p.nows = append(p.nows, s.now)
	}
	memory := make([]engine.Question, length)
	for i, q := range questions {
		if memory[i] = q; q.Call != nil {
			own := *q.Call
			own.Parts = append([]engine.Part(nil), own.Parts...)
			memory[i].Call = &own
		}
	}
	nows := p.nows
	p.ask(p.limiters[engine.LogLimitDefault], questions)
	for i := range questions {
		m, q := &memory[i], &questions[i]
		if m.Call != nil {
			m.Err = store.AskCall(m.Call, nows[i])
		} else {
			store.AskAll(memory[i:i+1], nows[i])
		}
		if fromMemory, fromRedis := answerText(m), answerText(q); fromMemory != fromRedis {
			t.Errorf("step %d\n  memory: %s\n  Redis:  %s\nafter\n  %s", i, fromMemory, fromRedis, strings.Join(told[max(0, i-40):i+1], "\n  "))
			break
		}
		noteKinds(q, answered)
	}
	return length
}

// answerText is all of an answer.
func answerText(q *engine.Question) string {
	var wrong *engine.WrongTypeError
	if errors.As(q.Err, &wrong) {
		return fmt.Sprintf("%d owns it, %d asks", wrong.Owner, wrong.Asked)
	}
	text := fmt.Sprint(q.Err, q.Existed, q.Decision)
	if q.Call != nil {
		text = fmt.Sprint(q.Err, q.Call.Decision)
		for i := range q.Call.Parts {
			text += fmt.Sprintf("\n          %s %v", q.Call.Parts[i].State, q.Call.Parts[i].Decision)
		}
	}
	return text
}

// noteKinds counts what kinds of answers there were.
func noteKinds(q *engine.Question, answered map[string]int) {
	switch {
	case q.Err != nil:
		answered["wrong type"]++
		return
	case q.Reset:
		answered["reset"]++
		return
	case q.Call == nil:
		return
	}
	c := q.Call
	kind := []string{engine.OpCheck: "check ", engine.OpPeek: "peek ", engine.OpRefund: "refund ", engine.OpForce: "force "}[c.Op]
	switch {
	case c.Decision.Allowed:
		kind += "admitted"
	case c.Decision.RetryAfter == engine.Never:
		kind += "never"
	default:
		kind += "denied"
	}
	answered[kind]++
	if c.Decision.Delay > 0 {
		answered["delayed"]++
	}
	for i := range c.Parts {
		if part := &c.Parts[i]; part.Shadow && part.Decision.Allowed {
			answered["shadow admitted"]++
		} else if part.Shadow {
			answered["shadow denied"]++
		}
		if len(c.Parts[i].Formers) > 0 {
			answered["with formers"]++
		}
	}
}

// A callScript draws calls about some keys, and changes of their policies.
type callScript struct {
	*rand.Rand
	t        *testing.T
	set      *policy.Set
	policies []string
	keys     []string
	now      int64           // µs
	pace     int64           // µs
	asked    map[string]bool // pairs of a key and a policy that were asked since the policy changed
	used     map[string]bool // suffixes that there were
}

func newCallScript(t *testing.T, r *rand.Rand) *callScript {
	s := &callScript{Rand: r, t: t, policies: []string{"api", "b.2", "login"}, keys: []string{"user:1", "{eu}:2", "}"}, asked: map[string]bool{}, used: map[string]bool{}}
	s.now = model.Noon + s.Int64N(1e15)
	s.pace = []int64{10_000, 1_000_000, 600_000_000}[s.IntN(3)]
	s.set = policy.NewSet(func() int64 { return s.now }, engine.LogLimitDefault)
	for _, name := range s.policies {
		s.change(name)
	}
	return s
}

// change puts another definition in the place of a policy's. Its rules have states that there never were,
// or that the rules before have: where a rule comes back of which there is a state still, Redis moves a
// former's units to that and memory does not.
func (s *callScript) change(name string) {
	for {
		d := policy.Definition{Shadow: s.IntN(4) == 0}
		if before := s.set.Find(name); before != nil && s.IntN(2) == 0 {
			d.Rules = append(d.Rules, before.Plan().Rules[0])
		}
		for len(d.Rules) < 1+s.IntN(3) {
			if rule := s.rule(); !s.used[policy.Suffix(name, rule)] {
				d.Rules = append(d.Rules, rule)
			}
		}
		entries, err := s.set.Put(name, d)
		if err != nil { // two rules of one state
			continue
		}
		for _, rule := range d.Rules {
			s.used[policy.Suffix(name, rule)] = true
		}
		if err := s.set.Apply(entries); err != nil {
			s.t.Fatal(err)
		}
		for _, key := range s.keys {
			delete(s.asked, key+name)
		}
		return
	}
}

func (s *callScript) rule() policy.Rule {
	all := engine.Algorithms()
	rule := policy.Rule{Algorithm: all[s.IntN(len(all))]}
	limit, period := 1+s.Int64N(12), time.Duration(1+s.IntN(40))*[]time.Duration{time.Second, 15 * time.Second, time.Minute, time.Hour}[s.IntN(4)]
	burst := int64(0)
	if rule.Algorithm.HasBurst() {
		burst = s.Int64N(20)
		if s.IntN(4) == 0 {
			limit, period = 1+s.Int64N(1_000_000_000), time.Second<<s.IntN(24)
		}
	}
	var err error
	if rule.Limit, err = engine.NewLimit(limit, period, burst); err != nil {
		return s.rule()
	}
	if rule.Algorithm == engine.FixedWindow && s.IntN(3) == 0 {
		rule.Limit, err = engine.NewCalendarLimit(limit, []engine.Calendar{engine.Week, engine.Month, engine.Year}[s.IntN(3)])
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return rule
}

// next draws a question, and says what it is.
func (s *callScript) next() (engine.Question, string) {
	if s.now += s.Int64N(s.pace); s.IntN(30) == 0 {
		s.now += s.Int64N(100 * s.pace)
	}
	changed := ""
	if s.IntN(12) == 0 {
		name := s.policies[s.IntN(len(s.policies))]
		s.change(name)
		changed = name + " is " + s.set.Find(name).For("").String() + "; "
	}
	if s.IntN(15) == 0 {
		q := s.other()
		return q, fmt.Sprintf("%s%d: %v %d of %s %v reset %v", changed, s.now, q.Op, q.Cost, q.Key, q.Algorithm, q.Reset)
	}
	c := &engine.Call{Op: []engine.Op{engine.OpCheck, engine.OpPeek, engine.OpRefund, engine.OpForce}[max(s.IntN(12)-8, 0)], Cost: 1}
	if s.IntN(3) == 0 {
		c.Cost = 1 + s.Int64N(8)
	}
	text := ""
	for pair, n := range s.Perm(len(s.keys) * len(s.policies))[:1+s.IntN(3)] {
		key, name := s.keys[n/len(s.policies)], s.policies[n%len(s.policies)]
		if !s.asked[key+name] && c.Op == engine.OpPeek {
			c.Op = engine.OpCheck
		}
		s.asked[key+name] = true
		plan := s.set.Find(name).For(key)
		for _, l := range plan.Limits {
			part := engine.Part{State: key + l.Suffix, Algorithm: l.Algorithm, Limit: l.Limit, Pair: pair, Shadow: plan.Shadow}
			for _, f := range l.Formers {
				if s.now < f.Until {
					part.Formers = append(part.Formers, engine.Former{State: key + f.Suffix, Algorithm: f.Algorithm, Limit: f.Limit})
				}
			}
			c.Parts = append(c.Parts, part)
			text += fmt.Sprintf(" %s %v/%v", part.State, l.Limit.Limit(), l.Limit.Burst())
			for _, f := range part.Formers {
				text += " former " + f.State
			}
		}
	}
	return engine.Question{Call: c}, fmt.Sprintf("%s%d: %v %d of%s", changed, s.now, c.Op, c.Cost, text)
}

// other draws a question that is no call: about a state by its name, as a policy of one limit asks, or
// by somebody who does not know of policies.
func (s *callScript) other() engine.Question {
	key, name := s.keys[s.IntN(len(s.keys))], s.policies[s.IntN(len(s.policies))]
	limits := s.set.Find(name).For(key).Limits
	l := limits[s.IntN(len(limits))]
	q := engine.Question{Key: key + l.Suffix, Algorithm: l.Algorithm, Limit: l.Limit, Cost: 1 + s.Int64N(3)}
	switch s.IntN(3) {
	case 0:
		q.Reset = true
	case 1:
		q.Algorithm &^= engine.Named
		q.Op = engine.OpPeek
	default:
		if q.Op = engine.Op(s.IntN(4)); !s.asked[key+name] {
			q.Op = engine.OpPeek
		}
	}
	return q
}
