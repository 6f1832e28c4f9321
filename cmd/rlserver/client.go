package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
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

const clientTimeoutDefault = 2 * time.Second

const clientHelp = `Where the server is, is taken from the flags, or else from the configuration that a server here
would read: RLSERVER_PORT, RLSERVER_REQUIREPASS and RLSERVER_BIND, or the file given with --config
or RLSERVER_CONFIG.`

// A target is a server to ask.
type target struct {
	address  string
	password string
	timeout  time.Duration // for everything: connecting, asking, answering
}

func addClientFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.String("host", "", "`HOST` of the server (default: the address of the configuration, 127.0.0.1)")
	flags.String("port", "", "`PORT` of the server (default: the port of the configuration, 6380)")
	flags.String("password", "", "`PASSWORD` of the server; better in RLSERVER_REQUIREPASS than on the command line")
	flags.Duration("timeout", clientTimeoutDefault, "the most to wait for the answer, such as 500ms or 2s: `DURATION`")
	addConfigFlag(cmd)
	for _, name := range []string{"host", "port", "password", "timeout"} {
		// The only error is that the flag does not exist.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// chooseTarget puts the flags on top of the configuration of a server on this machine, so
// that a health check in a container needs none.
func chooseTarget(cmd *cobra.Command, env environment) (target, error) {
	flags := cmd.Flags()
	var given []assignment
	for _, pair := range [][2]string{{"port", settingPort}, {"password", settingRequirePass}} {
		if f := flags.Lookup(pair[0]); f.Changed {
			given = append(given, assignment{pair[1], f.Value.String(), "--" + f.Name})
		}
	}
	c, err := load(chooseConfigFile(flags, env), env, given)
	if err != nil {
		return target{}, err
	}
	if c.cfg.Port == 0 {
		return target{}, usageError(cmd, "port 0 is a port that the server chose when it started: give that one with --port")
	}
	host := localHost(c.cfg.Bind)
	if f := flags.Lookup("host"); f.Changed {
		host = f.Value.String()
	}
	timeout, err := flags.GetDuration("timeout")
	if err != nil {
		return target{}, err
	}
	if timeout <= 0 {
		return target{}, usageError(cmd, "--timeout: %v is not accepted: expected more than 0, such as 500ms or 2s", timeout)
	}
	return target{net.JoinHostPort(host, fmt.Sprint(c.cfg.Port)), c.cfg.RequirePass, timeout}, nil
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

// ask runs a question against the server, on one connection and without retries: a check
// that is sent twice takes twice.
func (t target) ask(parent context.Context, question func(context.Context, *redis.Client) error) error {
	redis.SetLogger(&logging.VoidLogger{}) // errors come back; they need not be logged as well
	client := redis.NewClient(&redis.Options{
		Addr:                     t.address,
		Password:                 t.password,
		Protocol:                 2,
		MaxRetries:               -1,
		DialerRetries:            1,
		PoolSize:                 1,
		DialTimeout:              t.timeout,
		ReadTimeout:              t.timeout,
		WriteTimeout:             t.timeout,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer func() { _ = client.Close() }() // the answer is there
	ctx, cancel := context.WithTimeout(parent, t.timeout)
	defer cancel()
	if err := question(ctx, client); err != nil {
		return t.explain(err)
	}
	return nil
}

// explain says in one line what went wrong, and with which server.
func (t target) explain(err error) error {
	var reply redis.Error
	var network *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &reply):
		text := strings.TrimSpace(reply.Error())
		if strings.HasPrefix(text, "NOAUTH") {
			text += " (give it with --password or " + envName(settingRequirePass) + ")"
		}
		return fmt.Errorf("%s answers: %s", t.address, text)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s does not answer within %v", t.address, t.timeout)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s closed the connection without an answer", t.address)
	case errors.As(err, &network):
		return fmt.Errorf("cannot reach %s: %w", t.address, network.Err)
	}
	return fmt.Errorf("%s: %w", t.address, err)
}
