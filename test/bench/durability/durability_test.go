package durability

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// A durable is a way to keep what is checked.
type durable struct {
	name  string
	flags []string
	// target is the share of the throughput from memory only that it should have at least; 0: none.
	target float64
	*harness.Node
	replica *harness.Node
}

// A durableLoad is what all ways are asked.
type durableLoad struct {
	name string
	keys int
	key  string
}

// Everything is admitted, so that every check changes something.
var durableLoads = []durableLoad{
	{"100,000 spread keys", bench.Keys, "k:__rand_int__"},
	{"one hot key", 1, "hot"},
}

func (l *durableLoad) words() []string {
	return []string{"RL.CHECK", l.key, "token_bucket", "1000000000", "60"}
}

// A durableRow is a way under a load, and what each round measured.
type durableRow struct {
	*durable
	*durableLoad
	requests int
	rounds   bench.Rounds[durableRound]
}

type durableRound struct {
	bench.Report
	cpu   float64 // µs of the server's time for a check
	bytes float64 // that the files have grown by, for a million checks
	cores float64 // of others
}

// BenchmarkDurabilityCost compares what checks cost that are kept on disk and on a replica with
// those from memory only.
func BenchmarkDurabilityCost(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	log := func(fsync string) []string {
		return []string{"--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0"}
	}
	ways := []*durable{
		{name: "memory only"},
		{name: "appendfsync everysec", flags: log("everysec"), target: 0.9},
		{name: "appendfsync no", flags: log("no")},
		{name: "appendfsync always", flags: log("always"), target: 0.8},
		{name: "memory, one replica"},
	}
	var rows []*durableRow
	for _, w := range ways {
		w.Node = harness.StartNode(t, w.flags...)
	}
	last := ways[len(ways)-1]
	last.replica = startDirectReplica(t, last.Node)
	for i := range durableLoads {
		for _, w := range ways {
			r := &durableRow{durable: w, durableLoad: &durableLoads[i], requests: 200_000}
			r.requests = max(50_000, int(r.measure(t).PerSecond*length.Seconds()))
			rows = append(rows, r)
		}
	}
	for range rounds {
		for _, r := range rows {
			r.rounds = append(r.rounds, r.measure(t))
		}
	}
	fmt.Fprintf(os.Stdout, "medians of %d rounds of about %v each, %d connections, pipeline %d; × is the median of the ratios of single rounds\n",
		rounds, length, bench.Connections, bench.Deep)
	printDurability(rows, len(ways))
}

// startDirectReplica starts a replica without a link of the test's between.
func startDirectReplica(t testing.TB, primary *harness.Node) *harness.Node {
	t.Helper()
	r := harness.StartNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	harness.AwaitSync(primary, r)
	return r
}

// measure runs redis-benchmark once.
func (r *durableRow) measure(t testing.TB) (m durableRound) {
	t.Helper()
	if r.replica != nil {
		harness.AwaitSync(r.Node, r.replica) // nothing is left of the round before
	}
	pid := r.Cmd.Process.Pid
	files, machine, begin, server := r.LogBytes(), bench.MachineTime(t), time.Now(), bench.ProcessTime(t, pid)
	run := bench.Load{Words: r.words(), Keys: r.keys, Connections: bench.Connections, Pipeline: bench.Deep, Requests: r.requests}.Put(t, r.Process)
	server = bench.ProcessTime(t, pid) - server
	m.cores = max(0, (bench.MachineTime(t)-machine-server-run.CPU).Seconds()/time.Since(begin).Seconds())
	harness.Drained(r.Node) // the last changes are written
	m.Report = run.Report
	m.cpu = float64(server) / float64(time.Microsecond) / float64(r.requests)
	m.bytes = float64(r.LogBytes()-files) / float64(r.requests) * 1e6
	return m
}

func durableRate(m durableRound) float64 { return m.PerSecond }

func printDurability(rows []*durableRow, ways int) {
	out := os.Stdout
	targets := bench.NewTable("targets", "", "measured", "target", "")
	for at := 0; at < len(rows); at += ways {
		memory := rows[at]
		tab := bench.NewTable(memory.durableLoad.name, "", "checks/s", "× memory", "p50 ms", "p99 ms", "max ms", "CPU µs/check", "bytes/million", "cores: others")
		for _, r := range rows[at : at+ways] {
			tab.Add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.3f|%.0f|%.2f", r.durable.name, r.rounds.Median(durableRate), r.rounds.Ratio(memory.rounds, durableRate),
				r.rounds.Median(func(m durableRound) float64 { return m.P50 }), r.rounds.Median(func(m durableRound) float64 { return m.P99 }),
				r.rounds.Median(func(m durableRound) float64 { return m.Max }), r.rounds.Median(func(m durableRound) float64 { return m.cpu }),
				r.rounds.Median(func(m durableRound) float64 { return m.bytes }), r.rounds.Median(func(m durableRound) float64 { return m.cores }))
		}
		tab.Print(out)
		for _, r := range rows[at : at+ways] {
			if got := r.rounds.Ratio(memory.rounds, durableRate); r.target > 0 {
				targets.Add("throughput with %s on %s, to that from memory|%.2f|≥ %.2f|%s", r.durable.name, r.durableLoad.name, got, r.target, bench.Verdict(got >= r.target))
			}
		}
	}
	targets.Print(out)
}

