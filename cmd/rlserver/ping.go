package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

func newPing(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Ask a running server whether it answers, or decides",
		Long: `ping prints PONG and exits with 0 if the server answers, and exits with 1 if it does not. It is
the health check of the container image.

With --ready it also exits with 1 if the server answers but does not decide: its backend is down, its
disk refuses changes, it has too few replicas, or it is a replica that does not hear its primary.

` + clientHelp,
		Example: `  rlserver ping
  rlserver ping --ready
  rlserver ping -h limits.example.com -p 7000 --timeout 500ms
  REDISCLI_AUTH=secret rlserver ping --tls --cacert ca.pem -p 6390`,
		Args: noArguments,
	}
	ready := cmd.Flags().Bool("ready", false, "fail unless the server decides")
	addClientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := connect(cmd, env)
		if err != nil {
			return err
		}
		defer c.close()
		reply, err := c.ask(cmd.Context(), "PING")
		if err == nil && *ready {
			err = c.ready(cmd)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), reply.Val())
		return err
	}
	return cmd
}

// readyKey is reset by --ready. It never exists, so nothing changes.
const readyKey = "rlserver:ping:ready"

// ready is an error that tells why the server does not decide. RL.RESET has to be decided where
// decisions are made, and to be kept where changes are kept, whatever the answer to RL.CHECK is
// while that fails. A replica refuses it, and is ready when it hears its primary. Of a Redis Cluster
// some nodes may be down.
func (c *connection) ready(cmd *cobra.Command) error {
	reset, problem := c.ask(cmd.Context(), "RL.RESET", readyKey)
	info, err := c.ask(cmd.Context(), "INFO", "replication", "backend")
	if err != nil {
		return err
	}
	text, _ := info.Text()
	has := func(field string) bool { return strings.Contains(text, field+"\r\n") }
	var reply redis.Error
	switch {
	case problem == nil, has("backend_state:degraded"):
		return nil
	case errors.As(reset.Err(), &reply) && redis.HasErrorPrefix(reset.Err(), "READONLY"):
		if has("master_link_status:up") {
			return nil
		}
		return fmt.Errorf("%s is not ready: it is a replica that does not hear its primary", c.name)
	}
	return fmt.Errorf("not ready: %w", problem)
}
