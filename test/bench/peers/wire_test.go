package peers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// A serverRow is a server at one length of batches, and what each round measured.
type serverRow struct {
	server
	processes []*harness.Process
	connect   func(t testing.TB, limit string) batch
	ask       []batch // for the generous limit, one for each connection
	rounds    bench.Rounds[served]
	hot       served
}

// A served is what one round found.
type served struct {
	asked, admitted int64
	elapsed         time.Duration
	p50, p99        time.Duration // of a batch
	cpu             time.Duration // of all processes of the server
}

// BenchmarkServers has 50 goroutines of a Go program ask servers on this machine, each over a
// connection of its own by the client that belongs to the server. The client takes more of the
// processor than most servers, so the CPU of the server says more than the throughput.
func BenchmarkServers(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	keys := names(bench.Keys)
	var rows []*serverRow
	for _, s := range servers {
		path, there := s.path()
		if !there {
			fmt.Fprintf(os.Stdout, "%s is not installed; test/setup peers installs it\n", s.name)
			continue
		}
		r := &serverRow{server: s}
		r.processes, r.connect = s.start(t, path)
		for range bench.Connections {
			r.ask = append(r.ask, r.connect(t, "generous"))
		}
		rows = append(rows, r)
	}
	for _, size := range []int{bench.Single, 16, bench.Deep} {
		for _, r := range rows {
			r.rounds = nil
		}
		for range rounds {
			for _, r := range rows {
				r.rounds = append(r.rounds, r.measure(t, r.ask, keys, size, length/2))
			}
		}
		for _, r := range rows {
			r.countHot(t, size, length/4)
		}
		printServers(rows, size, rounds)
	}
}

// countHot asks for one key until its limit and far past it.
func (r *serverRow) countHot(t testing.TB, size int, length time.Duration) {
	t.Helper()
	var ask []batch
	for range bench.Connections {
		ask = append(ask, r.connect(t, "hot"))
	}
	awaitMinute()
	r.hot = r.measure(t, ask, []string{fmt.Sprint("hot", size)}, size, length)
	if over := r.hot.over(); r.ours && over > 0 {
		t.Errorf("%s admitted %d too many", r.name, over)
	}
}

// allowed is what the hot key may have in the time that passed.
func (s served) allowed() int64 { return hotLimit + int64(s.elapsed/(period/hotLimit)) }

func (s served) over() int64 { return max(s.admitted-s.allowed(), 0) }

// measure has each connection ask for a while about random keys.
func (r *serverRow) measure(t testing.TB, ask []batch, keys []string, size int, length time.Duration) (m served) {
	t.Helper()
	var stop atomic.Bool
	var guard sync.Mutex
	var took []time.Duration
	var asking sync.WaitGroup
	cpu, begin := r.cpu(t), time.Now()
	time.AfterFunc(length, func() { stop.Store(true) })
	for i, one := range ask {
		asking.Go(func() {
			draw, admitted, names := rand.New(rand.NewPCG(uint64(i), uint64(size))), 0, make([]string, size)
			var own []time.Duration
			for !stop.Load() {
				for at := range names {
					names[at] = keys[draw.IntN(len(keys))]
				}
				begin := time.Now()
				n, err := one(names)
				own = append(own, time.Since(begin))
				if admitted += n; err != nil {
					t.Errorf("%s: %v", r.name, err)
					break
				}
			}
			guard.Lock()
			defer guard.Unlock()
			took, m.admitted, m.asked = append(took, own...), m.admitted+int64(admitted), m.asked+int64(len(own)*size)
		})
	}
	asking.Wait()
	m.elapsed, m.cpu = time.Since(begin), r.cpu(t)-cpu
	slices.Sort(took)
	m.p50, m.p99 = took[len(took)/2], took[len(took)*99/100]
	return m
}

func (r *serverRow) cpu(t testing.TB) (all time.Duration) {
	t.Helper()
	for _, p := range r.processes {
		all += bench.ProcessTime(t, p.Cmd.Process.Pid)
	}
	return all
}

func printServers(rows []*serverRow, size, rounds int) {
	perSecond := func(m served) float64 { return float64(m.asked) / m.elapsed.Seconds() }
	cpu := func(m served) float64 { return float64(m.cpu) / float64(time.Microsecond) / float64(m.asked) }
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	tab := bench.NewTable(fmt.Sprintf("a Go program asks, checks a request: %d, %d connections, %d keys; medians of %d rounds in turns", size, bench.Connections, bench.Keys, rounds),
		"", "checks/s", "× rlserver", "p50 ms", "p99 ms", "server CPU µs a check", "× rlserver's", "hot key: admitted", "denied", "allowed", "over")
	for _, r := range rows {
		tab.Add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.2f|%d|%d|%d|%d", r.name, r.rounds.Median(perSecond), r.rounds.Ratio(rows[0].rounds, perSecond),
			r.rounds.Median(func(m served) float64 { return ms(m.p50) }), r.rounds.Median(func(m served) float64 { return ms(m.p99) }),
			r.rounds.Median(cpu), r.rounds.Ratio(rows[0].rounds, cpu), r.hot.admitted, r.hot.asked-r.hot.admitted, r.hot.allowed(), r.hot.over())
	}
	tab.Print(os.Stdout)
}
