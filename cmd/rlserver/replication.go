package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/replication"
	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
)

// replicationSettings are the settings about the disk and replicas. They go straight to the
// node's options. Names and meanings are Redis's.
type replicationSettings struct {
	replication.Tuning
	dir  string // of the files
	node *replication.Node
}

// Settings is the part of the table of settings that is about the disk and replicas.
func (r *replicationSettings) Settings() []config.Setting {
	const lagSecondsMax = 3600
	return append(config.In(config.Persistence, []config.Setting{
		{Name: nameDir, Field: config.Path(&r.dir, "the path of a directory", isNotEmpty), Default: ".",
			Usage: "where the append-only file and the snapshot are"},
		{Name: config.NameAppendOnly, Field: config.Bool(&r.AppendOnly), Default: "no", Live: true,
			Usage: "write every change to the append-only file, so that a restart forgets nothing"},
		{Name: "appendfsync", Field: config.OneOf(&r.Fsync, "always", "everysec", "no"), Default: "everysec", Live: true,
			Usage: "when the append-only file is synced to disk: before a change is answered, each second, or when the system does"},
		{Name: nameSave, Field: savePoints(&r.SavePoints), Live: true,
			Usage: "write a snapshot when there were so many changes and the last one is so old, and at shutdown"},
		{Name: "auto-aof-rewrite-percentage", Field: config.Int(&r.RewritePercentage, 0, 1_000_000), Default: "100", Note: "0 is never", Live: true,
			Usage: "rewrite the append-only file when it has grown by so much since the last time"},
		{Name: "auto-aof-rewrite-min-size", Field: config.Bytes(&r.RewriteMinSize, 0), Default: "64mb", Live: true,
			Usage: "leave an append-only file alone that is smaller"},
		{Name: "on-disk-failure", Field: config.Either(&r.MemoryOnFailure, "error", "memory"), Default: "error", Live: true,
			Usage: "whether changes that cannot be written to disk are refused, or go on in memory only, with an alarm"},
	}), config.In(config.Replication, []config.Setting{
		{Name: "masterauth", Field: config.Password(&r.Password), Live: true,
			Usage: "password of the primary; better in the environment or the file than on the command line"},
		{Name: nameMasterUser, Field: config.Text(&r.User, "a name, or nothing for the default user"), Live: true,
			Usage: "user of the primary"},
		{Name: "replica-priority", Field: config.Int(&r.Priority, 0, math.MaxInt32), Default: "100", Note: "0 is never", Live: true,
			Usage: "Sentinel makes the replica with the lowest one the primary"},
		{Name: "min-replicas-to-write", Field: config.Int(&r.MinReplicas, 0, 1000), Default: "0", Note: "0 is none", Live: true,
			Usage: "refuse changes while fewer replicas have been heard of within min-replicas-max-lag"},
		{Name: "min-replicas-max-lag", Field: config.Seconds(&r.MinReplicasLag, 1, lagSecondsMax), Default: "10", Live: true,
			Usage: "how long ago a replica may have been heard of to count for min-replicas-to-write"},
		{Name: "repl-backlog-size", Field: config.Bytes(&r.BacklogBytes, 1<<20), Default: "16mb", Live: true,
			Usage: "changes to remember for replicas that come back, and the most that may wait for one of them"},
		{Name: "repl-timeout", Field: config.Seconds(&r.Timeout, 1, lagSecondsMax), Default: "60", Live: true,
			Usage: "end the link between primary and replica when one has not heard of the other for this long"},
	})...)
}

// The settings that errors name, besides those of package config.
const (
	nameDir        = "dir"
	nameSave       = "save"
	nameMasterUser = "masteruser"
)

// Copy is another section with the same settings, of the same node.
func (r *replicationSettings) Copy() config.Section { other := *r; return &other }

// Apply has the node work with the settings that can change.
func (r *replicationSettings) Apply() error {
	if r.node == nil {
		return nil
	}
	return r.node.Tune(r.Tuning)
}

func isNotEmpty(text string) bool { return text != "" }

const (
	savePointsMax       = 16
	savePointSecondsMax = 31_536_000 // a year
)

