package report

import (
	"fmt"
	"strings"

	"github.com/rlserver/rlserver/bench"
)

// A remark is a sentence that a reader must not overlook. Wrong says that a target is at fault.
type remark struct {
	Wrong bool
	Text  string
}

// violationsMax is how many violations of a target are told one by one.
const violationsMax = 5

// remarks are the violations and failures of a report, and what its figures do not say.
func remarks(r *bench.Report) (all []remark) {
	var kept []string
	for i := range r.Targets {
		t := &r.Targets[i]
		found, judged, unjudged := violations(t)
		all = append(all, found...)
		switch {
		case !judged || len(found) > 0:
		case unjudged > 0:
			all = append(all, remark{false, fmt.Sprintf("%s kept the limit on every key that was judged. %s of %s were not, for lack of memory.",
				t.Name, Count(float64(unjudged)), plural(int(r.Load.Keys), "key"))})
		default:
			kept = append(kept, t.Name)
		}
	}
	for _, t := range r.Targets {
		if t.Failure != "" {
			all = append(all, remark{true, fmt.Sprintf("FAILED: %s in round %d: %s", t.Name, max(1, len(t.Rounds)), t.Failure)})
		}
	}
	if r.Interrupted {
		all = append(all, remark{false, fmt.Sprintf("Interrupted: these are the results until then, of %s that were to be measured.", plural(r.Load.Rounds, "round"))})
	}
	if len(kept) > 0 {
		all = append(all, remark{false, "Kept the limit on every key: " + strings.Join(kept, ", ") + "."})
	}
	for i := range r.Targets {
		all = append(all, bottlenecks(r, &r.Targets[i])...)
	}
	return all
}

// bottlenecks say what held a target's figures back besides the target itself, and whether it kept up.
func bottlenecks(r *bench.Report, t *bench.Target) (all []remark) {
	if got := Median(t, Rate); r.Load.Rate > 0 && got < 0.99*r.Load.Rate {
		text := fmt.Sprintf("%s did not keep up: %s of %s requests/s that were intended.", t.Name, Count(got), Count(r.Load.Rate))
		unsent := int64(0)
		for _, round := range t.Rounds {
			unsent += round.Unsent
		}
		if unsent > 0 {
			text += fmt.Sprintf(" %s found no free connection, and no latency has them.", plural(int(unsent), "request"))
		}
		all = append(all, remark{false, text})
	}
	// Threads that are never idle are what limits the rate, if there are cores for them.
	if threads := min(r.Load.Threads, r.Machine.Cores); threads > 0 {
		if busy := Median(t, ClientBusy); busy >= 0.9*float64(threads) {
			all = append(all, remark{false, fmt.Sprintf("The client was the bottleneck with %s: it kept %.2f of %s busy. "+
				"The server can do more; its CPU per request says how much.", t.Name, busy, plural(threads, "core"))})
		}
	}
	return all
}

// violations tells those of a target, whether they were looked for, and on how many keys they were not.
func violations(t *bench.Target) (all []remark, judged bool, unjudged int64) {
	count := 0
	for _, r := range t.Rounds {
		judged, unjudged = judged || r.Judged, max(unjudged, r.Unjudged)
		for _, v := range r.Violations {
			if count++; count <= violationsMax {
				all = append(all, remark{true, fmt.Sprintf("VIOLATION: %s admitted %s on key %q within %s; the limit allows %s.",
					t.Name, plural(int(v.Admitted), "unit"), v.Key, Span(float64(v.Span)), Count(float64(v.Allowed)))})
			}
		}
	}
	if count > violationsMax {
		all = append(all, remark{true, fmt.Sprintf("VIOLATION: %s on %s more.", t.Name, plural(count-violationsMax, "key"))})
	}
	return all, judged, unjudged
}
