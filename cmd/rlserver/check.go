package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/rlserver/rlserver/engine"
)

const checkName = "check"

func newCheck(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   checkName + " KEY ALGORITHM LIMIT PERIOD",
		Short: "Ask a running server whether a request may go ahead",
		Long: `check sends RL.CHECK to a running server, or RL.PEEK with --peek, and prints the answer. Arguments
go to the server as they are typed: LIMIT is units a period, PERIOD whole seconds or a number with
ms, s, m, h or d. A KEY that begins with - comes after --.

It exits with 0 when the answer is yes, with 1 when it is no, and with 2 when there is none.

` + clientHelp,
		Example: `  rlserver check user:123 token_bucket 100 60
  rlserver check user:123 token_bucket 100 1m --burst 20 --cost 5
  rlserver check export:7 sliding_window_log 3 1d --peek --json
  rlserver check deploy token_bucket 1 10m && ./deploy`,
		Args:              checkArguments,
		ValidArgsFunction: completeCheck,
		RunE:              func(cmd *cobra.Command, args []string) error { return check(cmd, env, args) },
	}
	flags := cmd.Flags()
	flags.String("burst", "", "the most `UNITS` that can be taken at once (default: LIMIT)")
	flags.String("cost", "", "`UNITS` that this request takes (default: 1)")
	flags.Bool("peek", false, "ask without taking anything")
	flags.Bool("json", false, "print the answer as one JSON object")
	for _, name := range []string{"burst", "cost"} {
		// The only error is that the flag does not exist.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	addClientFlags(cmd)
	return cmd
}

func checkArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 4 {
		return nil
	}
	return usageError(cmd, "check takes four arguments, KEY ALGORITHM LIMIT PERIOD, but was given %d", len(args))
}

func completeCheck(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	if len(args) == 1 {
		for _, a := range engine.Algorithms() {
			names = append(names, cobra.CompletionWithDesc(a.String(), a.Summary()))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// An answer is the reply to RL.CHECK and RL.PEEK, in the order and with the names of the
// protocol.
type answer struct {
	Key          string `json:"key"`
	Algorithm    string `json:"algorithm"`
	Allowed      bool   `json:"allowed"`
	Limit        int64  `json:"limit"`
	Remaining    int64  `json:"remaining"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	ResetAfterMS int64  `json:"reset_after_ms"`
	DelayMS      int64  `json:"delay_ms"`
}

func check(cmd *cobra.Command, env environment, args []string) error {
	t, err := chooseTarget(cmd, env)
	if err != nil {
		return err
	}
	flags := cmd.Flags()
	peek, err := flags.GetBool("peek")
	if err != nil {
		return err
	}
	asJSON, err := flags.GetBool("json")
	if err != nil {
		return err
	}
	command := []any{"RL.CHECK"}
	if peek {
		command[0] = "RL.PEEK"
	}
	for _, arg := range args {
		command = append(command, arg)
	}
	for _, option := range []string{"burst", "cost"} {
		if f := flags.Lookup(option); f.Changed {
			command = append(command, option, f.Value.String())
		}
	}
	var reply []int64
	err = t.ask(cmd.Context(), func(ctx context.Context, client *redis.Client) (err error) {
		reply, err = client.Do(ctx, command...).Int64Slice()
		return err
	})
	if err != nil {
		return err
	}
	if len(reply) < 6 {
		return fmt.Errorf("%s answered %d numbers where rlserver answers 6", t.address, len(reply))
	}
	a := answer{args[0], args[1], reply[0] == 1, reply[1], reply[2], reply[3], reply[4], reply[5]}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(a)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), a.sentence(peek))
	}
	if err == nil && !a.Allowed {
		return errDenied
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
	up := func(unit time.Duration) time.Duration {
		if down := d.Truncate(unit); down < d {
			return down + unit
		}
		return d
	}
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
