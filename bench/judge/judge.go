package judge

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rlserver/rlserver/engine"
)

const (
	// cellBytesMax bounds the memory for the state of all keys; it is taken as keys are used.
	cellBytesMax = 256 << 20
	// logBytesMax bounds the memory for all logs.
	logBytesMax = 256 << 20
	// keysToldMax is of how many keys violations are told. A server without any limit violates
	// that of each key.
	keysToldMax = 100
)

// A Rule is what a server has promised.
type Rule struct {
	// Algorithm and Limit are what the server was asked for. For the GCRA of other servers that is
	// token_bucket. A counter whose window begins with its first request admits at most as much as a
	// token_bucket with twice the limit as its burst.
	Algorithm engine.Algorithm
	Limit     engine.Limit
	Cost      int64 // units of each request, 1 … engine.UnitsMax
	// Tick is what the server rounds its clock to.
	Tick time.Duration
	// Rounding is by how much a meter may price one request too low: 0 for rlserver, which never
	// does. Floating point does.
	Rounding time.Duration
	// Remote says that the server has a clock of its own, because it is on another machine. It may run
	// 1/2048 faster, as much as one that is being set by NTP.
	Remote bool
}

// driftShift is how much faster the clock of another machine may run: 1/2^driftShift.
const driftShift = 11

// A Violation is a key on which more was admitted than its limit allows for the time that passed.
type Violation struct {
	Key      int64
	Admitted int64         // units, in a span
	Span     time.Duration // the longest that it can have been, by the client's clock
	Allowed  int64         // the most units that the limit allows in that span
}

// over is by how many units the limit was exceeded.
func (v *Violation) over() int64 { return v.Admitted - v.Allowed }

// A Judge judges one server. Its methods may be called from any number of goroutines.
type Judge struct {
	keys  int64 // that are judged: the indices below
	asked int64 // keys that there are

	mu sync.Mutex
	// line is admissions in the order of receipt, as far as it is known, which wait for those that
	// witnesses have not told yet.
	line  []admission
	cells cells
	found map[int64]Violation // the worst of each key, of keysToldMax keys
}

// cells is the state of all keys: a meter, a log or a window each.
type cells interface {
	// weigh adds admissions, and tells what shows a violation.
	weigh(line []admission, tell func(Violation))
	// sawTime is told what the server's clock was (ns since the Unix epoch).
	sawTime(sent, received, unix int64)
	// state is how many keys had to be given up, and why none can be judged, if so.
	state() (givenUp int64, doubt error)
}

// New makes a judge of keys with the indices 0 … keys−1, of which none was in use before. An error
// says why the rule cannot be judged.
func New(r Rule, keys int64) (*Judge, error) {
	if err := engine.CheckUnits("cost", r.Cost); err != nil {
		return nil, err
	}
	r.Tick = max(r.Tick, 1)
	j := &Judge{asked: keys, found: map[int64]Violation{}}
	judged := func(bytes int64) int64 {
		j.keys = min(keys, cellBytesMax/bytes)
		return j.keys
	}
	switch r.Algorithm {
	case engine.TokenBucket, engine.LeakyBucket:
		j.cells = newMeters(&r, judged(meterBytes))
	case engine.SlidingWindowLog, engine.SlidingWindowCounter: // which admits no more than the log
		j.cells = newLogs(&r, judged(logCellBytes))
	case engine.FixedWindow:
		j.cells = newWindows(&r, judged(windowBytes))
	case engine.Named: // which is none by itself
	}
	if j.cells == nil {
		return nil, fmt.Errorf("the judge does not know %v", r.Algorithm)
	}
	return j, nil
}

// SawTime tells what the server's clock said, in microseconds since the Unix epoch, in a reply to a
// request that was sent and whose reply was received so long after the start of the run. Without it a
// fixed_window cannot be judged, because nobody knows when windows begin. One reply tells as
// much as its latency is short. A later one shows whether the clock was set meanwhile.
func (j *Judge) SawTime(sent, received time.Duration, unixMicros int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle(0)
	j.cells.sawTime(int64(sent), int64(received), unixMicros*int64(time.Microsecond))
}

// Violations is what was found since the last call: the worst of each key, and of no more than a
// hundred keys. All witnesses should have been flushed.
func (j *Judge) Violations() []Violation {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle(0)
	var all []Violation
	if _, doubt := j.cells.state(); doubt == nil {
		all = slices.Collect(maps.Values(j.found))
	}
	clear(j.found)
	slices.SortFunc(all, func(a, b Violation) int { return cmp.Or(cmp.Compare(b.over(), a.over()), cmp.Compare(a.Key, b.Key)) })
	return all
}

// Unjudged is how many keys are not judged, for which there is no room.
func (j *Judge) Unjudged() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	givenUp, _ := j.cells.state()
	return j.asked - j.keys + givenUp
}

// Err is why nothing, or no more, is judged; nil if all is well.
func (j *Judge) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, doubt := j.cells.state()
	return doubt
}

var (
	errNoTime  = errors.New("the server did not tell its time, so nobody knows when its windows begin")
	errTimeSet = errors.New("the server's clock was set meanwhile")
)

// tell takes note of a violation, if it is worse than what is known of its key.
func (j *Judge) tell(v Violation) {
	known, ok := j.found[v.Key]
	if ok && known.over() < v.over() || !ok && len(j.found) < keysToldMax {
		j.found[v.Key] = v
	}
}
