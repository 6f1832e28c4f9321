package model

import (
	"errors"
	"fmt"

	"github.com/rlserver/rlserver/engine"
)

// An Op is what is asked of a key.
type Op uint8

// The operations: those of engine.Store that are about one key.
const (
	Check Op = iota
	Peek
	Refund
	Force
	Reset
	Lookup
)

var opNames = [...]string{Check: "check", Peek: "peek", Refund: "refund", Force: "force", Reset: "reset", Lookup: "lookup"}

func (o Op) String() string { return opNames[o] }

// A Question is one call about a key. Reset and Lookup use Now alone.
type Question struct {
	Op        Op
	Algorithm engine.Algorithm
	Limit     engine.Limit
	Cost      int64 // units
	Now       int64 // µs since the Unix epoch
	// LogLimitMax is the highest limit of a log that the limiter accepts; 0: that of a store
	// which was told of none.
	LogLimitMax int64
}

func (q Question) String() string {
	if q.Op == Reset || q.Op == Lookup {
		return fmt.Sprintf("%v at %d", q.Op, q.Now)
	}
	return fmt.Sprintf("%v %d of %v %d/%s burst %d at %d",
		q.Op, q.Cost, q.Algorithm, q.Limit.Limit(), q.Limit.PeriodText(), q.Limit.Burst(), q.Now)
}

// An Answer is all that a caller learns, so that two answers can be compared whole.
type Answer struct {
	Decision engine.Decision
	// Owner is the other algorithm that the key belongs to, where that is the answer, and
	// for Lookup the key's.
	Owner engine.Algorithm
	// Live says for Reset and Lookup whether there is a key that is not idle.
	Live       bool
	IdleMicros int64 // for Lookup, when the key is idle
	// NoMemory is engine.ErrNoMemory, which a Key never answers: it knows no bound.
	NoMemory bool
}

func (a Answer) String() string {
	switch {
	case a.NoMemory:
		return "no memory"
	case a.Decision != engine.Decision{}:
		return fmt.Sprintf("%+v", a.Decision)
	}
	return fmt.Sprintf("owner %v, live %v, idle at %d", a.Owner, a.Live, a.IdleMicros)
}

// asked are the operations that take or give units, as a limiter is asked for them.
var asked = map[Op]engine.Op{Check: engine.OpCheck, Peek: engine.OpPeek, Refund: engine.OpRefund, Force: engine.OpForce}

// Asked is the question as a backend is asked it.
func (q Question) Asked(key string) engine.Question {
	if q.Op == Reset {
		return engine.Question{Key: key, Reset: true}
	}
	return engine.Question{Key: key, Op: asked[q.Op], Algorithm: q.Algorithm, Limit: q.Limit, Cost: q.Cost}
}

// Of puts the question to a store. The error is one that no answer stands for.
func (q Question) Of(s *engine.Store, key string) (Answer, error) {
	var a Answer
	var err error
	switch q.Op {
	case Check, Peek, Refund, Force:
		err = s.Ask(asked[q.Op], key, q.Algorithm, &q.Limit, q.Cost, q.Now, &a.Decision)
	case Reset:
		a.Live = s.Reset(key, q.Now)
	case Lookup:
		var info engine.KeyInfo
		if info, a.Live = s.Lookup(key, q.Now); a.Live && info.Key != key {
			return a, fmt.Errorf("lookup of %q found %q", key, info.Key)
		}
		a.Owner, a.IdleMicros = info.Algorithm, info.IdleMicros
	default:
		return a, fmt.Errorf("operation %d is not known", q.Op)
	}
	var wrong *engine.WrongTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Asked == q.Algorithm:
		a.Owner = wrong.Owner
		return a, nil
	case errors.Is(err, engine.ErrNoMemory):
		a.NoMemory = true
		return a, nil
	}
	return a, err
}
