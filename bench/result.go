package bench

import "time"

// A Report is all that one run measured. `rlserver bench --json` prints it, and tables, charts and
// pages are drawn from it alone.
type Report struct {
	Started time.Time `json:"started"`
	Version string    `json:"version"` // of rlserver, which was the client
	Command []string  `json:"command"` // the command line that gives this report again
	Machine Machine   `json:"machine"`
	Load    Load      `json:"load"`
	Targets []Target  `json:"targets"` // in the order in which they were named; ratios are to the first
	// Interrupted says that the run was ended before its time, so rounds are missing or cut short.
	Interrupted bool `json:"interrupted,omitempty"`
}

// A Machine is where the client ran. A target with an address of this machine shared it.
type Machine struct {
	System      string `json:"system"` // operating system, its release, and the architecture
	Processor   string `json:"processor"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
}

// A Load is what each target was asked in each round.
type Load struct {
	Threads     int           `json:"threads"`
	Connections int           `json:"connections"`
	Pipeline    int           `json:"pipeline"` // requests that a connection sends before it waits for replies
	Rounds      int           `json:"rounds"`   // of each target; targets take turns
	Duration    time.Duration `json:"duration_ns,omitempty"`
	Requests    int64         `json:"requests,omitempty"` // of a round, where no duration was given
	Rate        float64       `json:"rate,omitempty"`     // requests a second intended; 0: closed loop
	KeySpace    string        `json:"key_space"`          // uniform, zipf, hot or new
	Keys        int64         `json:"keys"`
	Seed        uint64        `json:"seed"`             // from which keys are drawn
	Policy      string        `json:"policy,omitempty"` // @NAME: DEFINITION, of which the limit below is the first
	Algorithm   string        `json:"algorithm"`
	Limit       int64         `json:"limit"`
	Burst       int64         `json:"burst"`
	Period      time.Duration `json:"period_ns"`
	Cost        int64         `json:"cost"`
}

// A Target is a server, how it was asked, and what each round measured. Where it failed, the rounds
// before are kept, and the last one as far as it came.
type Target struct {
	Name    string  `json:"name"` // as in --target
	Address string  `json:"address"`
	Server  string  `json:"server"`  // its name and version as it says itself
	Command string  `json:"command"` // what it was sent, with {key} for the key
	Rounds  []Round `json:"rounds"`
	Failure string  `json:"failure,omitempty"` // why it ended early
}

// A Round is one turn of one target.
type Round struct {
	Started    time.Time     `json:"started"`
	Took       time.Duration `json:"took_ns"` // from the first request sent to the last reply
	Requests   int64         `json:"requests"`
	Allowed    int64         `json:"allowed"`
	Denied     int64         `json:"denied"`
	Undecided  int64         `json:"undecided"`        // replies that admit or deny nothing: PING, INCR
	Unsent     int64         `json:"unsent,omitempty"` // that were due in an open loop, and had found no free connection long after its end
	Latency    Latency       `json:"latency"`
	Series     []Point       `json:"series"`
	Client     Usage         `json:"client"`
	Server     *Usage        `json:"server,omitempty"` // where it runs on this machine
	Violations []Violation   `json:"violations,omitempty"`
	Judged     bool          `json:"judged"`             // whether admissions were counted against the limit
	Unjudged   int64         `json:"unjudged,omitempty"` // keys for which the judge has no memory
}

// A Latency is a distribution of times from when a request was to be sent, which in a closed loop is
// when it was sent, until its whole reply had been read. Times are in nanoseconds.
type Latency struct {
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
	Curve []Quantile    `json:"curve"`
}

// A Quantile is a point of the curve of latencies: a share of all requests took at most so long.
type Quantile struct {
	Share float64       `json:"share"` // 0 … 1
	At    time.Duration `json:"at_ns"`
}

// A Point is a span of a round.
type Point struct {
	At       time.Duration `json:"at_ns"`   // its start, from the start of the round
	Span     time.Duration `json:"span_ns"` // its length
	Requests int64         `json:"requests"`
	Allowed  int64         `json:"allowed"`
	Denied   int64         `json:"denied"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
}

// A Usage is what a process used during a round.
type Usage struct {
	CPU           time.Duration `json:"cpu_ns"`
	ResidentBytes int64         `json:"resident_bytes"` // at the end
}

// A Violation is a key on which more was admitted than its limit allows for the time that passed.
type Violation struct {
	Key      string        `json:"key"`
	Admitted int64         `json:"admitted"` // units, in a span
	Span     time.Duration `json:"span_ns"`  // the longest that it can have been, as the client saw it
	Allowed  int64         `json:"allowed"`  // the most units that the limit allows in that span
}
