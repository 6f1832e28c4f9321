package lua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/rlserver/rlserver/engine"
)

// A Mode says what stands behind the addresses.
type Mode string

// The modes.
const (
	Single   Mode = "redis"          // one Redis
	Cluster  Mode = "redis-cluster"  // some nodes of a Redis Cluster
	Sentinel Mode = "redis-sentinel" // Sentinels that know where the primary is
)

// A Fallback says what is answered when no Redis has decided.
type Fallback string

// The fallbacks.
const (
	FailError Fallback = "error" // an error with the code UNAVAILABLE
	FailAllow Fallback = "allow" // everything is admitted
	FailDeny  Fallback = "deny"  // nothing is
	FailLocal Fallback = "local" // this process decides, with its share of the limit
)

// Options are what a Limiter is made from.
type Options struct {
	Mode       Mode
	Addrs      []string // host:port: the Redis, nodes of the cluster, or the Sentinels
	MasterName string   // that the Sentinels know the primary by

	Username, Password                 string
	PasswordFile                       string // holds the password; read for every new connection
	SentinelUsername, SentinelPassword string
	TLS                                *tls.Config // nil: none
	DB                                 int
	// Pipelines is how many may be under way to one Redis at a time, each on a connection of
	// its own; 0 is PipelinesDefault.
	Pipelines int
	Prefix    string // that keys have in Redis

	// LogLimitMax is the highest limit of a sliding_window_log that is asked for, and so how
	// many units a log has to keep; 0 is engine.LogLimitDefault. The limiters of one Redis should
	// have the same.
	LogLimitMax int64
	// DenyCacheSize is how many denials are remembered.
	DenyCacheSize int
	Tuning

	// Local decides while no Redis does, under FailLocal.
	Local  *engine.Store
	Logger *slog.Logger
	// Clock gives the instant (µs since the Unix epoch) of the next question in place of
	// Redis's TIME. Only tests set it. Keys do not expire then.
	Clock func() int64
}

// Tuning is the part of the options that can be changed while running.
type Tuning struct {
	// Timeout is how long a caller waits for Redis at most.
	Timeout time.Duration
	// DenyCacheMax is how long a denial is remembered at most; 0: not at all.
	DenyCacheMax time.Duration
	OnFailure    Fallback
	// LocalShare is what limits are divided by under FailLocal, 1 and up.
	LocalShare int64
}

// PipelinesDefault is how many pipelines are under way to one Redis at most, unless told: some
// that Redis works on, and some that are on their way.
const PipelinesDefault = 4

// check is the error for options that cannot be used together.
func (o *Options) check() error {
	switch {
	case o.Mode != Single && o.Mode != Cluster && o.Mode != Sentinel:
		return fmt.Errorf("backend %q is not known: accepted is redis, redis-cluster and redis-sentinel", o.Mode)
	case len(o.Addrs) == 0:
		return errors.New("redis-addr is empty: accepted is host:port, or several separated by commas")
	case o.Mode == Single && len(o.Addrs) > 1:
		return fmt.Errorf("redis-addr names %d addresses: accepted with backend redis is one; redis-cluster and redis-sentinel take several", len(o.Addrs))
	case o.Mode == Sentinel && o.MasterName == "":
		return errors.New("redis-master-name is not set: backend redis-sentinel needs the name by which the Sentinels know the primary")
	case o.Mode == Cluster && o.DB != 0:
		return fmt.Errorf("redis-db is %d: a Redis Cluster has only database 0", o.DB)
	case o.Password != "" && o.PasswordFile != "":
		return errors.New("redis-password and redis-password-file are both set: set one of them")
	case strings.ContainsAny(o.Prefix, "{}"):
		return fmt.Errorf("redis-prefix %q contains a brace, which would take the place of the {hash tags} of keys: accepted is text without { and }", o.Prefix)
	}
	for _, addr := range o.Addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("redis-addr %q is not accepted: expected host:port", addr)
		}
	}
	if o.PasswordFile != "" {
		if _, err := readPassword(o.PasswordFile); err != nil {
			return fmt.Errorf("redis-password-file: %w", err)
		}
	}
	return nil
}

func readPassword(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimRight(string(text), "\r\n"), err
}

// credentials gives the user and the password of a new connection. The file is read every
// time, so that a password can be changed without a restart.
func (o *Options) credentials() (username, password string) {
	if o.PasswordFile == "" {
		return o.Username, o.Password
	}
	password, err := readPassword(o.PasswordFile)
	if err != nil {
		o.Logger.Error("cannot read the password of Redis", "error", err)
	}
	return o.Username, password
}

// dialTimeoutMin is the shortest time to let a connection begin. Callers do not wait for it
// any longer than for an answer.
const dialTimeoutMin = time.Second

// client makes a client of the Redis at an address, or in the mode Sentinel of the primary.
//
// It never sends anything twice: whether a command that got no answer was run is not
// known, and a second run would count twice. A command that was not run is sent again by
// the Limiter.
func (o *Options) client(addr string) *redis.Client {
	const protocol, noRetries, oneTry = 2, -1, 1
	all := &redis.UniversalOptions{
		Addrs: []string{addr}, MasterName: o.MasterName, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		CredentialsProvider: o.credentials, DB: o.DB, TLSConfig: o.TLS,
		ClientName: "rlserver", Protocol: protocol, MaxRetries: noRetries, DialerRetries: oneTry,
		PoolSize:              o.Pipelines + 1, // one for probes
		ContextTimeoutEnabled: true, DialTimeout: max(o.Timeout, dialTimeoutMin),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.Mode == Sentinel {
		all.Addrs = o.Addrs
		return redis.NewFailoverClient(all.Failover())
	}
	return redis.NewClient(all.Simple())
}

// libraryLog has the client library's own log lines go to ours, as details.
type libraryLog struct{ logger *slog.Logger }

func (l libraryLog) Printf(ctx context.Context, format string, v ...any) {
	l.logger.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, v...))
}
