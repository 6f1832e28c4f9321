package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/bench/report"
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
)

const benchName = "bench"

// benchFlags are the flags of bench as they are typed.
type benchFlags struct {
	targets            []string
	duration, keySpace string
	jsonTo, htmlTo     string
	options            bench.Options
}

func newBench(env environment) *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   benchName + " [@POLICY [COST n] | ALGORITHM LIMIT PERIOD [BURST n] [COST n]]",
		Short: "Measure how fast servers decide, and whether they are right",
		Long: `bench puts load on a server and measures throughput, latency, and the processor time and memory of
a server on this machine. It counts what was admitted on each key, and says so if that is more than the
limit allows.

The limit is given as to RL.CHECK (default: token_bucket 100 60). With @POLICY the servers, all of
which are rlserver, tell its limits, and admissions are held against each of them. --target names what is asked, and
several targets take turns. One that has no address is asked where the flags of redis-cli say.

Without --rate each connection sends its next requests when the replies to those before are there.
With it requests are sent at that rate, and each latency counts from when its request was to be sent,
so that a stall shows in the latencies of all requests that it held up.

It exits with 1 when more was admitted than a limit allows, and with 2 when a target failed.

` + clientHelp + "\n\nTargets:\n" + targetHelp() + "\nKey spaces:\n" + keySpaceHelp(),
		Example: `  rlserver bench
  rlserver bench token_bucket 100 60 -c 500 -P 16 -d 30s
  rlserver bench @api COST 5
  rlserver bench --target rlserver,incr=127.0.0.1:6379,script=127.0.0.1:6379 --rounds 5 --html report.html
  rlserver bench leaky_bucket 1000 1s BURST 50 --rate 20000 --key-space zipf --json -`,
		Args: cobra.MaximumNArgs(7),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeBench(cmd, env, args)
		},
	}
	flags, o := cmd.Flags(), &f.options
	flags.IntVarP(&o.Connections, "connections", "c", 50, "`CONNECTIONS` to each target")
	flags.IntVarP(&o.Pipeline, "pipeline", "P", 1, "`REQUESTS` that a connection sends before it waits for replies")
	flags.StringVarP(&f.duration, "duration", "d", "10s", "the `TIME` that each round takes, in whole seconds or with ms, s, m or h")
	flags.Int64VarP(&o.Requests, "requests", "n", 0, "`REQUESTS` of a round, in place of --duration")
	flags.IntVar(&o.Threads, "threads", benchThreads(), "`THREADS` of this client")
	flags.Int64Var(&o.Keys, "keys", 100_000, "`KEYS` that are asked for")
	flags.StringVar(&f.keySpace, "key-space", string(bench.Uniform), "how keys are drawn: `NAME`, one of those below")
	flags.Float64Var(&o.Rate, "rate", 0, "requests `PER-SECOND` to send, whether or not there are replies; 0: as many as there are replies")
	flags.IntVar(&o.Rounds, "rounds", 1, "`ROUNDS` of each target, in turns")
	flags.StringSliceVar(&f.targets, "target", []string{"rlserver"}, "what is asked: `NAME[=HOST:PORT]`, several with commas or by repeating it")
	flags.StringVar(&f.jsonTo, "json", "", "write the report as JSON to `FILE`; - is stdout, in place of the table")
	flags.StringVar(&f.htmlTo, "html", "", "write the report as a page with charts to `FILE`")
	flags.Uint64Var(&o.Seed, "seed", 0, "`NUMBER` from which keys are drawn (default: another one each time, which the report says)")
	addClientFlags(cmd)
	for _, file := range []string{"json", "html"} {
		_ = cmd.MarkFlagFilename(file) // the only error is that the flag does not exist
	}
	_ = cmd.RegisterFlagCompletionFunc("target", completeTargets)
	_ = cmd.RegisterFlagCompletionFunc("key-space", completeKeySpaces)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, env, args) }
	return cmd
}

// benchThreads leaves most cores to a server on the same machine.
func benchThreads() int { return max(1, min(runtime.NumCPU()/2, 8)) }

func targetHelp() string {
	var text strings.Builder
	bench.TargetKinds(func(name, summary string) { fmt.Fprintf(&text, "  %-12s %s\n", name, summary) })
	return text.String()
}

