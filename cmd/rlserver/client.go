package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/cobra"
)

// The settings that say how to reach the server.
const (
	settingPort        = "port"
	settingRequirePass = "requirepass"
)

const clientHelp = `Where the server is, is taken from the flags, or else from the configuration that a server here
would read: RLSERVER_PORT, RLSERVER_REQUIREPASS and RLSERVER_BIND, or the file given with --config
or RLSERVER_CONFIG.`

func addClientFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.String("host", "", "`HOST` of the server (default: the address of the configuration, 127.0.0.1)")
	flags.String("port", "", "`PORT` of the server (default: the port of the configuration, 6380)")
	flags.String("password", "", "`PASSWORD` of the server; better in RLSERVER_REQUIREPASS than on the command line")
	flags.Duration("timeout", 2*time.Second, "the most to wait for the answer, such as 500ms or 2s: `DURATION`")
	addConfigFlag(cmd)
}

// ask sends a command to the server on one connection, and does not send it again: a check that is
// sent twice takes units twice. Flags go before the configuration of a server on this machine,
// so that a health check in a container needs none.
func ask(cmd *cobra.Command, env environment, command ...any) (*redis.Cmd, error) {
	flags := cmd.Flags()
	var given []assignment
	for _, pair := range [][2]string{{"port", settingPort}, {"password", settingRequirePass}} {
		if f := flags.Lookup(pair[0]); f.Changed {
			given = append(given, assignment{pair[1], f.Value.String(), "--" + f.Name})
		}
	}
	c, err := load(flags, env, given)
	if err != nil {
		return nil, err
	}
	if c.cfg.Port <= 0 {
		return nil, usageError(cmd, "port is 0 or auto, which names no port to connect to: give one with --port")
	}
	host := localHost(c.cfg.Bind)
	if f := flags.Lookup("host"); f.Changed {
		host = f.Value.String()
	}
	timeout, _ := flags.GetDuration("timeout") // the only error is that the flag does not exist
	if timeout <= 0 {
		return nil, usageError(cmd, "--timeout: %v is not accepted: expected more than 0, such as 500ms or 2s", timeout)
	}
	address := net.JoinHostPort(host, strconv.Itoa(c.cfg.Port))
	redis.SetLogger(&logging.VoidLogger{}) // errors come back; they need not be logged as well
	client := redis.NewClient(&redis.Options{
		Addr:                     address,
		Password:                 c.cfg.RequirePass,
		Protocol:                 2,
		MaxRetries:               -1,
		DialerRetries:            1,
		PoolSize:                 1,
		DialTimeout:              timeout,
		ReadTimeout:              timeout,
		WriteTimeout:             timeout,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer func() { _ = client.Close() }() // the answer is there
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	reply := client.Do(ctx, command...)
	return reply, explain(reply.Err(), address, timeout)
}

// explain turns an error into one line that names the server.
func explain(err error, address string, timeout time.Duration) error {
	var reply redis.Error
	var network *net.OpError
	var slow interface{ Timeout() bool }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &reply):
		text := strings.TrimSpace(reply.Error())
		if strings.HasPrefix(text, "NOAUTH") {
			text += " (give it with --password or " + envName(settingRequirePass) + ")"
		}
		return fmt.Errorf("%s answers: %s", address, text)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return fmt.Errorf("%s does not answer within %v", address, timeout)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s closed the connection without an answer", address)
	case errors.As(err, &network):
		return fmt.Errorf("cannot reach %s: %w", address, network.Err)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// localHost is where a server that listens on these addresses is reached from the same
// machine: through loopback where it listens there, because protected mode accepts nothing
// else, and else at its first address.
func localHost(bind []string) string {
	for _, host := range bind {
		ip, err := netip.ParseAddr(host)
		switch {
		case err != nil || ip.IsLoopback(): // not an IP address: localhost
			return host
		case ip == netip.IPv6Unspecified():
			return "localhost" // ::1 or 127.0.0.1, whichever answers
		case ip.IsUnspecified():
			return "127.0.0.1"
		}
	}
	return bind[0]
}
