package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication"
	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/server"
)

// A keeper keeps changes beyond the process, until it is closed: it is a replication.Node in
// the server's words.
type keeper struct {
	*replication.Node
}

// replicate has what the store keeps kept beyond the process as well: it opens the disk, fills
// the store from it, and begins to follow. With a Redis that decides there is nothing to keep.
func replicate(srv *server.Server, cfg *server.Config, store *engine.Store, logger *slog.Logger) (*keeper, error) {
	if cfg.Redis.Backend != server.BackendMemory {
		return nil, nil
	}
	tlsConfig, err := replicationTLS(cfg)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{}
	dial := func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }
	if tlsConfig != nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&tls.Dialer{NetDialer: dialer, Config: tlsConfig}).DialContext(ctx, "tcp", addr)
		}
	}
	r := &cfg.Replication
	node, err := replication.New(replication.Options{
		Store: store, Logger: logger, Now: srv.Now, Dir: r.Dir, Host: r.Primary.Host, Port: r.Primary.Port, Dial: dial,
		ListenPort: func() int { return listenPort(srv, cfg) }, Refuse: srv.RefuseWrites, RoleChanged: srv.RoleChanged,
		Tuning: replicationTuning(cfg),
	})
	if err != nil {
		return nil, err
	}
	k := &keeper{node}
	return k, srv.Replicate(k, func(cfg *server.Config) error { return node.Tune(replicationTuning(cfg)) })
}

// listenPort is the port that this server is to be reached at by who speaks with it as it
// speaks with its primary.
func listenPort(srv *server.Server, cfg *server.Config) int {
	switch {
	case cfg.Replication.TLS:
		return cfg.TLSPort
	case cfg.Port != 0:
		return cfg.Port
	}
	for _, a := range srv.Addrs() { // a free one was taken
		if tcp, ok := a.(*net.TCPAddr); ok && tcp.Port != cfg.TLSPort {
			return tcp.Port
		}
	}
	return 0
}

func replicationTuning(cfg *server.Config) replication.Tuning {
	r := &cfg.Replication
	t := replication.Tuning{
		AppendOnly: r.AppendOnly, Fsync: r.AppendFsync,
		RewritePercentage: r.RewritePercentage, RewriteMinSize: r.RewriteMinSize,
		MemoryOnFailure: r.OnDiskFailure == server.DiskFailureMemory,
		User:            r.MasterUser, Password: r.MasterAuth, Priority: r.ReplicaPriority,
		AnnounceIP: r.AnnounceIP, AnnouncePort: r.AnnouncePort,
		MinReplicas: r.MinReplicasToWrite, MinReplicasLag: r.MinReplicasMaxLag,
		BacklogBytes: r.BacklogSize, Timeout: r.ReplTimeout,
	}
	for _, p := range r.Save {
		t.SavePoints = append(t.SavePoints, replication.SavePoint(p))
	}
	return t
}

// Role is the node's.
func (k *keeper) Role() (role server.Role) {
	role.Host, role.Port, role.State = k.Primary()
	role.Replica, role.Offset = role.Host != "", k.Offset()
	k.EachReplica(func(ip string, port int, offset int64) {
		role.Replicas = append(role.Replicas, server.ReplicaInfo{IP: ip, Port: port, Offset: offset})
	})
	return role
}

// ServeReplica is the node's.
func (k *keeper) ServeReplica(replica server.ReplicaLink) {
	k.Node.ServeReplica(link.SyncRequest(replica))
}

// Close closes the node, with a snapshot if that was asked for, or the setting save has it so.
func (k *keeper) Close(save server.ShutdownSave) error {
	return k.Node.Close(save == server.SaveAlways || save == server.SaveIfConfigured && k.Saves())
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
func serveAndClose(ctx context.Context, srv *server.Server, k *keeper, save *atomic.Uint32, listening func()) error {
	err := srv.Listen()
	if err != nil {
		err = listenError(err)
		save.Store(uint32(server.SaveNever)) // nothing has changed
	} else {
		listening()
		if k != nil {
			k.Listening()
		}
		err = srv.Serve(ctx)
	}
	if k == nil {
		return err
	}
	return errors.Join(err, k.Close(server.ShutdownSave(save.Load())))
}
