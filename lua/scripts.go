package lua

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/rlserver/rlserver/engine"
)

//go:embed head.lua
var headSource string

//go:embed meter.lua
var meterSource string

//go:embed sliding_window_log.lua
var logSource string

//go:embed reset.lua
var resetSource string

// A script is a Lua script with the SHA-1 by which Redis knows it.
type script struct{ source, sha string }

func newScript(body string) script {
	source := headSource + body
	sum := sha1.Sum([]byte(source)) // Redis's choice
	return script{source, hex.EncodeToString(sum[:])}
}

var (
	meterScript = newScript(meterSource)
	logScript   = newScript(logSource)
	resetScript = newScript(resetSource)
	// scripts are all of them: a Redis that lacks one is given all.
	scripts = []script{meterScript, logScript, resetScript}
)

// A row is how one algorithm is asked in Redis.
type row struct {
	letter string // that its keys begin with
	script script
	// arguments appends the script's ARGV[3] and following.
	arguments func(to []any, q *engine.Question) []any
	// explain computes the answer from the script's reply.
	explain func(q *engine.Question, reply any) error
}

// rows is the table of algorithms, by the engine's numbers.
var rows = [...]row{
	engine.TokenBucket:      {"t", meterScript, meterArguments, explainMeter},
	engine.LeakyBucket:      {"l", meterScript, meterArguments, explainMeter},
	engine.SlidingWindowLog: {"w", logScript, logArguments, explainLog},
}

// Algorithms are those that can be asked in Redis.
func Algorithms() (known []engine.Algorithm) {
	for a := range rows {
		if rows[a].letter != "" {
			known = append(known, engine.Algorithm(a))
		}
	}
	return known
}

// clockArgument is where a test's clock stands among a script's arguments, from 0.
const clockArgument = 8

var opLetters = [...]string{engine.OpCheck: "c", engine.OpPeek: "p", engine.OpRefund: "r"}

// command is the EVALSHA of a question. clock is an instant (µs) in place of Redis's, or
// negative.
func command(q *engine.Question, prefix string, clock int64) []any {
	args := make([]any, 0, 4+clockArgument+1)
	if q.Reset {
		args = append(args, "evalsha", resetScript.sha, 1, prefix+q.Key, "", "x")
	} else {
		r := &rows[q.Algorithm]
		args = append(args, "evalsha", r.script.sha, 1, prefix+q.Key, r.letter, opLetters[q.Op])
		args = r.arguments(args, q)
	}
	if clock >= 0 {
		for len(args) < 4+clockArgument {
			args = append(args, "")
		}
		args = append(args, clock)
	}
	return args
}

// explain reads a script's reply into the question.
func explain(q *engine.Question, reply any) error {
	if q.Reset {
		n, ok := reply.(int64)
		q.Existed = n == 1
		return unless(ok && n >= 0 && n <= 1, reply)
	}
	return rows[q.Algorithm].explain(q, reply)
}

// unless is an error for a reply that no script of ours gives.
func unless(ok bool, reply any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("the script's reply %.100q is not understood", fmt.Sprint(reply))
}

// appendSpan appends a span of ns as seconds and nanoseconds.
func appendSpan(to []any, span int64) []any {
	return append(to, span/int64(time.Second), span%int64(time.Second))
}

func meterArguments(to []any, q *engine.Question) []any {
	switch slack := q.Limit.Slack(q.Cost); {
	case q.Op == engine.OpRefund:
		return appendSpan(to, q.Limit.Refund(q.Cost))
	case slack < 0:
		return append(to, 0, 0, -1, 0)
	default:
		return appendSpan(appendSpan(to, q.Limit.Price(q.Cost)), slack)
	}
}

func explainMeter(q *engine.Question, reply any) error {
	debt, ok := reply.(int64)
	if pair, isPair := integers(reply, 2); isPair && pair[0] <= math.MaxInt64/int64(time.Second) {
		debt, ok = pair[0]*int64(time.Second)+pair[1], true
	}
	if !ok || debt < 0 {
		return unless(false, reply)
	}
	q.Algorithm.ExplainDebt(q.Op, &q.Limit, debt, q.Cost, &q.Decision)
	return nil
}

func logArguments(to []any, q *engine.Question) []any {
	period := int64(q.Limit.Period())
	return append(appendSpan(append(to, q.Limit.Limit(), q.Cost), period), (period+999)/1000)
}

func explainLog(q *engine.Question, reply any) error {
	seen, allowed, _, ok := readLog(q, reply)
	if !ok {
		return unless(false, reply)
	}
	seen.Explain(&q.Limit, allowed, &q.Decision)
	return nil
}

// readLog reads the reply of the log's script. Its instants are counted from now. oldest is
// on a denial the span (µs) until the oldest unit that counts has left.
func readLog(q *engine.Question, reply any) (seen engine.LogSeen, allowed bool, oldest int64, ok bool) {
	if used, logged := reply.(int64); logged {
		return engine.LogSeen{Used: used, Rest: int64(q.Limit.Period())}, true, 0, used > 0
	}
	for _, n := range []int{2, 5, 7} {
		v, fits := integers(reply, n)
		if !fits {
			continue
		}
		allowed = v[0] == 1
		seen = engine.LogSeen{Used: v[1], Never: q.Cost > q.Limit.Limit()}
		if n >= 5 {
			seen.Newest, seen.Rest = -v[2], v[3]*int64(time.Second)+v[4]
		}
		if n == 7 {
			seen.Blocking, oldest = -v[5], int64(q.Limit.Period())/1000-v[6]
		}
		return seen, allowed, oldest, allowed || seen.Never || n == 7
	}
	return seen, false, 0, false
}

// integers is a reply of n integers.
func integers(reply any, n int) (values [7]int64, ok bool) {
	list, isList := reply.([]any)
	if !isList || len(list) != n {
		return values, false
	}
	for i, v := range list {
		if values[i], ok = v.(int64); !ok {
			return values, false
		}
	}
	return values, true
}

// ownerOf is the algorithm whose keys begin with a letter.
func ownerOf(letter string) (engine.Algorithm, bool) {
	for a := range rows {
		if rows[a].letter == letter && letter != "" {
			return engine.Algorithm(a), true
		}
	}
	return 0, false
}

// refusal is the error for a key that holds something else, if that is what an error of a
// script says.
func refusal(q *engine.Question, text string) error {
	at := strings.Index(text, "WRONGTYPE")
	if at < 0 {
		return nil
	}
	if owner, ok := ownerOf(strings.TrimPrefix(text[at:], "WRONGTYPE ")); ok {
		return &engine.WrongTypeError{Owner: owner, Asked: q.Algorithm}
	}
	return ErrForeignKey
}
