package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server"
)

// A keeper keeps changes beyond the process, until it is closed: then it leaves on disk, and
// with the replicas, what there is, and a snapshot if save asks for one.
type keeper interface {
	server.Replicator
	Close(save server.ShutdownSave) error
}

// replicate has what the store keeps kept beyond the process as well: it opens the disk, fills
// the store from it, and begins to follow. With a Redis that decides there is nothing to keep.
func replicate(_ *server.Server, cfg *server.Config, _ *engine.Store, _ *slog.Logger) (keeper, error) {
	if cfg.Redis.Backend != server.BackendMemory {
		return nil, nil
	}
	return nil, nil // replication.Node goes here, and srv.Replicate(node, node.Tune)
}

// checkReplication finds settings that make no sense together.
func checkReplication(c *configuration) error {
	r := &c.cfg.Replication
	if asked := r.Asked(); asked != "" && c.cfg.Redis.Backend != server.BackendMemory {
		return fmt.Errorf("%s: %s is not available with --backend %s: there Redis keeps the limits, on its disk and its replicas",
			c.origins[asked], asked, c.cfg.Redis.Backend)
	}
	if r.MasterUser != "" && r.MasterAuth == "" {
		return fmt.Errorf("%s: masteruser needs a password: set masterauth", c.origins["masteruser"])
	}
	return nil
}

// replicationTLS is how TLS is spoken with a primary; nil is not at all.
func replicationTLS(c *server.Config) (*tls.Config, error) {
	if !c.Replication.TLS {
		return nil, nil
	}
	return clientTLS("tls-ca-cert-file", c.TLSCAFile, "tls-cert-file", c.TLSCertFile, "tls-key-file", c.TLSKeyFile)
}

// wire has the operator's commands do what signals and the configuration file do. What
// SHUTDOWN asks of the disk is in save once ctx has ended.
func wire(ctx context.Context, srv *server.Server, file configFile, c *configuration, logger *slog.Logger) (_ context.Context, save *atomic.Uint32) {
	ctx, stop := context.WithCancel(ctx)
	save = new(atomic.Uint32)
	srv.OnShutdown(func(asked server.ShutdownSave) {
		save.Store(uint32(asked))
		stop()
	})
	if file.path != "" {
		srv.OnConfigRewrite(rewriteFile(file, c.origins, logger))
	}
	return ctx, save
}

// serveAndClose listens, and serves until ctx ends. When all connections are drained, and no
// sooner, the keeper is closed, whose last act is to save.
func serveAndClose(ctx context.Context, srv *server.Server, k keeper, save *atomic.Uint32, listening func()) error {
	err := srv.Listen()
	if err != nil {
		err = listenError(err)
		save.Store(uint32(server.SaveNever)) // nothing has changed
	} else {
		listening()
		err = srv.Serve(ctx)
	}
	if k == nil {
		return err
	}
	return errors.Join(err, k.Close(server.ShutdownSave(save.Load())))
}
