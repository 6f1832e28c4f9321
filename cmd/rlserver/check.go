package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
)

const checkName = "check"

func newCheck(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   checkName + " KEY {@POLICY | ALGORITHM LIMIT PERIOD}",
		Short: "Ask a running server whether a request may go ahead",
		Long: `check sends RL.CHECK to a running server, or RL.PEEK with --peek, and prints the answer. @POLICY is
the name of limits that the server knows (RL.POLICY LIST). Arguments go to the server as they are
typed: LIMIT is units a period, PERIOD whole seconds or a number with ms, s, m, h or d. A KEY that
begins with - comes after --.

It exits with 0 when the answer is yes, with 1 when it is no, and with 2 when there is none.

` + clientHelp,
		Example: `  rlserver check user:123 token_bucket 100 60
  rlserver check user:123 @api --cost 5
  rlserver check user:123 token_bucket 100 1m --burst 20 --cost 5
  rlserver check export:7 sliding_window_log 3 1d --peek --json
  rlserver check user:123 token_bucket 100 60 -h limits.example.com -a secret --tls
  rlserver check deploy token_bucket 1 10m && ./deploy`,
		Args: checkArguments,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if len(args) == 1 {
				names = append(completePolicies(cmd, env), algorithmCompletions()...)
			}
			return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		},
	}
	flags := cmd.Flags()
	flags.String("burst", "", "the most `UNITS` that can be taken at once (default: LIMIT)")
	flags.String("cost", "", "`UNITS` that this request takes (default: 1)")
	peek := flags.Bool("peek", false, "ask without taking anything")
	asJSON := flags.Bool("json", false, "print the answer as one JSON object")
	addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return check(cmd, env, args, *peek, *asJSON)
	}
	return cmd
}

// checkArguments accepts KEY @POLICY, and KEY ALGORITHM LIMIT PERIOD.
func checkArguments(cmd *cobra.Command, args []string) error {
	isPolicy := len(args) > 1 && policy.IsName([]byte(args[1]))
	switch {
	case isPolicy && cmd.Flags().Changed("burst"):
		return usageError(cmd, "--burst goes without a policy, which has its own")
	case isPolicy && len(args) == 2, !isPolicy && len(args) == 4:
		return nil
	case !isPolicy && len(args) == 2 && policy.CheckName(args[1]) == nil:
		return usageError(cmd, "check takes KEY @POLICY, or KEY ALGORITHM LIMIT PERIOD: did you mean @%s?", args[1])
	}
	return usageError(cmd, "check takes KEY @POLICY, or KEY ALGORITHM LIMIT PERIOD, but was given %d", len(args))
}

// completionTime is the most to wait for the server while somebody completes a word.
const completionTime = "300ms"

// completePolicies are the policies of the server, if it answers.
func completePolicies(cmd *cobra.Command, env environment) (names []cobra.Completion) {
	_ = cmd.Flags().Set("timeout", completionTime) // which is accepted
	c, err := connect(cmd, env)
	if err != nil {
		return nil
	}
	defer c.close()
	reply, err := c.ask(cmd.Context(), "RL.POLICY", "LIST")
	if err != nil {
		return nil
	}
	pairs, _ := reply.StringSlice() // of what is none there are none
	for pair := range slices.Chunk(pairs, 2) {
		names = append(names, cobra.CompletionWithDesc("@"+pair[0], strings.Join(pair[1:], " ")))
	}
	return names
}

func algorithmCompletions() (names []cobra.Completion) {
	for _, a := range engine.Algorithms() {
		names = append(names, cobra.CompletionWithDesc(a.String(), a.Summary()))
	}
	return names
}