func keySpaceHelp() string {
	var text strings.Builder
	for _, s := range bench.KeySpaces {
		fmt.Fprintf(&text, "  %-12s %s\n", s.Name, s.Summary)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

func completeBench(cmd *cobra.Command, env environment, args []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	switch len(args) {
	case 0:
		return append(completePolicies(cmd, env), algorithmCompletions()...), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	case 1:
		if policy.IsName([]byte(args[0])) {
			words = []cobra.Completion{"COST"}
		}
	case 3, 5:
		if !policy.IsName([]byte(args[0])) {
			words = []cobra.Completion{"BURST", "COST"}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func completeTargets(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	bench.TargetKinds(func(name, summary string) { names = append(names, cobra.CompletionWithDesc(name, summary)) })
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveKeepOrder
}

func completeKeySpaces(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, s := range bench.KeySpaces {
		names = append(names, cobra.CompletionWithDesc(string(s.Name), s.Summary))
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// read makes the options of flags, arguments and the environment.
func (f *benchFlags) read(cmd *cobra.Command, env environment, args []string) error {
	o := &f.options
	var err error
	if o.Question, err = benchQuestion(args); err != nil {
		return usageError(cmd, "%w", err)
	}
	where, err := clientOptions(cmd, env)
	if err != nil {
		return err
	}
	o.Username, o.Password, o.TLS, o.Timeout = where.Username, where.Password, where.TLSConfig, where.DialTimeout
	if o.TLS != nil && !cmd.Flags().Changed("sni") {
		o.TLS.ServerName = "" // each target has its own
	}
	for _, text := range f.targets {
		t, err := bench.ParseAddress(text, bench.Address{Network: where.Network, Address: where.Addr})
		if err != nil {
			return usageError(cmd, "--target: %w", err)
		}
		o.Targets = append(o.Targets, t)
	}
	isKnown := false
	for _, s := range bench.KeySpaces {
		isKnown = isKnown || string(s.Name) == f.keySpace
	}
	if o.KeySpace = bench.KeySpace(f.keySpace); !isKnown {
		return usageError(cmd, "--key-space: %q is not accepted: expected uniform, zipf, hot or new", f.keySpace)
	}
	given := cmd.Flags().Changed
	switch span := config.Span(&o.Duration, bench.DurationMax); {
	case given("requests") && given("duration"):
		return usageError(cmd, "--requests goes without --duration")
	case given("requests") && o.Requests < 1:
		return usageError(cmd, "--requests: %d is not accepted: expected 1 to %d", o.Requests, int64(bench.RequestsMax))
	case !given("requests") && !span.Set(f.duration):
		return usageError(cmd, "--duration: %q is not accepted: expected %s", f.duration, span.Accepts)
	}
	if !given("seed") {
		o.Seed = rand.Uint64() >> 11 // which every reader of JSON knows exactly
	}
	if !given("threads") {
		o.Threads = min(o.Threads, max(o.Connections, 1))
	}
	o.Version = programVersion()
	o.Command = append([]string{"rlserver"}, withoutSecrets(cmd.Flags(), os.Args[1:])...)
	isOther := func(t bench.Address) bool { return t.Kind != "rlserver" }
	if o.Policy != "" && !slices.ContainsFunc(o.Targets, isOther) {
		if err := f.askPolicy(cmd.Context(), *where); err != nil {
			return err
		}
	}
	if err := o.Check(); err != nil {
		return usageError(cmd, "%w", err)
	}
	return f.canWrite(cmd)
}

// canWrite tells before anything is measured of a file that cannot be written.
func (f *benchFlags) canWrite(cmd *cobra.Command) error {
	switch {
	case f.htmlTo == "-":
		return usageError(cmd, "--html: - is not accepted: expected a file")
	case f.htmlTo != "" && f.htmlTo == f.jsonTo:
		return usageError(cmd, "--json and --html: expected two files")
	}
	for flag, path := range map[string]string{"json": f.jsonTo, "html": f.htmlTo} {
		if path == "" || path == "-" {
			continue
		}
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return usageError(cmd, "--%s: %w", flag, err)
		}
		_ = file.Close()
	}
	return nil
}

// benchQuestion reads the words of a limit as RL.CHECK takes them.
func benchQuestion(words []string) (asked bench.Question, err error) {
	if len(words) == 0 {
		words = []string{engine.TokenBucket.String(), "100", "60"}
	}
	var q policy.Question
	if err := q.Read(bytes.Fields([]byte(strings.Join(words, " "))), "rlserver bench"); err != nil {
		return asked, err
	}
	asked = bench.Question{Rule: q.Rule, Cost: q.Cost, Policy: q.Policy}
	if q.Policy == "" {
		err = q.Rule.Algorithm.CheckLimit(&q.Rule.Limit, engine.LogLimitDefault)
	}
	return asked, err
}

// askPolicy has the targets tell the limits of the policy, which are the same for all.
func (f *benchFlags) askPolicy(ctx context.Context, where redis.Options) error {
	name, first := f.options.Policy, ""
	for _, t := range f.options.Targets {
		where.Network, where.Addr = t.Network, t.Address
		c := newConnection(&where)
		reply, err := c.ask(ctx, "RL.POLICY", "GET", name)
		c.close()
		if err != nil {
			return err
		}
		text := ""
		fields, _ := reply.Slice()
		for pair := range slices.Chunk(fields, 2) {
			if pair[0] == "definition" && len(pair) == 2 {
				text = fmt.Sprint(pair[1])
			}
		}
		d, err := policy.Parse(text)
		switch {
		case err != nil:
			return fmt.Errorf("%s does not say what policy %s is: %w", c.name, name, err)
		case first != "" && text != first:
			return fmt.Errorf("policy %s is %q on the target before %s, and %q there", name, first, c.name, text)
		case d.Shadow || d.Verdict != policy.Ask:
			return fmt.Errorf("policy %s is %q on %s: expected limits that deny, which can be judged", name, text, c.name)
		}
		first, f.options.Rule, f.options.More = text, d.Rules[0], d.Rules[1:]
	}
	return nil
}

// run measures, and writes what came of it.
func (f *benchFlags) run(cmd *cobra.Command, env environment, args []string) error {
	if err := f.read(cmd, env, args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	progress := report.NewProgress(cmd.ErrOrStderr(), columns(cmd.ErrOrStderr()))
	f.options.Progress = progress.Show
	r, err := bench.Run(ctx, &f.options)
	progress.Close()
	if err != nil {
		return err
	}
	if err := f.write(cmd.OutOrStdout(), r); err != nil {
		return err
	}
	err = benchVerdict(r)
	isTold := f.jsonTo != "-" && isMeasured(r) && columns(cmd.OutOrStdout()) > 0
	if isTold && err != nil && !errors.Is(err, errNo) {
		return errTold // the table, just above, ends with it
	}
	return err
}

// columns is how wide a terminal is, or 0 for what is none.
func columns(out io.Writer) int {
	file, isFile := out.(*os.File)
	if !isFile {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err == nil && width == 0 {
		return 80 // a terminal that does not say
	}
	return width
}

// write writes the report wherever it is wanted.
func (f *benchFlags) write(stdout io.Writer, r *bench.Report) error {
	if f.jsonTo == "-" {
		if err := report.JSON(stdout, r); err != nil {
			return err
		}
	} else if isMeasured(r) {
		report.Table(stdout, r, columns(stdout))
	}
	for path, write := range map[string]func(io.Writer, *bench.Report) error{f.jsonTo: report.JSON, f.htmlTo: report.HTML} {
		if path == "" || path == "-" {
			continue
		}
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(write(file, r), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// isMeasured says whether there is anything to show. If not, what went wrong is all that there is to say.
func isMeasured(r *bench.Report) bool {
	return slices.ContainsFunc(r.Targets, func(t bench.Target) bool { return len(t.Rounds) > 0 })
}

// benchVerdict is an error if a target failed, or a limit was exceeded.
func benchVerdict(r *bench.Report) error {
	isWrong := false
	var failures []string
	for _, t := range r.Targets {
		if t.Failure != "" {
			failures = append(failures, t.Failure)
		}
		for _, round := range t.Rounds {
			isWrong = isWrong || len(round.Violations) > 0
		}
	}
	switch {
	case failures != nil:
		return errors.New(strings.Join(failures, "\nrlserver: "))
	case isWrong:
		return errNo
	}
	return nil
}
