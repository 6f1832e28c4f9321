package parity_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

var wireSteps = flag.Int("wiresteps", 4000, "how many `steps` TestParityOnTheWire takes at least")

// wireSeed is that of TestParityOnTheWire unless -seed says otherwise.
const wireSeed = 13

// TestParityOnTheWire compares two servers, one that decides in memory and one that has Redis
// decide and denials cached. Each command is answered by both before the next is sent, on any of
// some connections, but for pipelines.
//
// The servers decide at different instants, so their spans differ, by no more than the time that
// passed meanwhile. Nothing else may: no unit becomes free during the test. For that, the prices
// of requests that meet on one key are multiples of an hour, or of one price; where they are of
// one price that is no whole number of nanoseconds, no two questions share a reading of the clock.
func TestParityOnTheWire(t *testing.T) {
	first := *seed
	if first == 0 {
		first = wireSeed
	}
	t.Logf("-seed %d", first)
	p := newTwins(t)
	r := rand.New(rand.NewPCG(first, 0))
	count, answered := 0, map[string]int{}
	for n := 0; count < *wireSteps && !t.Failed(); n++ {
		s := newWireScript(r, n)
		for range 20 {
			count += p.step(t, s, answered)
		}
	}
	hits := p.info(t, "deny_cache_hits")
	t.Logf("%d steps, %d of them answered from the cache: %v", count, hits, answered)
	for _, kind := range []string{"admitted", "denied", "never", "refunded", "reset", "wrong type", "delayed", "forced", "of a policy"} {
		if answered[kind] == 0 {
			t.Errorf("no answer of the kind %q was among them", kind)
		}
	}
	if hits < count/30 || p.info(t, "degraded_answers") != 0 {
		t.Errorf("%d of %d answers are from the cache, and %d are degraded", hits, count, p.info(t, "degraded_answers"))
	}
}

// Twins are two servers, and connections to each.
type twins struct {
	backend *harness.Process
	conns   [3][2]*harness.Conn
	longest time.Duration // that a step has taken
}

func newTwins(t *testing.T) *twins {
	redis := harness.StartRedis(t)
	memory := harness.StartServer(t)
	p := &twins{backend: harness.StartServer(t, "--backend", "redis", "--redis-addr", redis.Addr(), "--redis-timeout", "20s", "--deny-cache-max", "1h")}
	for i := range p.conns {
		p.conns[i] = [2]*harness.Conn{memory.Dial(), p.backend.Dial()}
		for _, c := range p.conns[i] {
			_ = c.SetDeadline(time.Time{})
		}
	}
	for name, limits := range wirePolicies {
		for _, c := range p.conns[0] {
			c.MustSay("OK", append([]string{"RL.POLICY", "SET", name}, strings.Fields(limits)...)...)
		}
	}
	return p
}

// wirePolicies are policies of both servers. Their limits keep the rules of TestParityOnTheWire.
var wirePolicies = map[string]string{
	"one":    "LIMIT token_bucket 8 1d BURST 6",
	"log":    "LIMIT sliding_window_log 7 1d",
	"two":    "LIMIT leaky_bucket 10 10h LIMIT sliding_window_log 9 5d",
	"three":  fmt.Sprint("LIMIT token_bucket 12 1d LIMIT sliding_window_counter 8 ", untilLate(7*24*3600/64, 64), " LIMIT fixed_window 9 ", untilLate(24*3600, 1)),
	"shadow": "LIMIT token_bucket 6 1d LIMIT sliding_window_log 4 1d SHADOW",
}

func (p *twins) info(t *testing.T, name string) int {
	return int(harness.InfoNumbers(t, p.backend.Client())[name])
}

// step puts one command, or a pipeline, to both and compares the replies. It returns how many
// commands there were.
func (p *twins) step(t *testing.T, s *wireScript, answered map[string]int) int {
	commands := s.next()
	text := ""
	for _, words := range commands {
		text += harness.Command(words...)
	}
	began, replies := time.Now(), [2][]harness.Value{}
	for i, c := range p.conns[s.IntN(len(p.conns))] {
		c.Send(text)
		for range commands {
			replies[i] = append(replies[i], c.Value())
		}
	}
	took := time.Since(began)
	// A state may be as much older on one side as the step took that made it, and so may what is
	// remembered of it. This step's instants are as far apart.
	apart := took + 2*max(p.longest, took)
	p.longest = max(p.longest, took)
	for i, words := range commands {
		s.told = append(s.told, strings.Join(words, " "))
		fromMemory, fromRedis := replies[0][i], replies[1][i]
		if !isAlike(fromMemory, fromRedis, apart) {
			t.Errorf("memory answers %s and Redis %s, where times may be %v apart, after\n  %s",
				wireText(fromMemory), wireText(fromRedis), apart, strings.Join(s.told, "\n  "))
			break
		}
		answered[wireKind(words, fromMemory)]++
		if len(fromMemory.Parts) == 6 && fromMemory.Parts[5].Text != "0" {
			answered["delayed"]++
		}
	}
	return len(commands)
}

