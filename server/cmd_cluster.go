package server

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/hashslot"
	"github.com/rlserver/rlserver/server/resp"
)

// Clients of Redis Cluster ask which node has which slots, and then send each command to the node of
// its key. With cluster-enabled emulated they learn that one node has all slots: this server, or its
// primary if it is a replica. The replicas are listed, so that clients find the next primary after a
// failover. There is no cluster: nothing is moved, and no server votes.

// A clusterNode is a server as clients of a cluster see it.
type clusterNode struct {
	host      string // where the asking client reaches it; empty: where it has reached this server
	port      int
	tls       bool // it is the port for TLS
	id        string
	myself    bool
	primary   bool
	connected bool // to this server
	loading   bool // it has never had its primary's keys
	offset    int64
}

// nodeID is the id of a node, in the form of Redis. It follows from the address by which servers know
// each other, so that each of them names the others alike, and a restart changes none.
func nodeID(host string, port int) string {
	sum := sha1.Sum([]byte(net.JoinHostPort(host, strconv.Itoa(port))))
	return hex.EncodeToString(sum[:])
}

// Announced is where others reach this server, with TLS or without. An empty host is the one that
// they have reached.
func (s *Server) Announced(tls bool) (host string, port int) {
	cfg := s.config()
	port = cmp.Or(cfg.Port, cfg.TLSPort)
	if tls {
		port = cmp.Or(cfg.TLSPort, cfg.Port)
	}
	if cfg.AnnouncePort != 0 && tls == cfg.TLSReplication {
		port = cfg.AnnouncePort
	}
	return cfg.AnnounceIP, port
}

// clusterNodes lists the nodes that the server knows: the primary, this server if it is another, and
// its replicas. Of other servers one port is known, the one by which servers reach each other.
func (c *session) clusterNodes() []clusterNode {
	s, role := c.server, c.server.role()
	tls := s.config().TLSReplication
	_, knownPort := s.Announced(tls)
	host, port := s.Announced(c.conn.IsTLS())
	if host == "" {
		host, _, _ = net.SplitHostPort(c.laddr) // a Unix socket has none
	}
	self := clusterNode{host: host, port: port, tls: c.conn.IsTLS(), id: nodeID(host, knownPort), myself: true,
		primary: !role.Replica, connected: true, loading: role.State == stateSync, offset: role.Offset}
	nodes := []clusterNode{self}
	if role.Replica {
		primary := clusterNode{host: role.Host, port: role.Port, tls: tls, id: nodeID(role.Host, role.Port),
			primary: true, connected: role.State == stateConnected, offset: role.Offset}
		nodes = []clusterNode{primary, self}
	}
	for _, r := range role.Replicas {
		nodes = append(nodes, clusterNode{host: r.IP, port: r.Port, tls: tls, id: nodeID(r.IP, r.Port), connected: true, offset: r.Offset})
	}
	return nodes
}

// clustered is the handler of a command that needs a cluster.
func clustered(run func(*request)) func(*request) {
	return func(r *request) {
		if r.server.config().ClusterEmulated {
			run(r)
		} else {
			r.fail(errNoCluster)
		}
	}
}

// cmdClusterSlots replies one range, and for each node host, port, id and no more names.
func cmdClusterSlots(r *request) {
	shard := []any{0, hashslot.Count - 1}
	for _, n := range r.clusterNodes() {
		shard = append(shard, []any{n.host, n.port, n.id, resp.Map{}})
	}
	r.reply.Value([]any{shard})
}

// cmdClusterShards replies one shard.
func cmdClusterShards(r *request) {
	var nodes []any
	for _, n := range r.clusterNodes() {
		portName, role, health := "port", "replica", "online"
		if n.tls {
			portName = "tls-port"
		}
		switch {
		case n.primary:
			role = "master"
			if !n.connected {
				health = "fail"
			}
		case n.loading:
			health = "loading"
		}
		nodes = append(nodes, resp.Map{"id", n.id, portName, n.port, "ip", n.host, "endpoint", n.host,
			"role", role, "replication-offset", n.offset, "health", health})
	}
	r.reply.Value([]any{resp.Map{"slots", []any{0, hashslot.Count - 1}, "nodes", nodes}})
}

func cmdClusterNodes(r *request) {
	var text strings.Builder
	nodes := r.clusterNodes()
	for _, n := range nodes {
		text.WriteString(n.line(nodes[0].id) + "\n")
	}
	r.reply.Text(text.String())
}

