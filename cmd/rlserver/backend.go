package main

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/lua"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
)

// backendSettings are the settings of the backend. They go straight to its options.
type backendSettings struct {
	lua.Options
	tls     bool
	tlsCA   string // files: the authority of Redis's certificate,
	tlsCert string // and the certificate that Redis is shown
	tlsKey  string // with its key
	limiter *lua.Limiter
}

// Settings is the backend's part of the table of settings.
func (b *backendSettings) Settings() []config.Setting {
	const (
		file = "the path of a PEM file, or nothing for none"
		user = "a name, or nothing for the default user"
	)
	return config.In(config.Backend, []config.Setting{
		{Name: "redis-addr", Field: config.List(&b.Addrs, ",", "host:port, or several separated by commas", config.IsHostPort), Default: "127.0.0.1:6379",
			Usage: "the Redis, some nodes of the cluster, or the Sentinels"},
		{Name: "redis-master-name", Field: config.Text(&b.MasterName, "a name"),
			Usage: "the Sentinels' name of the primary"},
		{Name: "redis-username", Field: config.Text(&b.Username, user),
			Usage: "user of Redis"},
		{Name: "redis-password", Field: config.Password(&b.Password),
			Usage: "password of Redis; better in the environment or a file than on the command line"},
		{Name: "redis-password-file", Field: config.Path(&b.PasswordFile, "the path of a file, or nothing for none"),
			Usage: "file that holds the password of Redis; read for each new connection"},
		{Name: "redis-sentinel-username", Field: config.Text(&b.SentinelUsername, user),
			Usage: "user of the Sentinels"},
		{Name: "redis-sentinel-password", Field: config.Password(&b.SentinelPassword),
			Usage: "password of the Sentinels"},
		{Name: "redis-tls", Field: config.Bool(&b.tls), Default: "no",
			Usage: "speak TLS with Redis"},
		{Name: "redis-tls-ca-cert-file", Field: config.Path(&b.tlsCA, "the path of a PEM file, or nothing for the system's authorities"),
			Usage: "the authority of Redis's certificate"},
		{Name: "redis-tls-cert-file", Field: config.Path(&b.tlsCert, file),
			Usage: "the certificate that Redis is shown"},
		{Name: "redis-tls-key-file", Field: config.Path(&b.tlsKey, file),
			Usage: "the key of redis-tls-cert-file"},
		{Name: "redis-db", Field: config.Int(&b.DB, 0, 1_000_000), Default: "0",
			Usage: "database of Redis"},
		{Name: "redis-pool-size", Field: config.OrAuto(&b.Pipelines, 0, config.Int(&b.Pipelines, 1, 1000)), Default: "auto",
			Usage: "connections to each Redis, on each of which one pipeline is under way at a time"},
		{Name: "redis-prefix", Field: config.Text(&b.Prefix, "text without braces", hasNoBraces), Default: "rl:",
			Usage: "the beginning of each key in Redis"},
		{Name: "redis-timeout", Field: config.Span(&b.Timeout, time.Minute), Default: "100ms", Live: true,
			Usage: "the most that a caller waits for Redis"},
		{Name: "deny-cache-max", Field: config.OrNone(&b.DenyCacheMax, config.Span(&b.DenyCacheMax, time.Hour)), Default: "1s", Live: true,
			Usage: "how long a denial is answered without asking Redis; what another server changes is seen after this"},
		{Name: "deny-cache-size", Field: config.Int(&b.DenyCacheSize, 1, 100_000_000), Default: "100000",
			Usage: "denials to remember"},
		{Name: "on-redis-failure", Field: config.OneOf(&b.OnFailure, lua.FailError, lua.FailAllow, lua.FailDeny, lua.FailLocal),
			Default: string(lua.FailError), Live: true,
			Usage: "the answer while Redis does not decide; local decides in memory, by a share of the limit"},
		{Name: "local-share", Field: config.Int(&b.LocalShare, 1, 1_000_000), Default: "1", Live: true,
			Usage: "the divisor of limits with on-redis-failure local: the number of servers"},
	})
}

// Copy is another section with the same settings, of the same backend.
func (b *backendSettings) Copy() config.Section { other := *b; return &other }

// Apply has the backend work with the settings that can change.
func (b *backendSettings) Apply() error {
	if b.limiter != nil {
		b.limiter.Tune(b.Tuning)
	}
	return nil
}

// start has the backend decide for the server. store is for decisions while no Redis does, and first is
// a change of policies to make in Redis.
func (b *backendSettings) start(srv *server.Server, backend string, store *engine.Store, first func() ([]policy.Entry, error), logger *slog.Logger) (err error) {
	b.Mode, b.Local, b.LogLimitMax, b.Logger = lua.Mode(backend), store, store.LogLimitMax(), logger
	if b.TLS, err = b.clientTLS(); err != nil {
		return err
	}
	if b.limiter, err = lua.New(b.Options); err != nil {
		return err
	}
	srv.UseBackend(b.limiter)
	shared, err := b.limiter.SharePolicies(srv.Policies(), first)
	srv.KeepPolicies(shared)
	return err
}

// clientTLS is how TLS is spoken with Redis; nil is not at all.
func (b *backendSettings) clientTLS() (*tls.Config, error) {
	if !b.tls {
		if b.tlsCA+b.tlsCert+b.tlsKey != "" {
			return nil, errors.New("redis-tls-ca-cert-file, redis-tls-cert-file and redis-tls-key-file need redis-tls: set it to yes")
		}
		return nil, nil
	}
	return settingFiles("redis-tls", b.tlsCA, b.tlsCert, b.tlsKey).clientTLS()
}

func hasNoBraces(prefix string) bool { return !strings.ContainsAny(prefix, "{}") }