func wireText(v harness.Value) string { return fmt.Sprintf("%c%s%q", v.Kind, v.Text, v.Texts()) }

// isAlike compares two replies, of which spans may be apart.
func isAlike(a, b harness.Value, apart time.Duration) bool {
	one, err := a.Integers()
	two, other := b.Integers()
	if err != nil || other != nil || len(one) != 6 || len(two) != 6 {
		return wireText(a) == wireText(b)
	}
	for i := range one {
		exact := i < 3 || one[i] <= 0 || two[i] <= 0 // no time, or never
		if difference := max(one[i]-two[i], two[i]-one[i]); difference > 0 && (exact || difference > apart.Milliseconds()+1) {
			return false
		}
	}
	return true
}

func wireKind(words []string, v harness.Value) string {
	switch {
	case v.Kind == '-':
		return "wrong type"
	case v.Kind == ':':
		return "reset"
	case words[0] == "RL.REFUND":
		return "refunded"
	case words[len(words)-1] == "FORCE":
		return "forced"
	case strings.Contains(strings.Join(words, " "), " @"):
		return "of a policy"
	case v.Parts[0].Text == "1":
		return "admitted"
	case v.Parts[3].Text == "-1":
		return "never"
	}
	return "denied"
}

// A wireScript draws commands about some keys.
type wireScript struct {
	*rand.Rand
	keys       []string
	algorithms []engine.Algorithm
	limits     [][2]int // units, and seconds
	pipelines  bool
	policies   bool
	told       []string
}

func newWireScript(r *rand.Rand, n int) *wireScript {
	s := &wireScript{Rand: r, pipelines: r.IntN(2) == 0, policies: r.IntN(2) == 0}
	for i := range 1 + r.IntN(3) {
		s.keys = append(s.keys, fmt.Sprint("s", n, ":", i))
	}
	s.algorithms = engine.Algorithms()
	if r.IntN(4) > 0 { // keys are of one algorithm, mostly
		s.algorithms = s.algorithms[r.IntN(len(s.algorithms)):][:1]
	}
	const hour, day = 3600, 24 * 3600
	s.limits = [][2]int{{8, day}, {12, day}, {6, day}, {7, 7 * day}, {10, 10 * hour}, {2, 5 * day}}
	if r.IntN(2) == 0 {
		s.pipelines = false
		s.limits = [][][2]int{{{7, day}}, {{10, day - 1}}, {{7, day - 1}}, {{300, 7 * day}}}[r.IntN(4)]
	}
	return s
}

// next draws a command, or some.
func (s *wireScript) next() (commands [][]string) {
	count := 1
	if s.pipelines && s.IntN(4) == 0 {
		count = 2 + s.IntN(10)
	}
	for range count {
		commands = append(commands, s.command())
	}
	return commands
}

func (s *wireScript) command() []string {
	key, a := s.keys[s.IntN(len(s.keys))], s.algorithms[s.IntN(len(s.algorithms))]
	name := "RL.CHECK"
	switch s.IntN(24) {
	case 0, 1:
		name = "RL.PEEK"
	case 2:
		name = "RL.REFUND"
	case 3:
		return []string{[]string{"RL.RESET", "DEL"}[s.IntN(2)], key}
	}
	if s.policies && s.IntN(2) == 0 {
		return s.policyCommand(name)
	}
	l := s.limits[s.IntN(len(s.limits))]
	units, seconds := l[0], l[1]
	if parts := map[engine.Algorithm]int{engine.FixedWindow: 1, engine.SlidingWindowCounter: engine.CounterSlices}[a]; parts > 0 {
		seconds = untilLate(seconds/parts, parts)
	}
	words := []string{name, key, a.String(), strconv.Itoa(units), strconv.Itoa(seconds)}
	most := units
	if a.HasBurst() && s.IntN(3) == 0 {
		most = 1 + s.IntN(2*units)
		words = append(words, "BURST", strconv.Itoa(most))
	}
	if s.IntN(3) > 0 {
		words = append(words, "COST", strconv.Itoa(1+s.IntN(most+1+most/10)))
	}
	if name == "RL.CHECK" && s.IntN(20) == 0 {
		words = append(words, "FORCE")
	}
	return words
}

