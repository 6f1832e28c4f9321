package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rlserver/rlserver/policy"
)

func newPolicy(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:                        "policy",
		Short:                      "Check the policies of a configuration file",
		Args:                       unknownCommand,
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   checkName + " FILE",
		Short: "Say what is wrong with a configuration file, or which policies it has",
		Long: `check reads a configuration file as a server would that starts with it, or that gets SIGHUP or
RL.POLICY RELOAD: its settings and its policies. Nothing changes, and no server is asked.

It exits with 0 and a table of the policies, or with 1 and what is wrong: file, line, and what is
accepted there.`,
		Example: `  rlserver policy check /etc/rlserver.yaml
  rlserver policy check /etc/rlserver.yaml && kill -HUP "$(pidof rlserver)"`,
		Args: exactly(1, "one argument, FILE"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadFile(configFile{args[0], "FILE"}, env, nil)
			if err == nil {
				err = c.readPolicies()
			}
			if err != nil {
				return err
			}
			return printPolicies(cmd, c.policies)
		},
	})
	return cmd
}

// printPolicies prints policies as a table.
func printPolicies(cmd *cobra.Command, policies []policy.FileDefinition) error {
	overrides := 0
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if len(policies) > 0 {
		fmt.Fprint(table, "POLICY\tOVERRIDES\tLIMITS\n")
	}
	for _, p := range policies {
		overrides += len(p.Overrides)
		fmt.Fprintf(table, "%s\t%d\t%v\n", p.Name, len(p.Overrides), p.Definition)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "policies: %d, overrides: %d\n", len(policies), overrides)
	return err
}
