package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// handshakeMax is how long a TLS handshake may take, so that a silent peer holds nothing for long.
const handshakeMax = 10 * time.Second

// certificateCheck is how often at most the files are examined.
const certificateCheck = time.Second

// TLS has the PEM files of the server's certificate and key, and of the authority that signs the
// certificates of clients. AuthClients says whether a client must show one: "no", "optional", "yes",
// or "auto", which is yes if there is a CAFile.
type TLS struct {
	CertFile, KeyFile, CAFile string
	AuthClients               string
}

// certificates are the configuration of tls-port that its files give. They are read again when they
// have changed.
type certificates struct {
	files  TLS
	logger *slog.Logger

	mu       sync.Mutex
	current  *tls.Config
	modified [3]time.Time // of the files when they were read last
	checked  time.Time
}

// newTLS reads the files of tls-port. Its errors name the setting and the file.
func newTLS(files TLS, logger *slog.Logger) (*certificates, error) {
	if files.CertFile == "" || files.KeyFile == "" {
		return nil, errors.New("tls-port needs tls-cert-file and tls-key-file")
	}
	c := &certificates{files: files, logger: logger}
	return c, c.reload()
}

// config is the configuration of a listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: c.get}
}

// reload reads the files. After an error those that were read before stay in force.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modified = c.modifiedNow()
	fresh, err := c.files.read()
	if err == nil {
		c.current = fresh
	}
	return err
}

// read makes a configuration of the files.
func (files TLS) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot use tls-cert-file %s with tls-key-file %s: %w", files.CertFile, files.KeyFile, err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if files.CAFile == "" {
		if files.AuthClients == "yes" || files.AuthClients == "optional" {
			return nil, fmt.Errorf("tls-auth-clients %s needs tls-ca-cert-file", files.AuthClients)
		}
		return t, nil
	}
	text, err := os.ReadFile(files.CAFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read tls-ca-cert-file: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls-ca-cert-file %s has no certificate in PEM", files.CAFile)
	}
	switch files.AuthClients {
	case "no":
	case "optional":
		t.ClientAuth = tls.VerifyClientCertIfGiven
	default: // yes, and auto with an authority
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return t, nil
}

func (c *certificates) modifiedNow() (at [3]time.Time) {
	for i, file := range [...]string{c.files.CertFile, c.files.KeyFile, c.files.CAFile} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// get is the configuration for a handshake. When the files have changed and cannot be used, those
// before stay in force.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Config, error) {
	if c.haveChanged() {
		if err := c.reload(); err != nil {
			c.logger.Error("the changed certificates are not used; those before stay in force", "error", err)
		} else {
			c.logger.Info("certificates read again", "file", c.files.CertFile)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, nil
}

// haveChanged looks at the files, at most once in a while. Of several goroutines one is told of a
// change.
func (c *certificates) haveChanged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return isDue(&c.checked, certificateCheck) && c.modifiedNow() != c.modified
}

// ReloadTLS reads the certificates of tls-port again, if that is listened on. After an error those
// before stay in force.
func (s *Server) ReloadTLS() error {
	if s.certificates == nil {
		return nil
	}
	return s.certificates.reload()
}

// handshake does the handshake of a connection with TLS.
func handshake(nc net.Conn) error {
	t, ok := nc.(*tls.Conn)
	if !ok {
		return nil
	}
	_ = t.SetDeadline(time.Now().Add(handshakeMax))
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return t.SetDeadline(time.Time{})
}
