package harness

import (
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Ports are taken from below those that the system gives to connections: with thousands of
// connections at a time one of those would be taken between being found free and being
// listened on.
const (
	portMin   = 20000
	portMax   = 32000
	portBlock = 300
)

// pool gives out each port once: a server that a test has killed comes back on its port. Packages
// are tested at the same time, so a process claims blocks of ports for as long as it lives.
var pool struct {
	sync.Mutex
	claims     []net.Listener // each on the first port of a block
	next, left int            // in the last block
}

// nextPort is the next port of a block that this process has claimed.
func nextPort(t testing.TB) int {
	t.Helper()
	pool.Lock()
	defer pool.Unlock()
	const blocks = (portMax - portMin) / portBlock
	for i := 0; pool.left == 0; i++ {
		if i == blocks {
			t.Fatal("all blocks of ports are taken")
		}
		first := portMin + (os.Getpid()+i)%blocks*portBlock
		if l, err := listenOn(first); err == nil {
			pool.claims, pool.next, pool.left = append(pool.claims, l), first+1, portBlock-1
		}
	}
	pool.left--
	pool.next++
	return pool.next - 1
}

func listenOn(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// FreePort finds a port that nothing listens on, another one each time, for another process. To
// listen in this process use ListenFree: a child that is being started holds all open files
// until it is another program, so for a moment the port may not be free yet.
func FreePort(t testing.TB) int {
	t.Helper()
	l, port := ListenFree(t)
	_ = l.Close()
	return port
}

// ListenFree listens on a port that nothing listens on, another one each time.
func ListenFree(t testing.TB) (l net.Listener, port int) {
	t.Helper()
	for {
		port := nextPort(t)
		if l, err := listenOn(port); err == nil {
			return l, port
		}
	}
}