// policyCommand draws a command about a policy, or several.
func (s *wireScript) policyCommand(name string) []string {
	names := slices.Sorted(maps.Keys(wirePolicies))
	pairs := s.Perm(len(s.keys) * len(names))
	pair := func(i int) []string {
		return []string{s.keys[pairs[i]%len(s.keys)], "@" + names[pairs[i]/len(s.keys)]}
	}
	words := append([]string{name}, pair(0)...)
	switch s.IntN(12) {
	case 0, 1, 2, 3:
		n := 1 + s.IntN(3)
		words = []string{"RL.MCHECK", strconv.Itoa(n)}
		for i := range n {
			words = append(words, pair(i)...)
		}
	case 4: // a state by its name
		state := s.keys[0] + []string{"@one:t8/1d", "@log:w/1d", "@two:l10/10h"}[s.IntN(3)]
		return [][]string{{"RL.RESET", state}, {"RL.CHECK", state, "token_bucket", "8", "1d"}}[s.IntN(2)]
	}
	if s.IntN(2) == 0 {
		words = append(words, "COST", strconv.Itoa(1+s.IntN(7)))
	}
	if words[0] != "RL.PEEK" && words[0] != "RL.REFUND" && s.IntN(12) == 0 {
		words = append(words, "FORCE")
	}
	return words
}

// wireBegan is when the test began, in seconds since the Unix epoch.
var wireBegan = int(time.Now().Unix())

// untilLate is a period (s) of so many parts, as long as others or little longer, of which no part ends
// soon.
func untilLate(part, parts int) int {
	period := part * parts
	for {
		left := (period - wireBegan*parts%period) / parts
		if left >= min(3600, period/parts/3) {
			return period
		}
		period++
	}
}

// TestCacheFollowsAdmissions is one sequence of the kind: what is remembered of a denial goes on
// with what is admitted after it.
func TestCacheFollowsAdmissions(t *testing.T) {
	p := newTwins(t)
	bucket := func(cost int, want ...int64) {
		t.Helper()
		var got [2][]int64
		for i, c := range p.conns[0] {
			got[i], _ = c.Ask("RL.CHECK", "k", "token_bucket", "10", "1d", "COST", strconv.Itoa(cost)).Integers()
			if len(got[i]) != 6 || !slices.Equal(got[i][:3], want) {
				t.Errorf("cost %d: %s answers %v; want %v", cost, []string{"memory", "Redis"}[i], got[i], want)
			}
		}
		const unit, slow = 24 * 3600 * 1000 / 10, 60_000 // ms
		owed := (10 - want[2]) * unit
		for _, g := range got {
			if reset := g[4]; reset > owed || reset < owed-slow {
				t.Errorf("cost %d: %v; want a reset after %d ms", cost, g, owed)
			}
			if retry := owed - int64(10-cost)*unit; want[0] == 0 && cost <= 10 && (g[3] > retry || g[3] < retry-slow) {
				t.Errorf("cost %d: %v; want a retry after %d ms", cost, g, retry)
			}
		}
	}
	bucket(3, 1, 10, 7)
	bucket(8, 0, 10, 7)
	bucket(1, 1, 10, 6)
	bucket(1, 1, 10, 5)
	bucket(1, 1, 10, 4)
	bucket(11, 0, 10, 4)
	bucket(8, 0, 10, 4)
	bucket(5, 0, 10, 4)
	// What is not answered from the cache is known to it all the same.
	p.conns[0][1].MustSay("OK", "CONFIG", "SET", "deny-cache-max", "0")
	bucket(5, 0, 10, 4)
	bucket(1, 1, 10, 3)
	p.conns[0][1].MustSay("OK", "CONFIG", "SET", "deny-cache-max", "1h")
	bucket(5, 0, 10, 3)
	if hits := p.info(t, "deny_cache_hits"); hits != 4 {
		t.Errorf("%d answers are from the cache; want 3 before it was turned off, and the last", hits)
	}
}
