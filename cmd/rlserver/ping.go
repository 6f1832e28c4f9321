package main

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
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
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := chooseTarget(cmd, env)
			if err != nil {
				return err
			}
			var pong string
			err = t.ask(cmd.Context(), func(ctx context.Context, client *redis.Client) (err error) {
				pong, err = client.Ping(ctx).Result()
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), pong)
			return err
		},
	}
	addClientFlags(cmd)
	return cmd
}
