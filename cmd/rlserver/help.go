package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rlserver/rlserver/server/config"
)

// The help of rlserver serve has the settings by groups. rlserver has the same flags, and does not
// repeat them.

// addHelp has the commands show their help so.
func addHelp(root, serve *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() { // the library has no error for what these do not know
		case "completion":
			cmd.Args, cmd.SuggestionsMinimumDistance = unknownCommand, root.SuggestionsMinimumDistance
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			if bash, _, err := cmd.Find([]string{"bash"}); err == nil {
				bash.PostRun = func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), bashWords) }
			}
		case "help":
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(found, rest[max(len(rest)-1, 0):])
				}
				return found.Help()
			}
		}
	}
	plain := (&cobra.Command{}).UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		if cmd != root && cmd != serve {
			return plain(cmd)
		}
		hideSettings(cmd, true)
		defer hideSettings(cmd, false)
		if err := plain(cmd); err != nil || cmd == root {
			return err
		}
		hideSettings(cmd, false)
		_, err := fmt.Fprint(cmd.OutOrStderr(), settingsHelp(cmd.Flags()))
		return err
	})
}

// bashWords has bash complete the name of a policy as one word.
const bashWords = "\n# @ begins the name of a policy, and ends no word.\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n"

func hideSettings(cmd *cobra.Command, hidden bool) {
	for _, row := range table {
		cmd.Flags().Lookup(row.Name).Hidden = hidden
	}
}

// settingsHelp is the flags of the settings, by groups.
func settingsHelp(flags *pflag.FlagSet) string {
	var text strings.Builder
	for i := 0; i < len(table); {
		group := pflag.NewFlagSet("", pflag.ContinueOnError)
		group.SortFlags = false
		first := table[i]
		for ; i < len(table) && table[i].Group == first.Group; i++ {
			group.AddFlag(flags.Lookup(table[i].Name))
		}
		fmt.Fprintf(&text, "\n%s:\n%s", first.Group, group.FlagUsages())
	}
	return text.String()
}

// completeSetting completes the values of a setting's flag: its words, or paths.
func completeSetting(cmd *cobra.Command, row config.Setting) {
	complete := cobra.FixedCompletions(row.Field.Words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	if row.Field.Path {
		complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	_ = cmd.RegisterFlagCompletionFunc(row.Name, complete) // the only error is that the flag does not exist
}
