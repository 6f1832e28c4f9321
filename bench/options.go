package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The bounds of a run.
const (
	ConnectionsMax = 10_000
	PipelineMax    = 10_000
	InFlightMax    = 1_000_000 // connections times pipeline: each takes memory of the client
	ThreadsMax     = 256
	RoundsMax      = 1000
	TargetsMax     = len(prefixLetters) // each has a letter in its keys
	DurationMax    = time.Hour
	RequestsMax    = 10_000_000_000 // of a round
	RateMin        = 0.001          // requests a second
	RateMax        = 100_000_000
)

// Options are what a run does.
type Options struct {
	Version string   // of rlserver
	Command []string // the command line, for the report
	Targets []Address
	Question
	Threads, Connections, Pipeline, Rounds int
	// Duration of a round, or else Requests in it.
	Duration time.Duration
	Requests int64
	// Rate is how many requests a second are intended; 0: the next ones leave when the replies to those
	// before are there.
	Rate     float64
	KeySpace KeySpace
	Keys     int64
	Seed     uint64
	// Timeout bounds connecting, and the wait for a reply.
	Timeout            time.Duration
	Username, Password string
	TLS                *tls.Config // nil: none
	// Progress, if there is one, is called from time to time, by one goroutine.
	Progress func(Progress)
}

// An Address is where a target is, and what kind of target.
type Address struct {
	Kind             string // one of TargetKinds
	Network, Address string
}

// ParseAddress reads NAME[=HOST:PORT] or NAME[=/PATH/OF/SOCKET]. What it leaves open is taken from usual.
func ParseAddress(text string, usual Address) (Address, error) {
	name, where, given := strings.Cut(text, "=")
	usual.Kind = name
	switch _, _, err := net.SplitHostPort(where); {
	case findKind(name) == nil:
		var names []string
		TargetKinds(func(name, _ string) { names = append(names, name) })
		return usual, fmt.Errorf("there is no target %q: expected one of %s", name, strings.Join(names, ", "))
	case !given:
	case strings.HasPrefix(where, "/"):
		usual.Network, usual.Address = "unix", where
	case err != nil:
		return usual, fmt.Errorf("%q is no address for target %s: expected HOST:PORT, or the path of a Unix socket", where, name)
	default:
		usual.Network, usual.Address = "tcp", where
	}
	return usual, nil
}

// Check says what is wrong with options: a bound that is exceeded, or a target that cannot ask the
// question.
func (o *Options) Check() error {
	for _, bound := range []struct {
		name       string
		value, max int64
	}{
		{"targets", int64(len(o.Targets)), int64(TargetsMax)}, {"threads", int64(o.Threads), ThreadsMax},
		{"connections", int64(o.Connections), ConnectionsMax}, {"pipeline", int64(o.Pipeline), PipelineMax},
		{"rounds", int64(o.Rounds), RoundsMax}, {"keys", o.Keys, KeysMax},
	} {
		if bound.value < 1 || bound.value > bound.max {
			return fmt.Errorf("%s: %d is not accepted: expected 1 to %d", bound.name, bound.value, bound.max)
		}
	}
	if o.Connections*o.Pipeline > InFlightMax {
		return fmt.Errorf("connections times pipeline: %d is not accepted: expected at most %d", o.Connections*o.Pipeline, InFlightMax)
	}
	if o.Threads > o.Connections {
		return fmt.Errorf("threads: %d is more than the %d connections", o.Threads, o.Connections)
	}
	if (o.Duration > 0) == (o.Requests > 0) || o.Duration > DurationMax || o.Requests > RequestsMax {
		return fmt.Errorf("expected a duration of at most %v, or at most %d requests", DurationMax, int64(RequestsMax))
	}
	if o.Rate != 0 && !(o.Rate >= RateMin && o.Rate <= RateMax) { // NaN is neither
		return fmt.Errorf("rate: %v is not accepted: expected %v to %d requests a second", o.Rate, RateMin, int64(RateMax))
	}
	for _, t := range o.Targets {
		k := findKind(t.Kind)
		if k == nil {
			return errors.New("there is no target " + t.Kind)
		}
		if o.Policy != "" && k.name != rlserverName {
			return fmt.Errorf("target %s has no policies: only %s has", k.name, rlserverName)
		}
		if !k.takes(&o.Question) {
			return fmt.Errorf("target %s cannot express this limit: it accepts %s", k.name, k.accepts)
		}
	}
	for _, r := range o.rules() {
		if o.Cost > r.Limit.Burst() {
			return fmt.Errorf("a cost of %d can never pass: at most %d can be taken at once", o.Cost, r.Limit.Burst())
		}
	}
	return nil
}
