package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/rlserver/rlserver/server/config"
)

// Listen opens the addresses of the configuration. With port 0 the first address gets a
// free port and the others the same.
func (s *Server) Listen() error {
	cfg := s.config()
	port := cfg.Port
	for _, host := range cfg.Bind {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		listener, err := net.Listen(network(host), address)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		s.listeners = append(s.listeners, listener)
		port = listener.Addr().(*net.TCPAddr).Port
	}
	_ = s.changeConfig(func(c *config.Config) bool { c.Port = port; return true }) // about which nobody has a say
	if err := s.listenTLS(); err != nil {
		s.closeListeners()
		return err
	}
	if err := s.listenUnix(); err != nil {
		s.closeListeners()
		return err
	}
	return nil
}

// listenTLS opens tls-port on the addresses of the configuration.
func (s *Server) listenTLS() error {
	cfg := s.config()
	if cfg.TLSPort == 0 {
		return nil
	}
	tlsConfig, err := newTLS(cfg, s.logger)
	if err != nil {
		return err
	}
	for _, host := range cfg.Bind {
		address := net.JoinHostPort(host, strconv.Itoa(cfg.TLSPort))
		listener, err := net.Listen(network(host), address)
		if err != nil {
			return fmt.Errorf("cannot listen on %s for TLS: %w", address, err)
		}
		s.listeners = append(s.listeners, tls.NewListener(listener, tlsConfig))
	}
	return nil
}

// listenUnix opens the Unix socket of the configuration. The socket of a server that is gone
// is replaced; of anything else at its path nothing is touched.
func (s *Server) listenUnix() error {
	path := s.config().UnixSocket
	if path == "" {
		return nil
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return fmt.Errorf("cannot listen on unixsocket %s: there is a file that is not a socket", path)
		}
		if nc, err := net.Dial("unix", path); err == nil {
			_ = nc.Close()
			return fmt.Errorf("cannot listen on unixsocket %s: another process serves it", path)
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("cannot replace the unixsocket of a server that is gone: %w", err)
		}
	}
	var listener net.Listener
	var err error
	withPermissions(s.config().UnixSocketPerm, func() { listener, err = net.Listen("unix", path) })
	if err != nil {
		return fmt.Errorf("cannot listen on unixsocket %s: %w", path, err)
	}
	s.listeners = append(s.listeners, listener)
	if perm := s.config().UnixSocketPerm; perm != 0 {
		if err := os.Chmod(path, os.FileMode(perm)); err != nil {
			return fmt.Errorf("cannot set unixsocketperm: %w", err)
		}
	}
	return nil
}

// addressText is an address as CLIENT LIST shows it. A peer on a Unix socket has no name of
// its own, and Redis shows the socket's.
func addressText(nc net.Conn) string {
	if local, ok := nc.LocalAddr().(*net.UnixAddr); ok {
		return local.Name + ":0"
	}
	return nc.RemoteAddr().String()
}

// network keeps 0.0.0.0 to IPv4 and :: to IPv6, so that both can be listened on.
func network(host string) string {
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "tcp" // localhost
	case addr.Is4():
		return "tcp4"
	}
	return "tcp6"
}

// Addrs are the addresses that Listen opened.
func (s *Server) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close() // there is nothing to do about a listener that does not close
	}
}
