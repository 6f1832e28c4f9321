package backend

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// A cluster is a real Redis Cluster on this machine: three primaries, and perhaps a replica
// of each.
type cluster struct {
	t     testing.TB
	nodes []*clusterNode // the primaries as it began, then their replicas in the same order
}

type clusterNode struct {
	*harness.Process
	id string
	c  *redis.Client
}

const (
	primaries = 3
	slots     = 16384
	// nodeTimeout is when a node that says nothing is taken for dead.
	nodeTimeout = 1000 * time.Millisecond
)

// startCluster starts a cluster and waits until it is whole.
func startCluster(t testing.TB, replicas bool) *cluster {
	t.Helper()
	cl := &cluster{t: t}
	n := primaries
	if replicas {
		n = 2 * primaries
	}
	for range n {
		p := harness.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(harness.FreePort(t)),
			"--cluster-node-timeout", strconv.Itoa(int(nodeTimeout.Milliseconds())), "--cluster-replica-validity-factor", "0",
			// The rest of the keys are served while a primary is missing.
			"--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0")
		c := p.Client()
		node := &clusterNode{p, c.Do(t.Context(), "cluster", "myid").String(), c}
		node.id = strings.TrimPrefix(node.id, "cluster myid: ")
		cl.nodes = append(cl.nodes, node)
	}
	for i, node := range cl.nodes {
		cl.must(node, "cluster", "set-config-epoch", i+1)
		if i < primaries {
			cl.must(node, "cluster", "addslotsrange", i*slots/primaries, (i+1)*slots/primaries-1)
		}
		if i > 0 {
			cl.must(node, "cluster", "meet", "127.0.0.1", cl.nodes[0].Port, cl.busPort(cl.nodes[0]))
		}
	}
	cl.await("all nodes know each other", func(node *clusterNode) bool {
		return strings.Contains(cl.info(node), fmt.Sprintf("cluster_known_nodes:%d\r\n", n))
	})
	for i, node := range cl.nodes[primaries:] {
		cl.must(node, "cluster", "replicate", cl.nodes[i].id)
	}
	cl.await("the cluster is whole", func(node *clusterNode) bool {
		link := node.c.Info(context.Background(), "replication").Val()
		return strings.Contains(cl.info(node), "cluster_state:ok") &&
			(strings.Contains(link, "role:master") || strings.Contains(link, "master_link_status:up"))
	})
	cl.await("all know which node has which slots", func(node *clusterNode) bool {
		ranges, err := node.c.ClusterSlots(context.Background()).Result() //nolint:staticcheck // as rlserver asks
		return err == nil && len(ranges) == primaries && len(ranges[0].Nodes) == n/primaries
	})
	return cl
}

// busPort reads the port that a node was started with for other nodes.
func (cl *cluster) busPort(node *clusterNode) string {
	for i, arg := range node.Cmd.Args {
		if arg == "--cluster-port" {
			return node.Cmd.Args[i+1]
		}
	}
	return ""
}

func (cl *cluster) info(node *clusterNode) string {
	return node.c.ClusterInfo(context.Background()).Val()
}

func (cl *cluster) must(node *clusterNode, args ...any) {
	cl.t.Helper()
	if err := node.c.Do(context.Background(), args...).Err(); err != nil {
		cl.t.Fatalf("%v: %v", args, err)
	}
}

// await waits until a condition holds for every node.
func (cl *cluster) await(condition string, holds func(*clusterNode) bool) {
	cl.t.Helper()
	for i, node := range cl.nodes {
		harness.Eventually(cl.t, fmt.Sprintf("node %d: %s", i, condition), func() bool { return holds(node) })
	}
}

// addrs are the addresses of the primaries as it began.
func (cl *cluster) addrs() string {
	var list []string
	for _, node := range cl.nodes[:primaries] {
		list = append(list, node.Addr())
	}
	return strings.Join(list, ",")
}

// slotOf asks a node for the slot of a key.
func (cl *cluster) slotOf(key string) int64 {
	cl.t.Helper()
	slot, err := cl.nodes[0].c.ClusterKeySlot(context.Background(), key).Result()
	if err != nil {
		cl.t.Fatal(err)
	}
	return slot
}

// primaryOf is the number of the primary that a slot was given to at the start.
func primaryOf(slot int64) int {
	for i := range primaries {
		if int(slot) < (i+1)*slots/primaries {
			return i
		}
	}
	return -1
}

// kill ends a process at once.
func kill(p *harness.Process) { _ = p.Stop(syscall.SIGKILL) }