// An answer is the reply to RL.CHECK and RL.PEEK, in the order and with the names of the
// protocol.
type answer struct {
	Key          string `json:"key"`
	Algorithm    string `json:"algorithm,omitempty"`
	Policy       string `json:"policy,omitempty"` // in place of the algorithm, without its @
	Allowed      bool   `json:"allowed"`
	Limit        int64  `json:"limit"`
	Remaining    int64  `json:"remaining"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	ResetAfterMS int64  `json:"reset_after_ms"`
	DelayMS      int64  `json:"delay_ms"`
}

func check(cmd *cobra.Command, env environment, args []string, peek, asJSON bool) error {
	command := []any{"RL.CHECK"}
	if peek {
		command[0] = "RL.PEEK"
	}
	for _, arg := range args {
		command = append(command, arg)
	}
	for _, option := range []string{"burst", "cost"} {
		if f := cmd.Flags().Lookup(option); f.Changed {
			command = append(command, option, f.Value.String())
		}
	}
	c, err := connect(cmd, env)
	if err != nil {
		return err
	}
	defer c.close()
	reply, err := c.ask(cmd.Context(), command...)
	if err != nil {
		return err
	}
	n, err := reply.Int64Slice()
	if err != nil || len(n) < 6 {
		return fmt.Errorf("the server answered %v where rlserver answers six integers", reply.Val())
	}
	a := answer{args[0], args[1], "", n[0] == 1, n[1], n[2], n[3], n[4], n[5]}
	if name, isPolicy := strings.CutPrefix(args[1], "@"); isPolicy {
		a.Algorithm, a.Policy = "", name
	}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(a)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), a.sentence(peek))
	}
	if err == nil && !a.Allowed {
		return errNo
	}
	return err
}

// sentence is the answer for people.
func (a answer) sentence(peek bool) string {
	verb := ""
	if peek {
		verb = "would be "
	}
	switch {
	case a.Policy != "" && a.Limit == 0:
		return verb + "denied: the policy denies this key, whatever it asks for"
	case a.Policy != "" && a.Limit == engine.UnitsMax && a.Remaining < 0 && a.ResetAfterMS == 0:
		return verb + "allowed: the policy has no limit for this key"
	case !a.Allowed && a.RetryAfterMS < 0:
		return fmt.Sprintf("%sdenied: this can never pass, it costs more than the %d that can be taken at once (%s)", verb, a.Limit, a.left())
	case !a.Allowed:
		return fmt.Sprintf("%sdenied: try again in %s (%s)", verb, milliseconds(a.RetryAfterMS), a.left())
	case a.DelayMS > 0:
		return fmt.Sprintf("%sallowed: go ahead in %s; %s, %s", verb, milliseconds(a.DelayMS), a.left(), a.full())
	}
	return fmt.Sprintf("%sallowed: %s, %s", verb, a.left(), a.full())
}

func (a answer) left() string {
	if a.Remaining < 0 { // a degraded mode answered, without counting
		return fmt.Sprintf("an unknown number of %d left", a.Limit)
	}
	return fmt.Sprintf("%d of %d left", a.Remaining, a.Limit)
}

func (a answer) full() string {
	if a.ResetAfterMS == 0 {
		return "full now"
	}
	return "full again in " + milliseconds(a.ResetAfterMS)
}

const day = 24 * time.Hour

// milliseconds writes a wait for people: in two units at most, and rounded up, because a request
// that is too early is denied again.
func milliseconds(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	up := func(unit time.Duration) time.Duration { return (d + unit - 1).Truncate(unit) }
	switch {
	case d < time.Second:
		return d.String()
	case up(100*time.Millisecond) < time.Minute:
		return up(100 * time.Millisecond).String()
	case up(time.Second) < time.Hour:
		return fmt.Sprintf("%dm%ds", up(time.Second)/time.Minute, up(time.Second)%time.Minute/time.Second)
	case up(time.Minute) < day:
		return fmt.Sprintf("%dh%dm", up(time.Minute)/time.Hour, up(time.Minute)%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", up(time.Hour)/day, up(time.Hour)%day/time.Hour)
}
