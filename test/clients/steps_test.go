package clients

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

const (
	hourMs     = 3_600_000
	dayMs      = 24 * hourMs
	pipelineOf = 1000
	logLimit   = 600
)

// askEverything is what each client must do: ask until denied, read the six integers, meet errors
// and go on, and send a thousand questions at a time. The keys have a hash tag, as clients of a
// cluster want it where a command has several.
func (c client) askEverything(p *program, tag string) {
	p.t.Helper()
	bucket, shaped, log := "{"+tag+"}bucket", "{"+tag+"}shaped", "{"+tag+"}log"

	question := "RL.CHECK " + bucket + " token_bucket 3 1h"
	for left := int64(2); left >= 0; left-- {
		if got := p.decide(question); got != [6]int64{1, 3, left, 0, got[4], 0} || got[4] <= 0 || got[4] > hourMs {
			p.t.Errorf("with %d left: %v", left, got)
		}
	}
	got := p.decide(question)
	if got != [6]int64{0, 3, 0, got[3], got[4], 0} || got[3] <= 0 || got[3] > hourMs/3 || got[4] <= got[3] || got[4] > hourMs {
		p.t.Errorf("with nothing left: %v", got)
	}
	if got := p.decide(question + " COST 4"); got[3] != -1 {
		p.t.Errorf("what can never pass: %v", got)
	}
	p.decide("RL.CHECK " + shaped + " leaky_bucket 3 1h COST 2")
	if got := p.decide("RL.CHECK " + shaped + " leaky_bucket 3 1h"); got[0] != 1 || got[5] <= hourMs/3 || got[5] > 2*hourMs/3 {
		p.t.Errorf("leaky_bucket's delay_ms: %v", got)
	}

	p.fails(p.ask("RL.CHECK " + bucket + " leaky_bucket 3 1h")[0], c.errorReply, "WRONGTYPE")

	c.askInPipelines(p, bucket, log)
	if got := p.ask("RL.RESET " + strings.Join([]string{bucket, shaped, log, "{" + tag + "}missing"}, " "))[0]; got != "3" {
		p.t.Errorf("RL.RESET: %q, want 3", got)
	}
}

func (c client) askInPipelines(p *program, bucket, log string) {
	p.t.Helper()
	const meter = " sliding_window_log 600 1h"
	replies := p.ask(slices.Repeat([]string{"RL.CHECK " + log + meter}, pipelineOf)...)
	if len(replies) != pipelineOf {
		p.t.Fatalf("%d replies to a pipeline of %d: %.200q", len(replies), pipelineOf, replies)
	}
	for i, reply := range replies {
		if got := p.six(reply); (got[0] == 1) != (i < logLimit) {
			p.t.Fatalf("check %d of the pipeline: %v", i, got)
		}
	}

	ask := "RL.PEEK " + bucket + " token_bucket 3 1h"
	replies = p.ask(ask, "RL.PEEK "+bucket+" token_bucket 0 1h", ask)
	if c.pipelineFails {
		p.fails(replies[0], c.errorReply, "limit 0 is out of range")
	} else if len(replies) != 3 {
		p.t.Errorf("around an error in a pipeline: %q", replies)
	} else {
		p.fails(replies[1], c.errorReply, "limit 0 is out of range")
		if before, behind := p.six(replies[0]), p.six(replies[2]); before[0] != 0 || behind[0] != 0 {
			p.t.Errorf("around an error in a pipeline: %v, %v", before, behind)
		}
	}
	if got := p.decide(ask); got[0] != 0 {
		p.t.Errorf("behind an error in a pipeline: %v", got)
	}
}

// parses has the client read replies that it knows by itself.
func (c client) parses(p *program) {
	p.t.Helper()
	log := c.name + ":log"
	p.decide("RL.CHECK " + log + " sliding_window_log 600 1h")
	if got := p.ask("parses " + log)[0]; got != "ok" {
		p.t.Errorf("replies that %s knows: %s", c.name, got)
	}
}

// follows wants a client of a cluster to go where the primary is, when it and its replica change
// roles, and to lose no decision by it.
func (c client) follows(t *testing.T) {
	t.Helper()
	emulated := []string{"--cluster-enabled", "emulated"}
	first := harness.StartServer(t, emulated...)
	second := harness.StartServer(t, append(emulated, "--replicaof", "127.0.0.1 "+strconv.Itoa(first.Port))...)
	p := c.start(t, "MODE=cluster", "ADDRESS="+first.Addr())
	const question = "RL.CHECK moves token_bucket 3 1h"
	if got := p.decide(question); got[2] != 2 {
		t.Errorf("at the first primary: %v", got)
	}
	atFirst, atSecond := first.Dial(), second.Dial()
	harness.Eventually(t, "the replica has what was decided", func() bool { return atFirst.Ask("WAIT", "1", "1000").Number(t) == 1 })
	atSecond.MustSay("OK", "REPLICAOF", "NO", "ONE")
	atFirst.MustSay("OK", "REPLICAOF", "127.0.0.1", strconv.Itoa(second.Port))
	if c.staysBehind {
		p = c.start(t, "MODE=cluster", "ADDRESS="+first.Addr())
	}
	if got := p.decide(question); got[2] != 1 {
		t.Errorf("when the replica has become the primary: %v", got)
	}
	if got := atSecond.Ask(strings.Fields(question)...).Parts[2].Number(t); got != 0 {
		t.Errorf("the new primary has %d left, want 0", got)
	}
}

// staysFresh asks through the client's cache while another connection changes the answer. The same
// question without the cache stands between: what the server sent on this connection before has
// been read by then.
func (c client) staysFresh(p *program, server *harness.Process) {
	p.t.Helper()
	key := "{" + c.name + ":cache}bucket"
	question := " " + key + " token_bucket 3 1h"
	other := server.Dial()
	for left := int64(3); left > 0; left-- {
		for _, word := range []string{"cached RL.PEEK", "RL.PEEK", "cached RL.PEEK"} {
			if got := p.decide(word + question); got[2] != left {
				p.t.Errorf("%s: %v, want %d remaining", word, got, left)
			}
		}
		other.Ask(strings.Fields("RL.CHECK" + question)...)
	}
	if got := p.decide("cached RL.PEEK" + question); got[0] != 0 {
		p.t.Errorf("a denial is answered from the cache as %v", got)
	}
	p.decide("RL.PEEK" + question)
	other.Ask("RL.RESET", key)
	if got := p.decide("cached RL.PEEK" + question); got[2] != 3 {
		p.t.Errorf("behind a reset, the cache answers %v", got)
	}
}

// What clients make of WRONGPASS and of the two kinds of NOAUTH.
var (
	wrongPassword = regexp.MustCompile(`^error .*([Ii]nvalid username-password pair|Password authentication failed)`)
	noPassword    = regexp.MustCompile(`^error .*(Authentication required|must be called with the client already authenticated)`)
)

// isRefused wants the first command to be answered with an error that says why the server would
// not have the client, instead of silence.
func (c client) isRefused(p *program, want *regexp.Regexp) {
	p.t.Helper()
	if got := p.ask("PING")[0]; !want.MatchString(got) {
		p.t.Errorf("%s is told %q, want %s", c.name, got, want)
	}
}
