package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	common "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	envoy "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/gubernator-io/gubernator/v2"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/rlserver/rlserver/test/harness"
)

// A batch asks for one unit of each key in one request, and returns how many were admitted.
type batch func(keys []string) (admitted int, err error)

// A server is asked by the client that a Go program would take. One connection asks for the limit
// of the name, generous or hot.
type server struct {
	name  string
	file  string // what test/setup peers has to have made in build/peers/bin; empty where nothing is
	start func(t testing.TB, file string) (processes []*harness.Process, connect func(t testing.TB, limit string) batch)
	ours  bool // an error is our fault
}

// limits are the units of each name in a minute.
var limits = map[string]int{"generous": generous, "hot": hotLimit}

var servers = []server{
	{"rlserver, by go-redis", "", startRlserver, true},
	{"gubernator v2.13.0, by gRPC", "", startGubernator, false},
	{"envoyproxy/ratelimit 3fb70258 with a Redis, by gRPC", "ratelimit", startRatelimit, false},
}

func startRlserver(t testing.TB, _ string) ([]*harness.Process, func(testing.TB, string) batch) {
	t.Helper()
	p := harness.StartServer(t)
	return []*harness.Process{p}, func(t testing.TB, limit string) batch {
		t.Helper()
		c := redis.NewClient(&redis.Options{Addr: p.Addr(), PoolSize: 1})
		t.Cleanup(func() { _ = c.Close() })
		return func(keys []string) (admitted int, err error) {
			var replies []*redis.Cmd
			_, err = c.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
				for _, key := range keys {
					replies = append(replies, pipe.Do(context.Background(), "RL.CHECK", limit+key, "token_bucket", limits[limit], int(period.Seconds())))
				}
				return nil
			})
			for _, reply := range replies {
				if got, err := reply.Int64Slice(); err == nil && got[0] == 1 {
					admitted++
				}
			}
			return admitted, err
		}
	}
}

// dial connects to a server that speaks gRPC.
func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// serveGubernator is gubernator's daemon at an address, as the only node, in a child of this program:
// its command waits for other nodes.
func serveGubernator(addr string) error {
	daemon, err := gubernator.SpawnDaemon(context.Background(), gubernator.DaemonConfig{GRPCListenAddress: addr, AdvertiseAddress: addr,
		HTTPListenAddress: "127.0.0.1:0", CacheSize: gubernatorKeys, Logger: quiet()})
	if err != nil {
		return err
	}
	daemon.SetPeers([]gubernator.PeerInfo{{GRPCAddress: addr, IsOwner: true}})
	select {} // until it is killed
}

func startGubernator(t testing.TB, _ string) ([]*harness.Process, func(testing.TB, string) batch) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(harness.FreePort(t))
	job, err := json.Marshal(childJob{Serve: net.JoinHostPort("127.0.0.1", port)})
	if err != nil {
		t.Fatal(err)
	}
	p := harness.StartProcess(t, program, "-child", string(job), "--", "--port", port)
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL) })
	return []*harness.Process{p}, func(t testing.TB, limit string) batch {
		t.Helper()
		client := gubernator.NewV1Client(dial(t, p.Addr()))
		return func(keys []string) (admitted int, err error) {
			var ask gubernator.GetRateLimitsReq
			for _, key := range keys {
				ask.Requests = append(ask.Requests, &gubernator.RateLimitReq{Name: limit, UniqueKey: key, Hits: 1,
					Limit: int64(limits[limit]), Duration: period.Milliseconds()})
			}
			got, err := client.GetRateLimits(context.Background(), &ask)
			for _, r := range got.GetResponses() {
				if r.Error != "" {
					return admitted, fmt.Errorf("gubernator: %s", r.Error)
				}
				if r.Status == gubernator.Status_UNDER_LIMIT {
					admitted++
				}
			}
			return admitted, err
		}
	}
}

// ratelimitConfig names the limits; any value of a descriptor is a key.
const ratelimitConfig = `domain: peers
descriptors:
  - key: generous
    rate_limit: {unit: minute, requests_per_unit: %d}
  - key: hot
    rate_limit: {unit: minute, requests_per_unit: %d}
`

func startRatelimit(t testing.TB, file string) ([]*harness.Process, func(testing.TB, string) batch) {
	t.Helper()
	store, root, port := harness.StartRedis(t), t.TempDir(), harness.FreePort(t)
	if err := os.MkdirAll(filepath.Join(root, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(ratelimitConfig, limits["generous"], limits["hot"])
	if err := os.WriteFile(filepath.Join(root, "config", "peers.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// It is configured by its environment, and a process's port is known by an argument.
	p := harness.StartProcess(t, "/usr/bin/env", "GRPC_HOST=127.0.0.1", "GRPC_PORT="+strconv.Itoa(port), "HOST=127.0.0.1", "PORT="+strconv.Itoa(harness.FreePort(t)),
		"DEBUG_HOST=127.0.0.1", "DEBUG_PORT="+strconv.Itoa(harness.FreePort(t)), "USE_STATSD=false", "RUNTIME_ROOT="+root, "RUNTIME_WATCH_ROOT=false",
		"REDIS_SOCKET_TYPE=tcp", "REDIS_URL="+store.Addr(), "LOG_LEVEL=error",
		"sh", "-c", `exec "$0"`, file, "--port", strconv.Itoa(port))
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL) })
	return []*harness.Process{p, store}, func(t testing.TB, limit string) batch {
		t.Helper()
		client := envoy.NewRateLimitServiceClient(dial(t, p.Addr()))
		return func(keys []string) (admitted int, err error) {
			ask := envoy.RateLimitRequest{Domain: "peers", HitsAddend: 1}
			for _, key := range keys {
				ask.Descriptors = append(ask.Descriptors, &common.RateLimitDescriptor{
					Entries: []*common.RateLimitDescriptor_Entry{{Key: limit, Value: key}}})
			}
			got, err := client.ShouldRateLimit(context.Background(), &ask)
			for _, status := range got.GetStatuses() {
				if status.Code == envoy.RateLimitResponse_OK {
					admitted++
				}
			}
			return admitted, err
		}
	}
}

// TestServers asks each server that is installed for a unit more than the hot key has.
func TestServers(t *testing.T) {
	for _, s := range servers {
		path, there := s.path()
		if !there {
			t.Logf("%s is not installed; test/setup peers installs it", s.name)
			continue
		}
		_, connect := s.start(t, path)
		awaitMinute()
		keys := make([]string, hotLimit+1)
		for i := range keys {
			keys[i] = "hot"
		}
		if admitted, err := connect(t, "hot")(keys); admitted != hotLimit || err != nil {
			t.Errorf("%s: %d of %d were admitted, %v", s.name, admitted, len(keys), err)
		}
	}
}

// path is that of the server's file, and whether it is there.
func (s server) path() (path string, there bool) {
	path = filepath.Join(harness.Repository(), "build", "peers", "bin", s.file)
	_, err := os.Stat(path)
	return path, s.file == "" || err == nil
}

// awaitMinute waits until enough of a clock's minute is left, because some limiters count in these.
func awaitMinute() {
	const enough = 10 * time.Second
	if left := time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)); left < enough {
		time.Sleep(left)
	}
}
