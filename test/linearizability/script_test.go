package linearizability

import (
	"fmt"
	"math/rand/v2"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// What the workers are going to do in a round is drawn before it begins, so that nothing
// but the store stands between one call and the next.

const (
	// subjects is how many keys are under test in a round.
	subjects = 8
	// callsPerKey is how often a key is asked about in a round, by all workers together.
	// Few enough that an order is found, or excluded, in a moment.
	callsPerKey = 48
)

// A subject is a key under test.
type subject struct {
	key        string
	algorithms []engine.Algorithm // one, or the two that share the key
	limits     [2]engine.Limit    // the one that most calls are about, and another
}

// A turn is what a worker does next: a call about a key under test, and something besides.
type turn struct {
	subject  *subject
	question model.Question // but for when
	// slow says that the worker reads the clock long before it asks.
	slow bool
	// advance is by how much (µs) the worker moves the clock afterwards.
	advance int64
	// fill is how many filler keys it inserts then, and sweep how many keys it looks at
	// that may be idle.
	fill, sweep int
}

// drawSubjects draws the keys of a round. Each algorithm has some of its own, and the last
// two keys are shared by two.
func drawSubjects(random *rand.Rand, lengths []int, round int) []subject {
	all := engine.Algorithms()
	drawn := make([]subject, subjects)
	for i := range drawn {
		first := (round + i) % len(all)
		s := subject{
			key:        pad(fmt.Sprintf("k%x.%d", round, i), lengths[random.IntN(len(lengths))]),
			algorithms: all[first : first+1],
			limits:     [2]engine.Limit{limits[random.IntN(len(limits))], limits[random.IntN(len(limits))]},
		}
		if i >= subjects-2 {
			s.algorithms = []engine.Algorithm{all[first], all[(first+1)%len(all)]}
		}
		drawn[i] = s
	}
	return drawn
}

// drawScript draws a worker's turns. Half of them go from key to key in an order that is
// the same for all workers, so that they meet, and touch each key for the first time
// together.
func drawScript(random *rand.Rand, keys []subject, turns int, p phase) []turn {
	script := make([]turn, turns*len(keys))
	for i := range script {
		s := &keys[i/turns]
		if i%turns > 0 && random.IntN(2) == 0 {
			s = &keys[random.IntN(len(keys))]
		}
		script[i] = drawTurn(random, s, p)
	}
	return script
}

func drawTurn(random *rand.Rand, s *subject, p phase) turn {
	l := s.limits[0]
	if random.IntN(5) == 0 {
		l = s.limits[1]
	}
	q := model.Question{
		Op:        drawOp(random),
		Algorithm: s.algorithms[random.IntN(len(s.algorithms))],
		Limit:     l,
		Cost:      1,
	}
	if random.IntN(3) == 0 {
		q.Cost += random.Int64N(l.Limit() + 1) // up to one too many
	}
	u := turn{subject: s, question: q, slow: random.IntN(16) == 0, fill: random.IntN(p.fillMax + 1)}
	if random.IntN(4) == 0 {
		u.sweep = random.IntN(p.sweepMax + 1)
	}
	switch draw := random.IntN(64); {
	case draw == 0: // to where keys are idle
		u.advance = 100_000 + random.Int64N(lag-100_000)
	case draw < 24:
		u.advance = random.Int64N(2000)
	}
	return u
}

func drawOp(random *rand.Rand) model.Op {
	switch draw := random.IntN(100); {
	case draw < 14:
		return model.Peek
	case draw < 30:
		return model.Refund
	case draw < 36:
		return model.Reset
	case draw < 44:
		return model.Lookup
	case draw < 48:
		return model.Force
	}
	return model.Check
}