// BenchmarkRestartWithTenMillionKeys measures how a server starts with as many keys on its disk:
// from the log as it was written, and from one that was rewritten.
func BenchmarkRestartWithTenMillionKeys(t *testing.B) {
	bench.OnlyOnLinux(t)
	keys := 10_000_000
	if testing.Short() {
		keys = 100_000
	}
	n := harness.StartNode(t, "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
	began := time.Now()
	manyKeys(n, keys)
	filled := time.Since(began)
	time.Sleep(2 * time.Second)
	full := harness.ResidentNow(t, n.Cmd.Process.Pid)
	tab := bench.NewTable(fmt.Sprintf("%d keys, filled in %.1f s, %d MB resident then", keys, filled.Seconds(), full>>20),
		"", "files MB", "start s", "of which loading", "peak MB", "resident MB")
	restart := func(name string) {
		n.End(syscall.SIGTERM)
		size, began := n.LogBytes(), time.Now()
		n.Start()
		took, pid := time.Since(began), n.Cmd.Process.Pid
		loading := "?"
		if _, rest, found := strings.Cut(n.Log.String(), `"took":`); found {
			digits, _, _ := strings.Cut(rest, ",")
			nanos, _ := strconv.ParseFloat(digits, 64)
			loading = fmt.Sprintf("%.2f", nanos/1e9)
		}
		tab.Add("%s|%d|%.2f|%s|%d|%d", name, size>>20, took.Seconds(), loading, harness.MemoryLine(t, pid, "status", "VmHWM")>>20, harness.ResidentNow(t, pid)>>20)
		if got := n.Ask("DBSIZE").Text; got != strconv.Itoa(keys) {
			t.Errorf("after the restart there are %s keys", got)
		}
	}
	restart("from increments")
	began = time.Now()
	bench.ForgetPeak(t, n.Cmd.Process.Pid)
	n.MustSay("Background append only file rewriting started", "BGREWRITEAOF")
	slowest := time.Duration(0)
	c := n.Dial()
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	for n.Field("aof_rewrite_in_progress") != "0" {
		asked := time.Now()
		c.Ask("RL.CHECK", "0", "token_bucket", "100", "10d")
		slowest = max(slowest, time.Since(asked))
		time.Sleep(time.Millisecond)
	}
	rewrote, peak := time.Since(began), harness.MemoryLine(t, n.Cmd.Process.Pid, "status", "VmHWM")
	base := fmt.Sprintf("appendonly.%d.base", n.ReadLogManifest().Base)
	info, err := os.Stat(filepath.Join(n.Dir, base))
	if err != nil {
		t.Fatal(err)
	}
	restart("from a base")
	tab.Print(os.Stdout)
	fmt.Fprintf(os.Stdout, "\nthe rewrite took %.2f s and %d MB at the most; its base has %d MB, %.1f bytes a key; meanwhile the slowest check took %v\n",
		rewrote.Seconds(), peak>>20, info.Size()>>20, float64(info.Size())/float64(keys), slowest.Round(10*time.Microsecond))
}

// manyKeys takes a unit of each of the keys 0 … keys−1, over some connections.
func manyKeys(n *harness.Node, keys int) {
	n.T.Helper()
	const connections, batch = 4, 1000
	var filling sync.WaitGroup
	for w := range connections {
		c := harness.DialAddr(n.T, n.Addr())
		_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
		filling.Go(func() {
			defer func() { _ = c.Close() }()
			buffer := make([]byte, 0, 100*batch)
			first, last := keys/connections*w, keys/connections*(w+1)
			reply := len("*6\r\n:1\r\n:100\r\n:99\r\n:0\r\n:8640000\r\n:0\r\n")
			for ; first < last; first += batch {
				buffer = buffer[:0]
				for i := first; i < min(first+batch, last); i++ {
					name := strconv.Itoa(i)
					buffer = fmt.Appendf(buffer, "*5\r\n$8\r\nRL.CHECK\r\n$%d\r\n%s\r\n$12\r\ntoken_bucket\r\n$3\r\n100\r\n$3\r\n10d\r\n", len(name), name)
				}
				if _, err := c.Write(buffer); err != nil {
					n.T.Error(err)
					return
				}
				if _, err := io.CopyN(io.Discard, c.Reader, int64(min(batch, last-first)*reply)); err != nil {
					n.T.Error(err)
					return
				}
			}
		})
	}
	filling.Wait()
}
