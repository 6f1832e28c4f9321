package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/bench/judge"
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/lua"
	"github.com/rlserver/rlserver/policy"
)

// A Question is what each request asks, but for the key.
type Question struct {
	policy.Rule // the limit, or the first one of the policy
	Cost        int64
	// Policy is the name that requests have in place of a limit; empty: none. More are the limits that the
	// policy has beside the first.
	Policy string
	More   []policy.Rule
}

// rules are all limits that are asked.
func (q *Question) rules() []policy.Rule { return append([]policy.Rule{q.Rule}, q.More...) }

// rlserverName is the target that knows policies.
const rlserverName = "rlserver"

// keyMark stands for the key in the words of a command.
const keyMark = "{key}"

// A verdict is what a reply says of its request.
type verdict uint8

const (
	notUnderstood verdict = iota // no reply of this target
	allowed
	denied
	undecided
)

// A kind is a row of the table of targets: how a server is asked, and how its replies are read.
type kind struct {
	name, summary string
	// accepts says which questions it can ask, for errors; takes says whether it can ask this one.
	accepts string
	takes   func(q *Question) bool
	// words are those of a command, and the source of the script that it needs, if any.
	words func(q *Question) (words []string, script string, err error)
	// read makes what reads a reply. One is made for each thread.
	read func(q *Question) func(*reply) verdict
	// rule is what admissions are held against by a limit, or nil where replies decide nothing.
	rule func(r policy.Rule) judge.Rule
}

// kinds is the table of targets, in the order in which they are shown.
var kinds = []kind{
	{
		rlserverName, "this server: RL.CHECK", "any limit", takesAll, plain("RL.CHECK", rlCheckWords),
		flagged(6, 1), exact,
	},
	{
		"script", "this project's script by EVALSHA, on a Redis", "any limit", takesAll,
		scriptWords, readScript, exact,
	},
	{
		"redis_rate", "the script of go-redis/redis_rate v10 by EVALSHA, on a Redis",
		"token_bucket, with a period of whole seconds", isMeterOfSeconds, rateWords, readRate, roundedTo(200 * time.Nanosecond),
	},
	{
		"cl.throttle", "CL.THROTTLE of redis-cell and Dragonfly",
		"token_bucket, with a period of whole seconds", isMeterOfSeconds,
		plain("CL.THROTTLE", func(q *Question) []string { return throttleWords(q, q.Limit.Burst()-1) }), flagged(5, 0), roundedTo(1),
	},
	{
		"throttle", "THROTTLE of throttlecrab",
		"token_bucket, with a period of whole seconds", isMeterOfSeconds,
		plain("THROTTLE", func(q *Question) []string { return throttleWords(q, q.Limit.Burst()) }), flagged(5, 1), roundedTo(1),
	},
	{
		"increx", "INCREX of Redis 8.8, a window that begins with its first request",
		"fixed_window of no calendar", func(q *Question) bool {
			return q.Algorithm == engine.FixedWindow && q.Limit.Calendar() == engine.NoCalendar
		}, plain("INCREX", increxWords), readIncrex, twiceTheLimit,
	},
	{
		"incr", "INCR, which counts and decides nothing", "any limit", takesAll,
		plain("INCR", func(*Question) []string { return []string{keyMark} }),
		undecidedIf(func(r *reply) bool { return r.kind == ':' }), nil,
	},
	{
		"ping", "PING, which decides nothing", "any limit", takesAll, plain("PING", func(*Question) []string { return nil }),
		undecidedIf(func(r *reply) bool { return r.kind == '+' && string(r.text) == "PONG" }), nil,
	},
}

// TargetKinds calls visit with the name of every target and what it is.
func TargetKinds(visit func(name, summary string)) {
	for i := range kinds {
		visit(kinds[i].name, kinds[i].summary)
	}
}

