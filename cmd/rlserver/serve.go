package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/server/wire"
)

func newServe(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve; the same as rlserver without a subcommand",
		Long: `serve answers Redis clients until it gets SIGINT, SIGTERM or the command SHUTDOWN. Then it accepts
no new connections, answers the commands that have been sent, closes and exits with 0; a second
signal ends it at once. SIGHUP reads the certificates and the configuration file again, with its
policies. It exits with 1 when it cannot start, or when clients had to be cut off after
--shutdown-timeout.

` + configurationHelp,
		Example: `  rlserver serve
  rlserver serve --bind 127.0.0.1,::1 --port 7000
  RLSERVER_REQUIREPASS=secret rlserver serve --bind 0.0.0.0
  rlserver serve --config /etc/rlserver.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, env) },
	}
	addSettingFlags(cmd)
	return cmd
}

// serve puts a limiter behind a server, and serves until a signal comes.
func serve(cmd *cobra.Command, env environment) error {
	sources := func() (configuration, error) {
		c, err := load(cmd.Flags(), env, flagSettings(cmd.Flags()))
		if err == nil {
			err = c.readPolicies()
		}
		return c, err
	}
	c, err := sources()
	if err != nil {
		return err
	}
	if err := checkReplication(&c); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(c.cfg.LogLevel)
	logger := newLogger(cmd.ErrOrStderr(), c.cfg.LogFormat, level)
	signals := watchSignals(logger)
	defer signals.ignore()
	for _, w := range append(c.warnings, c.unused()...) {
		logger.Warn(w.text, w.attrs...)
	}
	store, err := engine.NewStore(engine.Options{LogLimitMax: c.cfg.MaxLogLimit, MaxMemory: c.cfg.MaxMemory})
	if err != nil {
		return err
	}
	srv := server.New(c.cfg, store, logger, level, programVersion())
	tuning, end := context.WithCancel(cmd.Context())
	defer end()
	go srv.TuneCollector(tuning) // before the store is filled from disk
	first := srv.FileChange(c.policies)
	var r *replicator // with a backend there is none: Redis keeps the changes
	if c.cfg.Backend == config.BackendMemory {
		r, err = c.replication.start(srv, c.cfg, store, first, logger)
	} else if err = c.backend.start(srv, c.cfg.Backend, store, first, logger); err == nil {
		defer c.backend.limiter.Close()
	}
	if err != nil {
		return err
	}
	if c.file.path != "" {
		path, _ := filepath.Abs(c.file.path) // empty if there is no working directory any more
		srv.OnConfigRewrite(path, c.rewriteFile(logger))
		srv.OnPolicyReload(func() ([]policy.FileDefinition, error) {
			again, err := sources()
			if err == nil {
				logger.Info("the policies of the file are read again", "file", c.file.path)
			}
			return again.policies, err
		})
	}
	if err := serveAndClose(cmd.Context(), srv, r, signals, func() {
		announce(logger, &c, srv.Addrs())
		srv.TellPolicies()
		if isTerminal(cmd.ErrOrStderr()) {
			port, tlsPort := srv.Ports()
			fmt.Fprint(cmd.ErrOrStderr(), banner(c.cfg, port, tlsPort, srv.Addrs()))
		}
		signals.onReload(c.reload(srv, sources, logger))
	}); err != nil {
		return err
	}
	logger.Info("stopped")
	return nil
}

// serveAndClose listens, and serves until a signal or SHUTDOWN. The replicator is closed when all
// connections are drained, and saves then. It may be nil. listening is called when it listens.
func serveAndClose(ctx context.Context, srv *server.Server, r *replicator, signals *signals, listening func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals.onStop(stop)
	var save atomic.Uint32
	srv.OnShutdown(func(option server.ShutdownSave) {
		save.Store(uint32(option))
		stop()
	})
	err := srv.Listen()
	if err != nil {
		err = listenError(err)
		save.Store(uint32(server.SaveNever)) // nothing has changed
	} else {
		listening()
		if r != nil {
			r.Listening()
		}
		err = srv.Serve(ctx)
	}
	if r == nil {
		return err
	}
	return errors.Join(err, r.Close(server.ShutdownSave(save.Load())))
}

// announce logs the settings that are not at their defaults, each with the source that counted.
func announce(logger *slog.Logger, c *configuration, addrs []net.Addr) {
	for _, row := range c.cfg.Settings() {
		if origin, ok := c.origins[row.Name]; ok {
			logger.Info("setting", "name", row.Name, "value", row.Show(), "from", origin)
		}
	}
	if !c.cfg.ProtectedMode && c.cfg.RequirePass == "" && slices.ContainsFunc(addrs, isReachable) {
		logger.Warn("anybody who can reach this port can use and flush the limits: no password is set and protected mode is off",
			"remedy", "set "+envName(settingRequirePass)+", or let only trusted networks reach it")
	}
	var addresses []string
	for _, a := range addrs {
		addresses = append(addresses, a.String())
	}
	logger.Info("serving", "version", programVersion(), "addresses", addresses, "pid", os.Getpid())
}

// isReachable says whether other machines can reach the address.
func isReachable(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}

// listenError tells in one line how to mend the most frequent failures.
func listenError(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	tcp, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return err
	}
	setting := "--port"
	if errors.Is(err, wire.ErrTLS) {
		setting = "--tls-port"
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %v: the address is in use, perhaps by another rlserver; choose another port with %s", tcp, setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %v: this machine has no such address; choose another with --bind", tcp)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %v: this user may not; choose a port from 1024 on with %s", tcp, setting)
	}
	return err
}
