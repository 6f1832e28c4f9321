package servers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	product "github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// The hot key's limit. While the others are compared in speed no key reaches its limit.
const (
	hotLimit  = 100
	hotPeriod = time.Minute
	generous  = 1_000_000
)

// keys is how many keys there are.
func keys() int { return bench.Scaled(bench.Keys, 100) }

// lasting are the words for a round of that length. Where figures do not matter it is so many requests
// instead, for a slow server on a busy machine may answer none in so short a time.
func lasting(length time.Duration) []string {
	if testing.Short() {
		return []string{"-n", "5000"}
	}
	return []string{"-d", length.String()}
}

// A row is a contestant and what was measured of it.
type row struct {
	contestant
	address string
	// MB of resident memory without a key, and with all keys.
	empty, full float64
}

// BenchmarkServers compares servers on the wire: `rlserver bench` asks them in turns. Then it asks
// each about one hot key, and counts.
func BenchmarkServers(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	var rows []*row
	for _, c := range contestants {
		if !c.isThere() {
			fmt.Fprintf(os.Stdout, "%s is not installed; test/setup peers installs it\n", c.name)
			continue
		}
		r := &row{contestant: c}
		r.empty, r.full = c.memory(t)
		r.address = c.start(t, c.path()).Addr()
		rows = append(rows, r)
	}
	for _, pipeline := range []int{bench.Single, 16, bench.Deep} {
		load := []string{"-P", strconv.Itoa(pipeline), "-c", strconv.Itoa(bench.Connections), "--keys", strconv.Itoa(keys())}
		speed := ask(t, rows, generous, append(load, append(lasting(length/2), "--rounds", strconv.Itoa(rounds))...)...)
		hot := ask(t, rows, hotLimit, append(load, append(lasting(length/4), "--key-space", "hot")...)...)
		printRows(t, rows, pipeline, rounds, speed, hot)
	}
	fmt.Fprintf(os.Stdout, "\n%s\n", throttlecrabNote)
	tab := bench.NewTable("not compared here", "", "because it is")
	for _, a := range absent {
		tab.Add("%s|%s", a.name, a.why)
	}
	tab.Print(os.Stdout)
}

// memory is the resident memory of a server of its own, in MB: without a key, and with all keys.
func (c contestant) memory(t testing.TB) (empty, full float64) {
	t.Helper()
	p := c.start(t, c.path())
	resident := func() float64 { return float64(harness.ResidentNow(t, p.Cmd.Process.Pid)) / 1e6 }
	empty = resident()
	// Its one unit is taken of each key, so that none is idle or expires before all are there.
	ask(t, []*row{{contestant: c, address: p.Addr()}}, 1, "--key-space", "new", "-n", strconv.Itoa(keys()), "-P", "16")
	full = resident()
	_ = p.Stop(syscall.SIGTERM)
	return empty, full
}

// ask has `rlserver bench` ask all rows for a limit in each minute. Only a fault of ours fails.
func ask(t testing.TB, rows []*row, limit int, more ...string) (report product.Report) {
	t.Helper()
	args := append([]string{"bench", "token_bucket", strconv.Itoa(limit), strconv.Itoa(int(hotPeriod.Seconds())), "--json", "-"}, more...)
	for _, r := range rows {
		args = append(args, "--target", r.target+"="+r.address)
	}
	const violated = 1 // the exit code
	cmd := exec.Command(harness.Binary(t), args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != violated) {
		t.Fatalf("rlserver %q: %v\n%s", args, err, exit.Stderr)
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("rlserver %q: %v in %.1000s", args, err, out)
	}
	for i, r := range rows {
		if got := report.Targets[i]; got.Failure != "" || len(got.Rounds) == 0 {
			t.Fatalf("rlserver %q: %s: %q after %d rounds", args, r.name, got.Failure, len(got.Rounds))
		}
		for _, round := range report.Targets[i].Rounds {
			if r.ours && len(round.Violations) > 0 {
				t.Errorf("%s admitted too many: %+v", r.name, round.Violations)
			}
		}
	}
	return report
}

// printRows prints what was measured at one pipeline.
func printRows(t testing.TB, rows []*row, pipeline, rounds int, speed, hot product.Report) {
	t.Helper()
	tab := bench.NewTable(fmt.Sprintf("pipeline %d, %d connections, %d keys; medians of %d rounds in turns; × is the median of the rounds' ratios",
		pipeline, bench.Connections, keys(), rounds),
		"", "requests/s", "× rlserver", "p50 ms", "p99 ms", "server CPU µs a request", "× rlserver's", "MB without a key", fmt.Sprintf("with %d", keys()),
		"hot key: admitted", "denied", "allowed", "over")
	first := bench.Rounds[product.Round](speed.Targets[0].Rounds)
	for i, r := range rows {
		cells, over := counts(hot.Targets[i].Rounds[0])
		if r.ours && over > 0 {
			t.Errorf("%s admitted %d too many of the hot key", r.name, over)
		}
		own := bench.Rounds[product.Round](speed.Targets[i].Rounds)
		tab.Add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.2f|%.1f|%.1f|%s", r.name, own.Median(perSecond), own.Ratio(first, perSecond),
			own.Median(func(m product.Round) float64 { return ms(m.Latency.P50) }), own.Median(func(m product.Round) float64 { return ms(m.Latency.P99) }),
			own.Median(cpu), own.Ratio(first, cpu), r.empty, r.full, cells)
	}
	tab.Print(os.Stdout)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func perSecond(m product.Round) float64 { return float64(m.Requests) / m.Took.Seconds() }

// cpu is the server's CPU time for a request, in µs.
func cpu(m product.Round) float64 {
	if m.Server == nil {
		return 0
	}
	return float64(m.Server.CPU) / float64(time.Microsecond) / float64(m.Requests)
}

// counts are the cells of what was admitted of the hot key, and by how much that is too many.
func counts(m product.Round) (cells string, over int64) {
	if m.Allowed+m.Denied == 0 {
		return "|||", 0
	}
	allowed := hotLimit + int64(m.Took/(hotPeriod/hotLimit))
	over = max(m.Allowed-allowed, 0)
	return fmt.Sprintf("%d|%d|%d|%d", m.Allowed, m.Denied, allowed, over), over
}
