package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rlserver/rlserver/server/config"
)

// The settings that say how to reach the server.
const (
	settingPort        = "port"
	settingRequirePass = "requirepass"
)

// envPassword is redis-cli's variable for the password.
const envPassword = "REDISCLI_AUTH"

const clientHelp = `The flags that say where the server is are those of redis-cli. What they leave open is taken from
--uri, then from the configuration that a server here would read: RLSERVER_PORT, RLSERVER_BIND,
RLSERVER_REQUIREPASS and their like, or the file given with --config or RLSERVER_CONFIG. The
password can stand in REDISCLI_AUTH as well.`

// clientTimeoutMax bounds --timeout.
const clientTimeoutMax = time.Hour

// addClientFlags adds the flags of every command that asks a server. -h is the host, as in redis-cli,
// and --help the help.
func addClientFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringP("host", "h", "", "`HOST` of the server (default: the address of the configuration, 127.0.0.1)")
	flags.StringP("port", "p", "", "`PORT` of the server (default: the port of the configuration, 6380)")
	flags.StringP("socket", "s", "", "Unix socket of the server, in place of host and port: `PATH`")
	flags.StringP("password", "a", "", "`PASSWORD` of the server; better in REDISCLI_AUTH than on the command line")
	flags.String("pass", "", "the same as --password")
	flags.String("user", "", "`NAME` of the user that the password is of")
	flags.StringP("uri", "u", "", "all of these as one `URI`, redis://user:password@host:port; rediss:// is with TLS")
	flags.Bool("tls", false, "speak TLS")
	flags.String("sni", "", "the `NAME` that the server's certificate must have (default: the host)")
	flags.String("cacert", "", "PEM `FILE` of the authority of the server's certificate (default: the system's authorities)")
	flags.String("cert", "", "PEM `FILE` of the certificate to show")
	flags.String("key", "", "PEM `FILE` of its key")
	flags.Bool("insecure", false, "take any certificate of the server")
	flags.StringP("timeout", "t", "2s", "the most to wait for the answer, in whole seconds or with ms, s or m: `TIME`")
	addConfigFlag(cmd)
	flags.Bool("help", false, "help for "+cmd.Name())
	_ = flags.MarkHidden("pass") // the only error is that the flag does not exist
	for _, file := range []string{"socket", "cacert", "cert", "key"} {
		_ = cmd.MarkFlagFilename(file)
	}
}

// A connection is one to a server. A command is not sent again: a check that is sent twice takes units
// twice.
type connection struct {
	client  *redis.Client
	name    string // of the server, for errors
	timeout time.Duration
	tls     bool
}

// connect prepares to ask the server that flags, the environment and the configuration name, so that
// a health check in a container needs no flags.
func connect(cmd *cobra.Command, env environment) (*connection, error) {
	o, err := clientOptions(cmd, env)
	if err != nil {
		return nil, err
	}
	return newConnection(o), nil
}

func newConnection(o *redis.Options) *connection {
	redis.SetLogger(&logging.VoidLogger{}) // errors come back; they need not be logged as well
	o.Protocol, o.MaxRetries, o.DialerRetries, o.PoolSize = 2, -1, 1, 1
	o.ReadTimeout, o.WriteTimeout, o.ContextTimeoutEnabled = o.DialTimeout, o.DialTimeout, true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &connection{redis.NewClient(o), o.Addr, o.DialTimeout, o.TLSConfig != nil}
}

func (c *connection) close() { _ = c.client.Close() } // the answers are there

// ask sends a command. The error names the server; that of the reply is the server's own.
func (c *connection) ask(ctx context.Context, command ...any) (*redis.Cmd, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	reply := c.client.Do(ctx, command...)
	return reply, c.explain(reply.Err())
}

// clientOptions are where the server is, and how it is spoken to.
func clientOptions(cmd *cobra.Command, env environment) (*redis.Options, error) {
	c, err := load(cmd.Flags(), env, nil)
	if err != nil {
		return nil, err
	}
	flags := clientFlags{cmd, cmd.Flags()}
	o := &redis.Options{}
	if uri := flags.text("uri"); uri != "" {
		if o, err = redis.ParseURL(uri); err != nil {
			return nil, usageError(cmd, "--uri is not accepted: expected redis://, rediss:// or unix://, then user:password@host:port: %w", withoutURI(err))
		}
	}
	if err := flags.address(o, c.cfg); err != nil {
		return nil, err
	}
	o.Username = cmp.Or(flags.text("user"), o.Username)
	o.Password = cmp.Or(flags.text("password"), flags.text("pass"), o.Password, env[envPassword], c.cfg.RequirePass)
	if !config.Span(&o.DialTimeout, clientTimeoutMax).Set(flags.text("timeout")) {
		return nil, usageError(cmd, "--timeout: %q is not accepted: expected %s", flags.text("timeout"), config.Span(&o.DialTimeout, clientTimeoutMax).Accepts)
	}
	return o, flags.tls(o, c.cfg)
}

