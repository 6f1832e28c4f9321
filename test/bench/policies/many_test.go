package policies

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// manyTarget is the cost of a check among many policies, to that with one, at most.
const manyTarget = 1.05

// A crowd is very many policies. The first has overrides for half of the keys that have one, the
// others have some each.
type crowd struct{ policies, overrides int }

func (w crowd) firstOverrides() int { return w.overrides / 2 }
func (w crowd) overridesEach() int  { return w.overrides / 2 / w.policies }

func policyName(i int) string { return fmt.Sprintf("p%012d", i) }
func keyName(i int) string    { return fmt.Sprintf("k:%012d", i) }

// each visits all policies with the number of their overrides.
func (w crowd) each(visit func(policy string, overrides int)) {
	for i := range w.policies {
		overrides := w.overridesEach()
		if i == 0 {
			overrides += w.firstOverrides()
		}
		visit(policyName(i), overrides)
	}
}

// file writes all as a file of settings.
func (w crowd) file(t testing.TB) (path string, bytes int64) {
	t.Helper()
	var b strings.Builder
	b.WriteString("policies:\n")
	w.each(func(policy string, overrides int) {
		fmt.Fprintf(&b, "  %s:\n    limits: %s\n    overrides:\n", policy, limits[0])
		for k := range overrides {
			fmt.Fprintf(&b, "      \"%s\": token_bucket 2000 1h BURST 100000000\n", keyName(k))
		}
	})
	path = filepath.Join(t.TempDir(), "rlserver.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, int64(b.Len())
}

// set sets all by commands, in pipelines.
func (w crowd) set(c *harness.Conn) {
	c.T.Helper()
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	const pipeline = 1000
	var text strings.Builder
	sent := 0
	flush := func() {
		c.Send(text.String())
		text.Reset()
		for ; sent > 0; sent-- {
			if v := c.Value(); v.Kind == '-' {
				c.T.Fatalf("setting policies: %s", v.Text)
			}
		}
	}
	send := func(line string) {
		text.WriteString(harness.CommandLine(line))
		if sent++; sent == pipeline {
			flush()
		}
	}
	w.each(func(policy string, overrides int) {
		send("RL.POLICY SET " + policy + " LIMIT " + limits[0])
		for k := range overrides {
			send("RL.POLICY OVERRIDE " + policy + " " + keyName(k) + " LIMIT token_bucket 2000 1h BURST 100000000")
		}
	})
	flush()
}

// BenchmarkManyPolicies measures how a server starts with very many policies, from a file of settings
// and from its disk, what they take, and what a check costs among them.
func BenchmarkManyPolicies(b *testing.B) {
	bench.OnlyOnLinux(b)
	w := crowd{bench.Scaled(10_000, 100), bench.Scaled(100_000, 100)}
	rows := bench.NewTable(fmt.Sprintf("%d policies and %d overrides", w.policies, w.overrides), "", "s", "file MB", "resident MB", "bytes of each")
	timed := func(start func()) float64 {
		began := time.Now()
		start()
		return time.Since(began).Seconds()
	}
	entries := int64(w.policies + w.overrides)
	var empty int64
	add := func(name string, took float64, file int64, p *harness.Process) {
		resident := harness.ResidentNow(b, p.Cmd.Process.Pid)
		if empty == 0 {
			empty = resident
		}
		rows.Add("%s|%.2f|%.1f|%.0f|%d", name, took, float64(file)/1e6, float64(resident)/1e6, max(0, resident-empty)/entries)
	}
	one := harness.NewNode(b)
	add("start with none", timed(func() { one.Start() }), 0, one.Process)
	path, size := w.file(b)
	many := harness.NewNode(b, "--config", path)
	add("start, from a file of settings", timed(func() { many.Start() }), size, many.Process)
	kept := harness.StartNode(b, "--appendonly", "yes")
	add("set by commands, in pipelines", timed(func() { w.set(kept.Dial()) }), kept.LogBytes(), kept.Process)
	kept.End(syscall.SIGTERM)
	add("start, from the disk", timed(func() { kept.Start() }), kept.LogBytes(), kept.Process)
	if got := kept.Count("policies"); got != int64(w.policies) {
		b.Errorf("after the restart there are %d policies", got)
	}
	kept.End(syscall.SIGTERM)
	rows.Print(os.Stdout)

	one.Dial().SetPolicy(policyName(1), limits[0])
	contestants := []*contestant{
		{name: "one policy", words: "RL.CHECK u:__rand_int__ @" + policyName(1), on: one.Process},
		{name: "many, of a policy with few overrides", words: "RL.CHECK u:__rand_int__ @" + policyName(1), on: many.Process, target: manyTarget},
		{name: "many, of the policy with most overrides", words: "RL.CHECK u:__rand_int__ @" + policyName(0), on: many.Process},
		{name: "many, key with an override", words: "RL.CHECK k:__rand_int__ @" + policyName(0), on: many.Process},
	}
	for _, c := range contestants {
		c.keys = w.firstOverrides()
	}
	measure(b, contestants)
	show("a check among them", contestants)
}
