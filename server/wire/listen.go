package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
)

// Addresses are what a server listens on.
type Addresses struct {
	Hosts          []string // IP addresses, or localhost
	Port           int      // on each host; 0 is none, and a negative one is a free one
	TLSPort        int      // likewise, for TLS
	TLS            TLS
	UnixSocket     string // a path; empty for none
	UnixSocketPerm int    // permissions of the Unix socket; 0 leaves them to the umask
}

// ErrTLS is in the errors that are about the port for TLS.
var ErrTLS = errors.New("for TLS")

// errNowhere is that there is nothing to listen on.
var errNowhere = errors.New("there is nothing to listen on: port and tls-port are 0, and unixsocket is empty; set one of them")

// Listen opens addresses, and returns the ports. Of a free port the first host gets one, and the
// others the same.
func (s *Server) Listen(a Addresses) (port, tlsPort int, err error) {
	if a.Port == 0 && a.TLSPort == 0 && a.UnixSocket == "" {
		return 0, 0, errNowhere
	}
	if a.Port != 0 {
		port, err = s.listenTCP(a.Hosts, a.Port, nil)
	}
	if err == nil && a.TLSPort != 0 {
		if s.certificates, err = newTLS(a.TLS, s.logger); err == nil {
			tlsPort, err = s.listenTCP(a.Hosts, a.TLSPort, s.certificates.config())
		}
	}
	if err == nil && a.UnixSocket != "" {
		err = s.listenUnix(a.UnixSocket, a.UnixSocketPerm)
	}
	if err != nil {
		s.closeListeners()
	}
	return port, tlsPort, err
}

// listenTCP listens on a port of each host, for TLS if there is a configuration of it.
func (s *Server) listenTCP(hosts []string, port int, tlsConfig *tls.Config) (int, error) {
	port = max(port, 0)
	for _, host := range hosts {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		listener, err := net.Listen(network(host), address)
		switch {
		case err != nil && tlsConfig != nil:
			return 0, fmt.Errorf("cannot listen on %s %w: %w", address, ErrTLS, err)
		case err != nil:
			return 0, fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		port = listener.Addr().(*net.TCPAddr).Port
		if tlsConfig != nil {
			listener = tls.NewListener(listener, tlsConfig)
		}
		s.Listeners = append(s.Listeners, listener)
	}
	return port, nil
}

// listenUnix opens a Unix socket. It replaces the socket of a server that has ended, and touches no
// other file at its path.
func (s *Server) listenUnix(path string, permissions int) error {
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
	withPermissions(permissions, func() { listener, err = net.Listen("unix", path) })
	if err != nil {
		return fmt.Errorf("cannot listen on unixsocket %s: %w", path, err)
	}
	s.Listeners = append(s.Listeners, listener)
	if permissions != 0 {
		if err := os.Chmod(path, os.FileMode(permissions)); err != nil {
			return fmt.Errorf("cannot set unixsocketperm: %w", err)
		}
	}
	return nil
}

// addressText is the peer's address as CLIENT LIST shows it. A peer on a Unix socket has no name of
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

func (s *Server) closeListeners() {
	for _, l := range s.Listeners {
		_ = l.Close() // there is nothing to do about a listener that does not close
	}
}
