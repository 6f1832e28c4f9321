package lua

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/engine"
)

//go:embed clock.lua
var clockSource string

//go:embed question.lua
var questionSource string

//go:embed entries.lua
var entriesSource string

//go:embed head.lua
var headSource string

//go:embed meter.lua
var meterSource string

//go:embed sliding_window_log.lua
var logSource string

//go:embed fixed_window.lua
var windowSource string

//go:embed sliding_window_counter.lua
var counterSource string

//go:embed reset.lua
var resetSource string

//go:embed call.lua
var callSource string

// A script is a Lua script with the SHA-1 by which Redis knows it.
type script struct {
	step        string // its algorithm's step, or what else it does with the key
	headBytes   int    // how much of the key it reads at once
	prefix      int    // bytes before the entries, if it keeps some
	source, sha string
}

var (
	meterScript   = &script{step: meterSource, headBytes: keyHeadBytes}
	logScript     = &script{step: logSource, headBytes: 2048, prefix: keyHeadBytes + 15}
	windowScript  = &script{step: windowSource, headBytes: keyHeadBytes + 11}
	counterScript = &script{step: counterSource, headBytes: 2048, prefix: keyHeadBytes + 17}
	resetScript   = &script{step: resetSource, headBytes: keyHeadBytes}
	callScript    = &script{}
)

// keyHeadBytes is the most that every key begins with: the letter, an instant of 16 digits, a
// plus, and a span of up to 19.
const keyHeadBytes = 37

// scripts are all of them: a Redis that lacks one is given all.
var scripts = compose()

// compose puts the scripts together. Each step stands in the script about one key of its algorithm, and
// as a function in the script of calls, whose states are all Named.
func compose() []*script {
	all := []*script{resetScript}
	var letters, meters, entries, table, functions string
	for _, a := range Algorithms() {
		s, plain, named := rows[a].script, letterOf(a), letterOf(a|engine.Named)
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
		letters += plain + named
		if rows[a].byDebt {
			meters += named
		}
		if s.prefix > 0 {
			entries += named
		}
		table += fmt.Sprintf("  %s = step_%d,\n", named, slices.Index(all, s))
	}
	const act = "-- [act]\n"
	head := strings.Replace(headSource, "([letters])", "(["+letters+"])", 1)
	for i, s := range all {
		step := s.step
		if s.prefix > 0 {
			step = fmt.Sprintf("local prefix = %d\n", s.prefix) + entriesSource + step
		}
		s.source = fmt.Sprintf("local head_bytes = %d\nlocal clock = ARGV[9]\n", s.headBytes) + clockSource + questionSource + head + step
		if look, acts, found := strings.Cut(head+step, act); found {
			functions += fmt.Sprintf("local function step_%d(key, letter, op, a, head)\n%slocal function act(op)\n%send\nreturn act, fits\nend\n", i, look, acts)
		}
	}
	callScript.source = "local clock = ARGV[2] ~= '' and ARGV[2]\n" + clockSource + functions + "local steps = {\n" + table + "}\n" +
		strings.NewReplacer("[meters]", "["+meters+"]", "[entries]", "["+entries+"]").Replace(callSource)
	all = append(all, callScript)
	for _, s := range all {
		sum := sha1.Sum([]byte(s.source)) // Redis's choice
		s.sha = hex.EncodeToString(sum[:])
	}
	return all
}

// A row is how Redis decides for one algorithm.
type row struct {
	script *script
	// arguments appends the script's ARGV[3] and following.
	arguments func(to []any, q *engine.Question, o *Options) []any
	// explain computes the answer from the script's reply.
	explain func(q *engine.Question, reply any) (evidence, error)
	// byDebt says that the ResetAfter of a denial is a debt, which is all that any answer about
	// the key depends on. Else a denial tells of the same question only. See denyCache.
	byDebt bool
}

// evidence is what a reply tells of the key besides the answer, where nothing was taken.
type evidence struct {
	// holds is how long a denial has the same Remaining if there is no other question about the key.
	holds time.Duration
	used  int64 // units that count for the question; not of a meter
}

// rows is the table of algorithms, by the engine's numbers.
var rows = [...]row{
	engine.TokenBucket:          {meterScript, meterArguments, explainMeter, true},
	engine.LeakyBucket:          {meterScript, meterArguments, explainMeter, true},
	engine.SlidingWindowLog:     {logScript, logArguments, explainLog, false},
	engine.FixedWindow:          {windowScript, windowArguments, explainWindow, false},
	engine.SlidingWindowCounter: {counterScript, counterArguments, explainCounter, false},
}