// savePoints is the setting save: "3600 1 300 100".
func savePoints(to *[]replication.SavePoint) config.Field {
	return config.Field{
		Accepts: fmt.Sprintf("up to %d pairs of seconds and changes, or nothing for never", savePointsMax),
		Set: func(text string) bool {
			words := strings.Fields(text)
			if len(words)%2 != 0 || len(words) > 2*savePointsMax {
				return false
			}
			var points []replication.SavePoint
			for i := 0; i < len(words); i += 2 {
				var p replication.SavePoint
				if !config.Seconds(&p.After, 1, savePointSecondsMax).Set(words[i]) || !config.Int(&p.Changes, 1, math.MaxInt32).Set(words[i+1]) {
					return false
				}
				points = append(points, p)
			}
			*to = points
			return true
		},
		Get: func() string {
			var words []string
			for _, p := range *to {
				words = append(words, strconv.FormatInt(int64(p.After/time.Second), 10), strconv.FormatInt(p.Changes, 10))
			}
			return strings.Join(words, " ")
		},
	}
}

// A replicator is a node as the server sees it.
type replicator struct {
	*replication.Node
}

// start opens the disk, fills the store and the set of policies from it, begins to follow the primary,
// and has the server tell the node of every change. first is a change of policies to make then.
func (r *replicationSettings) start(srv *server.Server, cfg *config.Config, store *engine.Store, first func() ([]policy.Entry, error), logger *slog.Logger) (*replicator, error) {
	dial, err := r.dialer(cfg)
	if err != nil {
		return nil, err
	}
	r.node, err = replication.New(replication.Options{
		RunID: srv.RunID(), Store: store, Entries: keptSet{srv.Policies()}, Logger: logger, Now: srv.Now, Advance: srv.Advance, Dir: r.dir, Host: cfg.Primary.Host, Port: cfg.Primary.Port, Dial: dial,
		Announced: func() (string, int) { return srv.Announced(cfg.TLSReplication) }, Refuse: srv.RefuseWrites, RoleChanged: srv.RoleChanged,
		Tuning: r.Tuning,
	})
	if err != nil {
		return nil, err
	}
	n := &replicator{r.node}
	if err := n.makeFirst(first); err != nil {
		return nil, errors.Join(err, r.node.Close(false))
	}
	srv.KeepPolicies(n)
	return n, srv.Replicate(n)
}

// dialer connects to a primary, with TLS if the setting tls-replication says so.
func (r *replicationSettings) dialer(cfg *config.Config) (func(ctx context.Context, addr string) (net.Conn, error), error) {
	if !cfg.TLSReplication {
		return func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}, nil
	}
	files := settingFiles("tls", cfg.TLSCAFile, cfg.TLSCertFile, cfg.TLSKeyFile)
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := files.clientTLS() // the files may have changed
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", addr)
	}
	_, err := files.clientTLS()
	return dial, err
}

// Role is the node's.
func (r *replicator) Role() (role server.Role) {
	role.Host, role.Port, role.State = r.Primary()
	role.Replica, role.Offset, role.Above = role.Host != "", r.Offset(), r.Above()
	r.EachReplica(func(ip string, port int, offset int64) {
		role.Replicas = append(role.Replicas, server.ReplicaInfo{IP: ip, Port: port, Offset: offset})
	})
	return role
}

// ServeReplica is the node's.
func (r *replicator) ServeReplica(replica server.ReplicaLink) {
	r.Node.ServeReplica(link.SyncRequest(replica))
}

// Close closes the node. It writes a snapshot if SHUTDOWN says so, or else if there are save points.
func (r *replicator) Close(save server.ShutdownSave) error {
	return r.Node.Close(save == server.SaveAlways || save == server.SaveIfConfigured && r.Saves())
}

// checkReplication finds settings that make no sense together.
func checkReplication(c *configuration) error {
	r, beyond := c.replication, ""
	switch {
	case r.AppendOnly:
		beyond = config.NameAppendOnly
	case len(r.SavePoints) > 0:
		beyond = nameSave
	case c.cfg.Primary.Host != "":
		beyond = config.NameReplicaOf
	}
	if beyond != "" && c.cfg.Backend != config.BackendMemory {
		return fmt.Errorf("%s: %s is not available with --backend %s: there Redis keeps the limits, on its disk and its replicas",
			c.origins[beyond], beyond, c.cfg.Backend)
	}
	if err := checkDir(r.dir); err != nil && c.cfg.Backend == config.BackendMemory {
		return fmt.Errorf("%s: %w; make it (mkdir -p %s), or choose another with dir", cmp.Or(c.origins[nameDir], "the default of dir"), err, r.dir)
	}
	if r.User != "" && r.Password == "" {
		return fmt.Errorf("%s: masteruser needs a password: set masterauth", c.origins[nameMasterUser])
	}
	return nil
}

// checkDir finds that there is no such directory.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s", dir)
	case err != nil:
		return fmt.Errorf("cannot use the directory %s: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}
