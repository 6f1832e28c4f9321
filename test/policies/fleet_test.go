package policies

import (
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// All servers on one Redis see a change of one of them within a second, and one that starts later has
// all of them at once.
func TestFleetSeesChanges(t *testing.T) {
	for _, s := range settings[1:] {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)
			a, b := fleet[0].Dial(), fleet[1].Dial()
			sees := func(change, want string) {
				t.Helper()
				began := time.Now()
				harness.Eventually(t, "the other server has "+change, func() bool {
					got := b.Ask("RL.PEEK", "user", "@api")
					if got.Kind == '-' {
						return want == ""
					}
					return len(got.Parts) == 6 && got.Parts[1].Text == want
				})
				harness.Within(t, time.Second, time.Since(began), change)
			}
			a.SetPolicy("api", "fixed_window 7 366d")
			sees("a new policy", "7")
			a.SetPolicy("api", "fixed_window 8 366d")
			sees("a change", "8")
			a.MustSay("OK", "RL.POLICY", "OVERRIDE", "api", "user", "LIMIT", "fixed_window", "9", "366d")
			sees("an override", "9")
			started := harness.StartServer(t, serverFlags(fleet[0])...)
			b = started.Dial()
			sees("what was set before it started", "9")
			a.MustSay("OK", "RL.POLICY", "UNSET", "api", "user")
			sees("that the override is gone", "8")
			a.MustSay("OK", "RL.POLICY", "DEL", "api")
			sees("that the policy is gone", "")
			_ = started.Stop(syscall.SIGTERM)
		})
	}
}

// serverFlags are the flags that a server was started with, but for its port.
func serverFlags(p *harness.Process) (flags []string) {
	words := p.Cmd.Args[2:] // behind the program and "serve"
	for i := 0; i < len(words); i++ {
		if words[i] == "--port" {
			i++
			continue
		}
		flags = append(flags, words[i])
	}
	return flags
}
