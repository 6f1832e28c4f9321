package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rlserver/rlserver/policy"
)

// Exit codes. check, aof and bench exit with 1 when their answer is no, and with 2 when they have none,
// so that a script can tell the two apart. The others fail with 1, as a container's health check
// must.
const (
	exitOK       = 0
	exitNo       = 1
	exitFailed   = 1
	exitNoAnswer = 2
)

// errNo is the result of check for a denial, of aof for damage, and of bench for a limit that was
// exceeded. Stdout has told of it.
var errNo = errors.New("no")

// errTold is the result of bench for a target that failed, when the terminal shows that already.
var errTold = errors.New("told")

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// run is the program, with everything that it reads and writes as a parameter, but for
// files, sockets and signals. It returns the exit code.
func run(args, env []string, stdout, stderr io.Writer) int {
	root := newRoot(newEnvironment(env), stdout, stderr)
	root.SetArgs(append([]string{}, args...)) // cobra takes nil for “look at os.Args”
	cmd, err := root.ExecuteC()
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitNo
	case errors.Is(err, errTold):
		return exitNoAnswer
	}
	fmt.Fprintln(stderr, "rlserver:", err)
	for cmd != root && cmd.Parent() != root {
		cmd = cmd.Parent()
	}
	if name := cmd.Name(); name == checkName || name == aofName || name == benchName {
		return exitNoAnswer
	}
	return exitFailed
}

// newRoot is rlserver without a subcommand, which serves.
func newRoot(env environment, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "rlserver",
		Short: "A rate-limit server that speaks RESP",
		Long: `rlserver answers one question, “may this request go ahead?”, for every program that can
talk to Redis: RL.CHECK user:123 token_bucket 100 60 takes one of 100 units a minute.

Without a subcommand it serves. Its settings are the flags of rlserver serve.`,
		Example: `  rlserver                                     # serve on 127.0.0.1:6380
  rlserver --port 7000 --log-level debug
  rlserver --config /etc/rlserver.yaml
  redis-cli -p 6380 RL.CHECK user:123 token_bucket 100 60
  rlserver check user:123 token_bucket 100 60`,
		Version:                    programVersion(),
		Args:                       unknownCommand,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return serve(cmd, env) },
	}
	root.SetVersionTemplate(versionText())
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetFlagErrorFunc(flagError)
	addSettingFlags(root)
	serve := newServe(env)
	root.AddCommand(serve, newCheck(env), newPing(env), newBench(env), newPolicy(env), newAOF(), newVersion())
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd() // which keeps stdout
	addHelp(root, serve)
	return root
}

// usageError is an error about how the command was called; it says where to read on.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	return fmt.Errorf("%w (see %s --help)", fmt.Errorf(format, args...), cmd.CommandPath())
}

func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := policy.Nearest(unknown.GetSpecifiedName(), known); near != "" {
			return usageError(cmd, "%w: did you mean --%s?", err, near)
		}
	}
	return usageError(cmd, "%w", err)
}

// unknownCommand accepts no arguments: those of rlserver itself are subcommands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError(cmd, "unknown command %q: did you mean %s?", args[0], near[0])
	}
	return usageError(cmd, "unknown command %q", args[0])
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(cmd, "%s takes no arguments, but was given %q", cmd.Name(), args[0])
}

// exactly accepts n arguments; takes names them.
func exactly(n int, takes string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError(cmd, "%s takes %s, but was given %d", cmd.Name(), takes, len(args))
	}
}
