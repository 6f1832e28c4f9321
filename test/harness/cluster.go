package harness

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Cluster is a real Redis Cluster on this machine: three primaries, and perhaps a replica
// of each.
type Cluster struct {
	T     testing.TB
	Nodes []*ClusterNode // the primaries as it began, then their replicas in the same order
}

// A ClusterNode is one of its servers, with its name in the cluster.
type ClusterNode struct {
	*Process
	ID string
	C  *redis.Client
}

const (
	primaries = 3
	slots     = 16384
	// NodeTimeout is when a node that says nothing is taken for dead.
	NodeTimeout = 1000 * time.Millisecond
)

// StartCluster starts a cluster and waits until it is whole.
func StartCluster(t testing.TB, replicas bool) *Cluster {
	t.Helper()
	cl := &Cluster{T: t}
	n := primaries
	if replicas {
		n = 2 * primaries
	}
	for range n {
		p := StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(FreePort(t)),
			"--cluster-node-timeout", strconv.Itoa(int(NodeTimeout.Milliseconds())), "--cluster-replica-validity-factor", "0",
			// The rest of the keys are served while a primary is missing.
			"--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0")
		c := p.Client()
		node := &ClusterNode{p, c.Do(t.Context(), "cluster", "myid").String(), c}
		node.ID = strings.TrimPrefix(node.ID, "cluster myid: ")
		cl.Nodes = append(cl.Nodes, node)
	}
	for i, node := range cl.Nodes {
		cl.Must(node, "cluster", "set-config-epoch", i+1)
		if i < primaries {
			cl.Must(node, "cluster", "addslotsrange", i*slots/primaries, (i+1)*slots/primaries-1)
		}
		if i > 0 {
			cl.Must(node, "cluster", "meet", "127.0.0.1", cl.Nodes[0].Port, cl.busPort(cl.Nodes[0]))
		}
	}
	cl.await("all nodes know each other", func(node *ClusterNode) bool {
		return strings.Contains(cl.info(node), fmt.Sprintf("cluster_known_nodes:%d\r\n", n))
	})
	for i, node := range cl.Nodes[primaries:] {
		cl.Must(node, "cluster", "replicate", cl.Nodes[i].ID)
	}
	cl.await("the cluster is whole", func(node *ClusterNode) bool {
		link := node.C.Info(context.Background(), "replication").Val()
		return strings.Contains(cl.info(node), "cluster_state:ok") &&
			(strings.Contains(link, "role:master") || strings.Contains(link, "master_link_status:up"))
	})
	cl.await("all know which node has which slots", func(node *ClusterNode) bool {
		ranges, err := node.C.ClusterSlots(context.Background()).Result() //nolint:staticcheck // as rlserver asks
		return err == nil && len(ranges) == primaries && len(ranges[0].Nodes) == n/primaries
	})
	return cl
}

// busPort reads the port that a node was started with for other nodes.
func (cl *Cluster) busPort(node *ClusterNode) string {
	for i, arg := range node.Cmd.Args {
		if arg == "--cluster-port" {
			return node.Cmd.Args[i+1]
		}
	}
	return ""
}

func (cl *Cluster) info(node *ClusterNode) string {
	return node.C.ClusterInfo(context.Background()).Val()
}

// Must sends a command to a node, which must not be refused.
func (cl *Cluster) Must(node *ClusterNode, args ...any) {
	cl.T.Helper()
	if err := node.C.Do(context.Background(), args...).Err(); err != nil {
		cl.T.Fatalf("%v: %v", args, err)
	}
}

// await waits until a condition holds for every node.
func (cl *Cluster) await(condition string, holds func(*ClusterNode) bool) {
	cl.T.Helper()
	for i, node := range cl.Nodes {
		Eventually(cl.T, fmt.Sprintf("node %d: %s", i, condition), func() bool { return holds(node) })
	}
}

// Addrs are the addresses of the primaries as it began.
func (cl *Cluster) Addrs() string {
	var list []string
	for _, node := range cl.Nodes[:primaries] {
		list = append(list, node.Addr())
	}
	return strings.Join(list, ",")
}

// SlotOf asks a node for the slot of a key.
func (cl *Cluster) SlotOf(key string) int64 {
	cl.T.Helper()
	slot, err := cl.Nodes[0].C.ClusterKeySlot(context.Background(), key).Result()
	if err != nil {
		cl.T.Fatal(err)
	}
	return slot
}

// PrimaryOf is the number of the primary that a slot was given to at the start.
func PrimaryOf(slot int64) int {
	for i := range primaries {
		if int(slot) < (i+1)*slots/primaries {
			return i
		}
	}
	return -1
}
