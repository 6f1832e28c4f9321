package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	result "github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/bench/report"
	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// The addresses that commands in the document have, which are those of servers started without flags.
const usualServer, usualRedis = "127.0.0.1:6380", "127.0.0.1:6379"

// runTimeMax is longer than any run takes.
const runTimeMax = 3 * time.Minute

// plan is how many rounds there are, and how long each is: shorter than elsewhere, for there are many.
func plan() (rounds int, length time.Duration) {
	rounds, length = bench.Plan()
	return rounds, min(length, time.Second)
}

// patience is how long a server may take to answer.
const patience = "60s"

// A run is a setting and what was measured in it.
type run struct {
	setting
	*result.Report
}

// measure runs the command against servers of its own.
func (s setting) measure(t testing.TB) run {
	t.Helper()
	rounds, length := plan()
	rlserver, redis := harness.StartServer(t), harness.StartRedis(t)
	r := s.measureOn(t, rounds, length, rlserver.Addr(), redis.Addr())
	for _, p := range []*harness.Process{rlserver, redis} {
		if err := p.Stop(syscall.SIGTERM); err != nil {
			t.Errorf("%s ended with %v\n%s", p.Cmd.Path, err, p.Log)
		}
	}
	return r
}

// measureOn runs the command against servers that are there. It fails when a target did, or admitted
// more than its limit allows.
func (s setting) measureOn(t testing.TB, rounds int, length time.Duration, rlserver, redis string) run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runTimeMax)
	defer cancel()
	words := s.words(rounds, length.String(), rlserver, redis)
	// A machine with much else to do may take its time.
	cmd := exec.CommandContext(ctx, harness.Binary(t), append(words, "--timeout", patience, "--json", "-")...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	r := run{s, &result.Report{}}
	if notJSON := json.Unmarshal(out.Bytes(), r.Report); err == nil {
		err = notJSON
	}
	if err != nil {
		report.Table(&complaints, r.Report, 0)
		t.Fatalf("rlserver %s: %v\n%s", strings.Join(words, " "), err, complaints.String())
	}
	for i := range r.Targets {
		r.Targets[i].Name = s.targets[i].name
	}
	r.Command = append([]string{"rlserver"}, s.words(rounds, length.String(), usualServer, usualRedis)...)
	return r
}

// of is what was measured of a target.
func (r run) of(wanted target) *result.Target {
	for i, t := range r.targets {
		if t == wanted {
			return &r.Targets[i]
		}
	}
	panic(fmt.Sprintf("%s was not asked", wanted.name))
}
