package durability

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// A loss is what a server has forgotten that was acknowledged.
type loss struct {
	units    int64         // of counted keys
	commands int64         // about private keys
	age      time.Duration // before the kill, of the oldest of them
}

func (l *loss) add(m loss) {
	l.units, l.commands, l.age = l.units+m.units, l.commands+m.commands, max(l.age, m.age)
}

// found asks a node how many units of each key are taken: of counted keys first, then of
// private ones.
func (l *ledger) found(n *harness.Node) []int64 {
	n.T.Helper()
	c := harness.DialAddr(n.T, n.Addr())
	defer func() { _ = c.Close() }()
	var questions []*question
	for _, k := range l.counted {
		questions = append(questions, &k.question)
	}
	for _, k := range l.private {
		questions = append(questions, &k.question)
	}
	var taken []int64
	for part := range slices.Chunk(questions, 500) {
		var text strings.Builder
		for _, q := range part {
			text.WriteString(q.say("RL.PEEK", 1))
		}
		c.Send(text.String())
		for _, q := range part {
			got, err := c.Value().Integers()
			if err != nil || len(got) != 6 {
				n.T.Fatalf("RL.PEEK %s: %v %v", q.name, got, err)
			}
			taken = append(taken, q.most-got[2])
		}
	}
	return taken
}

// judge holds the ledger against a server that was killed and has started again. It may have
// forgotten what it has acknowledged since an instant; the zero instant is never. Then it
// makes the ledger say what was found.
func (l *ledger) judge(n *harness.Node, killed, since time.Time) (lost loss) {
	n.T.Helper()
	for i, taken := range l.found(n) {
		var one loss
		if i < len(l.counted) {
			one = l.counted[i].judge(n.T, taken, killed, since)
		} else {
			one = l.private[i-len(l.counted)].judge(n.T, taken, killed, since)
		}
		lost.add(one)
	}
	return lost
}

func (k *countedKey) judge(t testing.TB, taken int64, killed, since time.Time) (lost loss) {
	t.Helper()
	switch lost.units = max(0, k.known-taken); {
	case taken > k.known+k.asked:
		t.Errorf("%s: %d units are taken; %d were admitted and %d more asked for", k.name, taken, k.known, k.asked)
	case lost.units > 0:
		// The last ones are the ones that are forgotten.
		units, at := int64(0), killed
		for i := len(k.recent) - 1; i >= 0 && units < lost.units; i-- {
			units, at = units+k.recent[i].units, k.recent[i].at
		}
		lost.age = killed.Sub(at)
		if since.IsZero() || units < lost.units || at.Before(since) {
			t.Errorf("%s: %d units are forgotten of %d that were acknowledged, the oldest of them %v before the kill", k.name, lost.units, k.known, lost.age)
		}
	case since.IsZero() && k.admitted > k.most:
		t.Errorf("%s: %d units were admitted of a limit of %d", k.name, k.admitted, k.most)
	}
	k.known, k.asked, k.recent = taken, 0, nil
	return lost
}

func (k *privateKey) judge(t testing.TB, taken int64, killed, since time.Time) (lost loss) {
	t.Helper()
	if taken != k.known && !slices.Contains(k.future, taken) {
		found := false
		for i := len(k.past) - 1; i >= 0 && !found; i-- {
			lost.commands++
			lost.age = killed.Sub(k.past[i].at)
			if since.IsZero() || k.past[i].at.Before(since) {
				break
			}
			found = k.past[i].before == taken
		}
		if !found {
			t.Errorf("%s: %d units are taken, which it was at no time that it may be at now: %d after %d answers, then %v without one",
				k.name, taken, k.known, len(k.past), k.future)
		}
	}
	k.known, k.past, k.future = taken, nil, nil
	return lost
}

// full is how many counted keys have no unit left.
func (l *ledger) full() (n int) {
	for _, k := range l.counted {
		if k.known == k.most {
			n++
		}
	}
	return n
}

// flushed says whether a FLUSHALL that was not answered, sent while nothing else was under
// way, has happened. It happens to all keys or to none.
func (l *ledger) flushed(n *harness.Node) (happened bool) {
	n.T.Helper()
	kept, gone := 0, 0
	for i, taken := range l.found(n) {
		var known int64
		if i < len(l.counted) {
			known = l.counted[i].known
		} else {
			known = l.private[i-len(l.counted)].known
		}
		switch {
		case known == 0 && taken == 0:
		case taken == known:
			kept++
		case taken == 0:
			gone++
		default:
			n.T.Errorf("key %d: %d units are taken after a FLUSHALL that was cut off, and %d were before", i, taken, known)
		}
	}
	if kept > 0 && gone > 0 {
		n.T.Errorf("a FLUSHALL that was cut off has forgotten %d keys and kept %d", gone, kept)
	}
	return gone > 0
}
