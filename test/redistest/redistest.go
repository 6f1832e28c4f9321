// Package redistest starts real Redis servers for tests, on this machine, and stops them.
package redistest

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Start starts a redis-server that keeps nothing on disk, and returns its address. It is
// stopped when the test ends.
func Start(t testing.TB, flags ...string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp := l.Addr().(*net.TCPAddr)
	_ = l.Close() // for Redis to listen on
	args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(tcp.Port), "--save", "", "--appendonly", "no", "--dir", t.TempDir()}
	server := exec.Command("redis-server", append(args, flags...)...)
	if err := server.Start(); err != nil {
		t.Fatalf("%v (test/setup installs redis-server)", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	c := Client(t, tcp.String())
	for deadline := time.Now().Add(10 * time.Second); c.Ping(t.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not answer on %v", tcp)
		}
	}
	return tcp.String()
}

// Client is a client of the Redis at an address, closed when the test ends.
func Client(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
