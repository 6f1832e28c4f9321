package harness

import (
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Ports are taken from below those that the system gives to connections: with thousands of
// connections at a time one of those would be taken between being found free and being
// listened on.
const (
	portMin   = 20000
	portMax   = 32000
	portBlock = 200
)

// block listens on the first port of this process's block. Packages are tested at the same time,
// so each process claims a block of its own for as long as it lives, and gives out the other ports
// of it.
var block = sync.OnceValue(func() net.Listener {
	const blocks = (portMax - portMin) / portBlock
	for i := range blocks {
		if l, err := listenOn(portMin + (os.Getpid()+i)%blocks*portBlock); err == nil {
			return l
		}
	}
	panic("all blocks of ports are taken")
})

// nextPort counts the ports that were given out.
var nextPort atomic.Int64

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
	first := block().Addr().(*net.TCPAddr).Port
	for range portBlock {
		port := first + 1 + int(nextPort.Add(1)%(portBlock-1))
		if l, err := listenOn(port); err == nil {
			return l, port
		}
	}
	t.Fatal("no port is free")
	return nil, 0
}
