//go:build !linux

package bench

import "net"

// takeOver gives the connection its socket.
func (c *conn) takeOver(nc net.Conn) error {
	c.net = nc
	return nil
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
	}
}

// run runs a turn.
func (w *worker) run() error { return w.pump() }
