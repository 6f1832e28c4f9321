package server

import (
	"strconv"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/resp"
)

// Commands that look at keys. To all of them an idle key is no key.

func (r *request) lookup(key []byte) (engine.KeyInfo, bool) {
	return r.server.limiter.Lookup(resp.View(key), r.now)
}

// read is lookup for the commands that Redis counts in keyspace_hits and keyspace_misses.
func (r *request) read(key []byte) (info engine.KeyInfo, found bool) {
	if info, found = r.lookup(key); found {
		r.server.stats.hits.Add(1)
	} else {
		r.server.stats.misses.Add(1)
	}
	return info, found
}

func cmdDBSize(r *request) { r.reply.Int64(r.server.limiter.Len()) }

func cmdExists(r *request) {
	n := 0
	for _, key := range r.args[1:] {
		if _, found := r.read(key); found {
			n++
		}
	}
	r.reply.Int(n)
}

func cmdType(r *request) {
	info, _ := r.read(r.args[1])
	r.reply.Simple(info.Algorithm.String())
}

func cmdTTL(r *request)  { r.untilIdle(1000) }
func cmdPTTL(r *request) { r.untilIdle(1) }

// untilIdle replies the time until a key is idle, in units of so many milliseconds, rounded up; −2
// when there is no such key.
func (r *request) untilIdle(unitMillis int64) {
	info, found := r.read(r.args[1])
	switch t := r.tracking; {
	case t != nil && t.optIn && t.caching == saidOfThis: // how long may the client keep an answer?
		r.reply.Int(0)
		return
	case !found:
		r.reply.Int(-2)
		return
	}
	millis := ceilMillis(time.Duration(info.IdleMicros-r.now) * time.Microsecond)
	r.reply.Int64((millis + unitMillis - 1) / unitMillis)
}

func cmdMemoryUsage(r *request) {
	if len(r.args) != 3 && (len(r.args) != 5 || !equalFold(r.arg(3), "samples")) {
		r.fail(errSyntax)
		return
	}
	if len(r.args) == 5 {
		switch samples, ok := wholeNumber(r.args[4]); {
		case !ok:
			r.fail(errNotInteger)
			return
		case samples < 0:
			r.fail(errSyntax)
			return
		}
	}
	r.describeKey(func(info engine.KeyInfo) { r.reply.Int64(info.Bytes) })
}

func cmdObjectEncoding(r *request) {
	r.describeKey(func(info engine.KeyInfo) { r.reply.BulkString(info.Algorithm.Shape().String()) })
}

func cmdObjectFreq(r *request) { r.describeKey(func(engine.KeyInfo) { r.fail(errObjectFreq) }) }

func cmdObjectIdleTime(r *request) {
	r.describeKey(func(engine.KeyInfo) { r.fail(errObjectIdleTime) })
}

func cmdObjectRefCount(r *request) { r.describeKey(func(engine.KeyInfo) { r.reply.Int(1) }) }

// describeKey replies what describe does of the key that is the second argument, or that there is none.
func (r *request) describeKey(describe func(engine.KeyInfo)) {
	if info, found := r.lookup(r.args[2]); found {
		describe(info)
	} else {
		r.reply.Null()
	}
}

func cmdFlush(r *request) {
	if len(r.args) > 2 || len(r.args) == 2 && !equalFold(r.arg(1), "async") && !equalFold(r.arg(1), "sync") {
		r.fail(errSyntax)
		return
	}
	r.server.limiter.Flush()
	r.reply.OK()
	r.changed()
}

// scanCountMax bounds one step of SCAN; asking for more gets this many.
const scanCountMax = 100_000

func cmdKeys(r *request) {
	pattern := r.arg(1)
	var keys []string
	for cursor := uint64(0); ; {
		cursor = r.server.limiter.Scan(cursor, scanCountMax, r.now, func(info engine.KeyInfo) {
			if globMatch(pattern, info.Key) {
				keys = append(keys, info.Key)
			}
		})
		if cursor == 0 {
			break
		}
	}
	r.reply.Strings(keys)
}

// scanOptions are the arguments of SCAN.
type scanOptions struct {
	cursor        uint64
	count         int
	pattern, kind *string // nil: any; kind is the name of an algorithm, in lower case
}

func cmdScan(r *request) {
	o, problem := r.parseScan()
	if problem != "" {
		r.fail(problem)
		return
	}
	keys := []string{}
	next := r.server.limiter.Scan(o.cursor, o.count, r.now, func(info engine.KeyInfo) {
		if (o.pattern == nil || globMatch(*o.pattern, info.Key)) && (o.kind == nil || info.Algorithm.String() == *o.kind) {
			keys = append(keys, info.Key)
		}
	})
	r.reply.Value([]any{strconv.FormatUint(next, 10), keys})
}

func (r *request) parseScan() (o scanOptions, problem string) {
	o.count = 10
	var err error
	if o.cursor, err = strconv.ParseUint(r.arg(1), 10, 64); err != nil {
		return o, errCursor
	}
	for i := 2; i < len(r.args); i += 2 {
		if i+1 == len(r.args) {
			return o, errSyntax
		}
		value := r.arg(i + 1)
		switch lower(r.args[i]) {
		case "match":
			o.pattern = &value
		case "type":
			value = lower(value)
			o.kind = &value
		case "count":
			n, ok := wholeNumber(r.args[i+1])
			if !ok {
				return o, errNotInteger
			}
			if n < 1 {
				return o, errSyntax
			}
			o.count = int(min(n, scanCountMax))
		default:
			return o, errSyntax
		}
	}
	return o, ""
}
