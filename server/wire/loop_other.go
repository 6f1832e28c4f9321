//go:build !linux

package wire

// loops are the event loops, of which there are none on this system: every connection has a
// goroutine of its own.
type loops struct{}

func (*loops) start(*Server, int) error { return nil }
func (*loops) len() int                 { return 0 }
func (*loops) stop()                    {}
func (*loops) carry(*Conn) func()       { return nil }

// queuedIn is not known on this system.
func queuedIn(int) int { return 0 }