// line is the node in CLUSTER NODES. There is no port for a cluster's own traffic, and there are no
// pings and epochs.
func (n clusterNode) line(primaryID string) string {
	flags, follows, link, slots := "slave", primaryID, "connected", ""
	if n.primary {
		flags, follows, slots = "master", "-", fmt.Sprintf(" 0-%d", hashslot.Count-1)
	}
	if n.myself {
		flags = "myself," + flags
	}
	if !n.connected {
		link = "disconnected"
	}
	return fmt.Sprintf("%s %s:%d@0 %s %s 0 0 0 %s%s", n.id, n.host, n.port, flags, follows, link, slots)
}

// cmdClusterReplicas is CLUSTER REPLICAS and CLUSTER SLAVES.
func cmdClusterReplicas(r *request) {
	nodes := r.clusterNodes()
	i := slices.IndexFunc(nodes, func(n clusterNode) bool { return n.id == r.arg(2) })
	switch {
	case i < 0:
		r.fail(errUnknownNode(r.args[2]))
	case !nodes[i].primary:
		r.fail(errNotPrimaryNode)
	default:
		lines := []string{}
		for _, n := range nodes[1:] {
			lines = append(lines, n.line(nodes[0].id))
		}
		r.reply.Strings(lines)
	}
}

func cmdClusterInfo(r *request) {
	var text strings.Builder
	for _, field := range [...]struct {
		name  string
		value any
	}{
		{"state", "ok"}, {"slots_assigned", hashslot.Count}, {"slots_ok", hashslot.Count}, {"slots_pfail", 0}, {"slots_fail", 0},
		{"known_nodes", len(r.clusterNodes())}, {"size", 1}, {"current_epoch", 0}, {"my_epoch", 0},
		{"stats_messages_sent", 0}, {"stats_messages_received", 0},
	} {
		fmt.Fprintf(&text, "cluster_%s:%v\r\n", field.name, field.value)
	}
	text.WriteString("total_cluster_links_buffer_limit_exceeded:0\r\n")
	r.reply.Text(text.String())
}

func cmdClusterMyID(r *request) {
	for _, n := range r.clusterNodes() {
		if n.myself {
			r.reply.BulkString(n.id)
		}
	}
}

func cmdClusterKeySlot(r *request) { r.reply.Int(hashslot.Of(resp.View(r.args[2]))) }

// slotArgument reads argument 2 as the number of a slot. ok is false if it is none.
func (r *request) slotArgument() (slot int, isNumber, ok bool) {
	n, isNumber := wholeNumber(r.args[2])
	return int(n), isNumber, isNumber && 0 <= n && n < hashslot.Count
}

func cmdClusterCountKeysInSlot(r *request) {
	switch slot, isNumber, ok := r.slotArgument(); {
	case !isNumber:
		r.fail(errNotInteger)
	case !ok:
		r.fail(errSlot)
	default:
		r.reply.Int(len(r.keysInSlot(slot, -1)))
	}
}

func cmdClusterGetKeysInSlot(r *request) {
	slot, isNumber, ok := r.slotArgument()
	most, mostIsNumber := wholeNumber(r.args[3])
	switch {
	case !isNumber || !mostIsNumber:
		r.fail(errNotInteger)
	case !ok || most < 0:
		r.fail(errSlotOrCount)
	default:
		r.reply.Strings(r.keysInSlot(slot, int(most)))
	}
}

// keysInSlot lists keys of a slot, at most so many; −1 is all. Nothing is kept by slots, so it looks
// at every key.
func (r *request) keysInSlot(slot, most int) []string {
	keys := []string{}
	for cursor := uint64(0); most < 0 || len(keys) < most; {
		cursor = r.server.limiter.Scan(cursor, scanCountMax, r.now, func(info engine.KeyInfo) {
			if hashslot.Of(info.Key) == slot && (most < 0 || len(keys) < most) {
				keys = append(keys, info.Key)
			}
		})
		if cursor == 0 {
			break
		}
	}
	return keys
}

// cmdReadOnly lets a client of a cluster read from a replica, and cmdReadWrite ends that.
func cmdReadOnly(r *request)  { r.setReadsReplica(true) }
func cmdReadWrite(r *request) { r.setReadsReplica(false) }

func (r *request) setReadsReplica(on bool) {
	r.readsReplica.Store(on)
	r.reply.OK()
}

// errMoved sends a client of a cluster to the node that has a key.
func (c *session) errMoved(key []byte) string {
	primary := c.clusterNodes()[0]
	return fmt.Sprintf("MOVED %d %s:%d", hashslot.Of(resp.View(key)), primary.host, primary.port)
}