// withoutURI is an error of a URI without the URI, which may have a password.
func withoutURI(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// hiddenSecret stands where a password was.
const hiddenSecret = "***"

// withoutSecrets is a command line that others may read: without the passwords of its flags.
func withoutSecrets(flags *pflag.FlagSet, words []string) []string {
	shown := slices.Clone(words)
	for _, name := range []string{"password", "pass", "uri"} {
		secret := flags.Lookup(name).Value.String()
		for i, word := range shown {
			// As a word of its own, or behind its flag in one word.
			if rest, found := strings.CutSuffix(word, secret); secret != "" && found && (rest == "" || strings.HasPrefix(rest, "-")) {
				shown[i] = rest + hiddenSecret
			}
		}
	}
	return shown
}

type clientFlags struct {
	cmd *cobra.Command
	*pflag.FlagSet
}

func (f clientFlags) text(name string) string { return f.Lookup(name).Value.String() }
func (f clientFlags) isSet(name string) bool  { return f.text(name) == "true" }

// address sets network, address and whether TLS is spoken: from the flags, else from the URI that
// stands in o, else from the configuration.
func (f clientFlags) address(o *redis.Options, cfg *config.Config) error {
	host, port := f.text("host"), 0
	if socket := f.text("socket"); socket != "" {
		if host != "" || f.text("port") != "" {
			return usageError(f.cmd, "--socket goes without --host and --port")
		}
		o.Network, o.Addr, o.TLSConfig = "unix", socket, nil
		return nil
	}
	if host != "" && !config.IsHost(host) {
		return usageError(f.cmd, "--host: %q is not accepted: expected a name or an IP address", host)
	}
	if number := f.text("port"); number != "" && !config.Int(&port, 1, math.MaxUint16).Set(number) {
		return usageError(f.cmd, "--port: %q is not accepted: expected 1 to 65535", number)
	}
	if o.Addr != "" && host == "" && port == 0 {
		return nil // the URI says all
	}
	if uriHost, uriPort, err := net.SplitHostPort(o.Addr); err == nil {
		host = cmp.Or(host, uriHost)
		if port == 0 {
			port, _ = strconv.Atoi(uriPort)
		}
	}
	withTLS := f.isSet("tls") || o.TLSConfig != nil
	if port == 0 {
		switch {
		case withTLS && cfg.TLSPort > 0:
			port = cfg.TLSPort
		case cfg.Port > 0:
			port = cfg.Port
		case cfg.TLSPort > 0:
			port, withTLS = cfg.TLSPort, true
		case cfg.UnixSocket != "" && host == "":
			o.Network, o.Addr = "unix", cfg.UnixSocket
			return nil
		default:
			return usageError(f.cmd, "the configuration names no port to connect to, for a port is 0 or auto there: give one with --port")
		}
	}
	if withTLS && o.TLSConfig == nil {
		o.TLSConfig = &tls.Config{}
	}
	o.Network, o.Addr = "tcp", net.JoinHostPort(cmp.Or(host, localHost(cfg.Bind)), strconv.Itoa(port))
	return nil
}

// tls sets how TLS is spoken, if it is. A server that speaks TLS only is asked with its own
// certificates, unless flags say otherwise.
func (f clientFlags) tls(o *redis.Options, cfg *config.Config) error {
	ca, cert, key := f.text("cacert"), f.text("cert"), f.text("key")
	if o.TLSConfig == nil && !f.isSet("tls") {
		for _, name := range []string{"sni", "cacert", "cert", "key", "insecure"} {
			if f.Lookup(name).Changed {
				return usageError(f.cmd, "--%s needs --tls", name)
			}
		}
		return nil
	}
	if cert == "" && key == "" {
		cert, key = cfg.TLSCertFile, cfg.TLSKeyFile
	}
	config, err := pemFiles{cmp.Or(ca, cfg.TLSCAFile), cert, key, "--cacert", "--cert", "--key"}.clientTLS()
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(o.Addr) // of a Unix socket there is none
	config.ServerName, config.InsecureSkipVerify = cmp.Or(f.text("sni"), host), f.isSet("insecure")
	o.TLSConfig = config
	return nil
}

// explain turns an error into one line that names the server.
func (c *connection) explain(err error) error {
	var reply redis.Error
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	var slow interface{ Timeout() bool }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &reply):
		text := strings.TrimSpace(reply.Error())
		if strings.HasPrefix(text, "NOAUTH") {
			text += " (give it with --password, " + envPassword + " or " + envName(settingRequirePass) + ")"
		}
		return fmt.Errorf("%s answers: %s", c.name, text)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return fmt.Errorf("%s does not answer within %v", c.name, c.timeout)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s closed the connection without an answer%s", c.name, map[bool]string{false: "; a port for TLS needs --tls"}[c.tls])
	case errors.As(err, &certificate):
		return fmt.Errorf("%s: %w (--cacert names its authority, --sni its name, and --insecure takes any)", c.name, certificate.Err)
	case errors.As(err, &network):
		return fmt.Errorf("cannot reach %s: %w", c.name, network.Err)
	}
	return fmt.Errorf("%s: %w", c.name, err)
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