// always is how long a denial holds whose Remaining does not change.
const always = time.Duration(math.MaxInt64)

// Algorithms are those that Redis can decide for.
func Algorithms() (known []engine.Algorithm) {
	for a := range rows {
		if rows[a].script != nil {
			known = append(known, engine.Algorithm(a))
		}
	}
	return known
}

// clockArgument is where a test's clock stands among a script's arguments, from 0.
const clockArgument = 8

var opLetters = [...]string{engine.OpCheck: "c", engine.OpPeek: "p", engine.OpRefund: "r", engine.OpForce: "f"}

// rowOf is the row of an algorithm, with or without Named.
func rowOf(a engine.Algorithm) *row { return &rows[a&^engine.Named] }

// letterOf is the letter that keys of an algorithm begin with: a capital one if it is Named.
func letterOf(a engine.Algorithm) string {
	letter := (a &^ engine.Named).Letter()
	if a&engine.Named != 0 {
		letter -= 'a' - 'A'
	}
	return string(letter)
}

// command is the EVALSHA of a question. clock is an instant (µs) in place of Redis's, or
// negative.
func command(q *engine.Question, o *Options, clock int64) []any {
	if q.Call != nil {
		return callCommand(q.Call, o, clock)
	}
	args := make([]any, 0, 4+clockArgument+1)
	if q.Reset {
		args = append(args, "evalsha", resetScript.sha, 1, stateKey(o.Prefix, q.Key), "", "x")
	} else {
		r := rowOf(q.Algorithm)
		args = append(args, "evalsha", r.script.sha, 1, stateKey(o.Prefix, q.Key), letterOf(q.Algorithm), opLetters[q.Op])
		args = r.arguments(args, q, o)
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
func explain(q *engine.Question, reply any) (evidence, error) {
	if q.Call != nil {
		return evidence{}, explainCall(q.Call, reply)
	}
	if q.Reset {
		n, ok := reply.(int64)
		q.Existed = n == 1
		return evidence{}, unless(ok && n >= 0 && n <= 1, reply)
	}
	return rowOf(q.Algorithm).explain(q, reply)
}

// unless is an error for a reply that no script of ours gives.
func unless(ok bool, reply any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("the script's reply %.100q is not understood", fmt.Sprint(reply))
}

// appendSpan appends a span of ns as microseconds and nanoseconds.
func appendSpan(to []any, span int64) []any {
	return append(to, span/int64(time.Microsecond), span%int64(time.Microsecond))
}

// spanOf is the span of so many microseconds and nanoseconds, if it is one.
func spanOf(us, ns int64) (span int64, ok bool) {
	const most = math.MaxInt64/int64(time.Microsecond) - 1
	return us*int64(time.Microsecond) + ns, us >= 0 && us <= most && ns >= 0 && ns < int64(time.Microsecond)
}

func meterArguments(to []any, q *engine.Question, _ *Options) []any {
	to = appendSpan(to, min(q.Limit.Price(q.Cost), int64(engine.FillMax)))
	if slack := q.Limit.Slack(q.Cost); slack >= 0 {
		return appendSpan(to, slack)
	}
	return append(to, -1, 0)
}

func explainMeter(q *engine.Question, reply any) (evidence, error) {
	debt, ok := reply.(int64)
	if pair, isPair := integers(reply, 2); isPair {
		debt, ok = spanOf(pair[0], pair[1])
	}
	if !ok || debt < 0 {
		return evidence{}, unless(false, reply)
	}
	explainDebt(q, q.Op, debt)
	return evidence{}, nil
}

// explainDebt computes the answer from what a meter owed before the step (ns), which is its
// state as it is at the instant 0.
func explainDebt(q *engine.Question, o engine.Op, debt int64) {
	q.Algorithm.ExplainWord(o, &q.Limit, debt, 0, q.Cost, &q.Decision)
}

func logArguments(to []any, q *engine.Question, o *Options) []any {
	return append(appendSpan(append(to, q.Limit.Limit(), q.Cost), int64(q.Limit.Period())), o.LogLimitMax)
}

// explainLog reads the reply of the log's script, whose instants are counted from now. A denial
// holds until the oldest unit that counts has left.
func explainLog(q *engine.Question, reply any) (e evidence, err error) {
	if used, logged := reply.(int64); logged && used > 0 {
		seen := engine.LogSeen{Used: used, Period: int64(q.Limit.Period())}
		seen.Explain(&q.Limit, true, &q.Decision)
		return evidence{}, nil
	}
	for _, n := range []int{2, 5, 7} {
		v, fits := integers(reply, n)
		if !fits {
			continue
		}
		allowed := v[0] == 1
		seen := engine.LogSeen{Used: v[1], Never: q.Cost > q.Limit.Limit()}
		e.used = v[1]
		if n >= 5 {
			period, isSpan := spanOf(v[3], v[4])
			if !isSpan {
				break
			}
			seen.Newest, seen.Period = -v[2], min(int64(q.Limit.Period()), period)
		}
		if n == 7 {
			seen.Blocking, e.holds = -v[5], time.Duration(seen.Period/1000-v[6])*time.Microsecond
		}
		if allowed || seen.Never || n == 7 {
			seen.Explain(&q.Limit, allowed, &q.Decision)
			if q.Op == engine.OpForce {
				forced(q, v[1])
			}
			return e, nil
		}
	}
	return evidence{}, unless(false, reply)
}

// forced has a log's answer tell of the units that did not fit and were taken, where so many were used
// before.
func forced(q *engine.Question, used int64) {
	var after engine.Decision
	seen := engine.LogSeen{Used: used + q.Cost, Period: int64(q.Limit.Period())}
	seen.Explain(&q.Limit, true, &after)
	q.Decision.Remaining, q.Decision.ResetAfter = after.Remaining, after.ResetAfter
}

func windowArguments(to []any, q *engine.Question, _ *Options) []any {
	to = append(to, q.Limit.Limit(), q.Cost)
	if c := q.Limit.Calendar(); c != engine.NoCalendar {
		return append(to, c.String())
	}
	return append(to, engine.WindowMillis(int64(q.Limit.Period()))*1000)
}

func explainWindow(q *engine.Question, reply any) (evidence, error) {
	v, ok := integers(reply, 3)
	left, count, now := v[0], v[1], v[2]
	if !ok || left < 0 || count < 0 || count > engine.UnitsMax {
		return evidence{}, unless(false, reply)
	}
	word := int64(0)
	if count > 0 {
		word = engine.WindowWord((now+left+999)/1000, count)
	}
	q.Algorithm.ExplainWord(q.Op, &q.Limit, word, now*1000, q.Cost, &q.Decision)
	return evidence{always, count}, nil
}

func counterArguments(to []any, q *engine.Question, _ *Options) []any {
	return append(to, q.Limit.Limit(), q.Cost, (int64(q.Limit.Period())+999)/1000)
}

// explainCounter reads the reply of the counter's script, whose instants are those at which units leave.
func explainCounter(q *engine.Question, reply any) (e evidence, err error) {
	const brief, full = 3, 5 // a denial for now is full
	v, ok := integers(reply, brief)
	seen := engine.LogSeen{Never: q.Cost > q.Limit.Limit()}
	if !ok {
		v, ok = integers(reply, full)
		seen.Blocking, e.holds = v[3], time.Duration(v[4])*time.Microsecond
		ok = ok && v[0] == 0 && !seen.Never
	} else {
		ok = v[0] == 1 || seen.Never
	}
	if !ok || v[1] < 0 || v[2] < 0 {
		return evidence{}, unless(false, reply)
	}
	seen.Used, seen.Newest, e.used = v[1], v[2], v[1]
	seen.Explain(&q.Limit, v[0] == 1, &q.Decision)
	return e, nil
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
		for _, owner := range []engine.Algorithm{engine.Algorithm(a), engine.Algorithm(a) | engine.Named} {
			if rows[a].script != nil && letterOf(owner) == letter {
				return owner, true
			}
		}
	}
	return 0, false
}

// refusal is the error for a key that holds something else, if that is what an error of a
// script says: the letter of the owner, and of a call which part's state it is.
func refusal(q *engine.Question, text string) error {
	_, said, found := strings.Cut(text, "WRONGTYPE ")
	if !found {
		return nil
	}
	letter, part, _ := strings.Cut(said, " ")
	owner, isOurs := ownerOf(letter)
	if !isOurs {
		return ErrForeignKey
	}
	asked := q.Algorithm
	if q.Call != nil {
		i, err := strconv.Atoi(part)
		if err != nil || i < 1 || i > len(q.Call.Parts) {
			return ErrForeignKey
		}
		asked = q.Call.Parts[i-1].Algorithm
	}
	return &engine.WrongTypeError{Owner: owner, Asked: asked}
}
