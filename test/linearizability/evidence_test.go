package linearizability

import (
	"fmt"
	"strings"

	"github.com/rlserver/rlserver/engine"
)

// evidence counts what went on in stores while they were looked at. Without it a test that
// passes may have looked at nothing.
type evidence [counts]uint64

// A count is what evidence counts.
type count int

const (
	calls     count = iota
	histories       // of one key each, that were checked
	forgotten       // of these, such as only forgetting a live key explains
	refused         // calls that got no memory
	scans           // from end to end
	flushes
	inserts // at least: keys that were reset do not count
	rebuilt // and all below: as in engine.Stats
	contended
	reclaimed
	evictions

	counts
)

var countNames = [counts]string{
	calls: "calls", histories: "histories", forgotten: "forgotten", refused: "refused", scans: "scans", flushes: "flushes",
	inserts: "inserts", rebuilt: "rebuilt", contended: "contended", reclaimed: "reclaimed", evictions: "evicted",
}

// gather is what a store counted between two looks at it.
func gather(before, after engine.Stats) (e evidence) {
	e[rebuilt] = after.Rebuilt - before.Rebuilt
	e[contended] = after.Contended - before.Contended
	e[reclaimed] = after.Reclaimed - before.Reclaimed
	e[evictions] = after.Evicted - before.Evicted
	e[inserts] = uint64(after.Keys-before.Keys) + e[reclaimed] + e[evictions]
	return e
}

func (e *evidence) add(other evidence) {
	for i, n := range other {
		e[i] += n
	}
}

// lacks says whether something that is wanted never happened.
func (e *evidence) lacks(wanted []count) bool {
	for _, c := range wanted {
		if e[c] == 0 {
			return true
		}
	}
	return false
}

func (e *evidence) String() string {
	var all []string
	for c, n := range e {
		all = append(all, fmt.Sprintf("%s %d", countNames[c], n))
	}
	return strings.Join(all, ", ")
}