func findKind(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

func takesAll(*Question) bool { return true }

// isMeterOfSeconds is true of what the commands of redis-cell and its like can express.
func isMeterOfSeconds(q *Question) bool {
	isMeter := q.Algorithm == engine.TokenBucket || q.Algorithm == engine.LeakyBucket // which admit the same
	return isMeter && q.Limit.Period()%time.Second == 0
}

// The rules: how exact a target is that keeps the limit as it was asked. Redis and its like read a clock
// of microseconds. Where a request's price is rounded down, or computed in floating point, one may be
// that much too cheap.
func exact(r policy.Rule) judge.Rule {
	return judge.Rule{Algorithm: r.Algorithm, Limit: r.Limit, Tick: time.Microsecond}
}

func roundedTo(price time.Duration) func(policy.Rule) judge.Rule {
	return func(r policy.Rule) judge.Rule {
		rounded := exact(r)
		rounded.Rounding = price
		return rounded
	}
}

// twiceTheLimit is the bound of windows that begin with a request: twice the limit can pass around
// the end of one, and a limit in each period in the long run.
func twiceTheLimit(r policy.Rule) judge.Rule {
	limit, err := engine.NewLimit(r.Limit.Limit(), r.Limit.Period(), min(2*r.Limit.Limit(), engine.UnitsMax))
	if err != nil { // a burst of two periods is in the domain
		panic(err)
	}
	return judge.Rule{Algorithm: engine.TokenBucket, Limit: limit, Tick: time.Millisecond}
}

// plain is a command that needs no script.
func plain(name string, arguments func(*Question) []string) func(*Question) ([]string, string, error) {
	return func(q *Question) ([]string, string, error) {
		return append([]string{name}, arguments(q)...), "", nil
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func rlCheckWords(q *Question) []string {
	words := append([]string{keyMark}, strings.Fields(q.String())...)
	if q.Policy != "" {
		words = []string{keyMark, "@" + q.Policy}
	}
	if q.Cost != 1 {
		words = append(words, "COST", number(q.Cost))
	}
	return words
}

func throttleWords(q *Question, burst int64) []string {
	words := []string{keyMark, number(burst), number(q.Limit.Limit()), number(int64(q.Limit.Period() / time.Second))}
	if q.Cost != 1 {
		words = append(words, number(q.Cost))
	}
	return words
}

func increxWords(q *Question) []string {
	return []string{
		keyMark, "BYINT", number(q.Cost), "UBOUND", number(q.Limit.Limit()),
		"PX", number(q.Limit.Period().Milliseconds()), "ENX",
	}
}

// flagged reads an array of so many integers, the first of which is yes when the request is allowed, and
// else 0 or 1.
func flagged(count int, yes int64) func(*Question) func(*reply) verdict {
	return func(*Question) func(*reply) verdict {
		return func(r *reply) verdict {
			switch {
			case !r.integers(count) || r.values[0]&^1 != 0:
				return notUnderstood
			case r.values[0] == yes:
				return allowed
			}
			return denied
		}
	}
}

func undecidedIf(isReply func(*reply) bool) func(*Question) func(*reply) verdict {
	return func(*Question) func(*reply) verdict {
		return func(r *reply) verdict {
			if isReply(r) {
				return undecided
			}
			return notUnderstood
		}
	}
}

// readIncrex reads the value and by how much it has grown.
func readIncrex(q *Question) func(*reply) verdict {
	return func(r *reply) verdict { return q.taken(r, r.integers(2), 1) }
}

// taken reads how many units were taken: the cost or none. It is the i-th value of a reply that has the
// right form.
func (q *Question) taken(r *reply, isRight bool, i int) verdict {
	switch {
	case isRight && r.values[i] == q.Cost:
		return allowed
	case isRight && r.values[i] == 0:
		return denied
	}
	return notUnderstood
}

func scriptWords(q *Question) (words []string, script string, err error) {
	words, script = lua.Words(&engine.Question{Key: keyMark, Algorithm: q.Algorithm, Limit: q.Limit, Cost: q.Cost})
	return words, script, nil
}

// readScript reads what the script saw as package lua does.
func readScript(q *Question) func(*reply) verdict {
	asked := engine.Question{Algorithm: q.Algorithm, Limit: q.Limit, Cost: q.Cost}
	var list []any
	return func(r *reply) verdict {
		var value any = r.values[0]
		if r.kind == '*' && r.integers(r.count) {
			list = list[:0]
			for _, v := range r.values[:r.count] {
				list = append(list, v)
			}
			value = list
		} else if r.kind != ':' {
			return notUnderstood
		}
		switch err := lua.Explain(&asked, value); {
		case err != nil:
			return notUnderstood
		case asked.Decision.Allowed:
			return allowed
		}
		return denied
	}
}

// readRate reads how many units were allowed, how many are left, and two fractions of seconds in text.
func readRate(q *Question) func(*reply) verdict {
	return func(r *reply) verdict { return q.taken(r, r.kind == '*' && r.count == 4 && r.isInt == 0b11, 0) }
}

// rateWords has the library itself say what it sends.
func rateWords(q *Question) (words []string, script string, err error) {
	var heard listener
	limit := redis_rate.Limit{Rate: int(q.Limit.Limit()), Burst: int(q.Limit.Burst()), Period: q.Limit.Period()}
	_, err = redis_rate.NewLimiter(&heard).AllowN(context.Background(), keyMark, limit, int(q.Cost))
	if !errors.Is(err, errHeard) || heard.words == nil {
		return nil, "", fmt.Errorf("redis_rate does not ask as it did: %w", err)
	}
	return heard.words, heard.script, nil
}

// A listener takes the place of a Redis. It learns what the library asks, and answers nothing.
type listener struct {
	redis.Cmdable // what the library does not call
	words         []string
	script        string
}

var errHeard = errors.New("heard")

// EvalSha says that there is no such script, and so the library sends its source.
func (l *listener) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	l.words = append([]string{"EVALSHA", sha, strconv.Itoa(len(keys))}, keys...)
	for _, arg := range args {
		if f, ok := arg.(float64); ok {
			arg = strconv.FormatFloat(f, 'f', -1, 64) // as go-redis writes it
		}
		l.words = append(l.words, fmt.Sprint(arg))
	}
	return failing(ctx, redis.ErrNoScript)
}

func (l *listener) Eval(ctx context.Context, script string, _ []string, _ ...any) *redis.Cmd {
	l.script = script
	return failing(ctx, errHeard)
}

func failing(ctx context.Context, err error) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(err)
	return cmd
}
