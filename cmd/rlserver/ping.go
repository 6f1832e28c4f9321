package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newPing(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Ask a running server whether it answers",
		Long: `ping prints PONG and exits with 0 if the server answers, and exits with 1 if it does not. It is
the health check of the container image.

` + clientHelp,
		Example: `  rlserver ping
  rlserver ping --host limits.example.com --port 7000 --timeout 500ms`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reply, err := ask(cmd, env, "PING")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), reply.Val())
			return err
		},
	}
	addClientFlags(cmd)
	return cmd
}
