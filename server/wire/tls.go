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

// certificateCheck is how often at most the certificate's files are examined.
const certificateCheck = time.Second

// TLS has the PEM files of the server's certificate and key, and of the authority that signs the
// certificates of clients. AuthClients says whether a client must show one: "no", "optional", "yes",
// or "auto", which is yes if there is a CAFile.
type TLS struct {
	CertFile, KeyFile, CAFile string
	AuthClients               string
}

// A certificate is read from its files, and again when they have changed.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu       sync.Mutex
	current  *tls.Certificate
	modified [2]time.Time // of the files when they were read last
	checked  time.Time
}

// newTLS is the configuration of tls-port. Its errors name the setting and the file.
func newTLS(files TLS, logger *slog.Logger) (*tls.Config, error) {
	if files.CertFile == "" || files.KeyFile == "" {
		return nil, errors.New("tls-port needs tls-cert-file and tls-key-file")
	}
	c := &certificate{certFile: files.CertFile, keyFile: files.KeyFile, logger: logger}
	c.modified = c.modifiedNow()
	var err error
	if c.current, err = c.read(); err != nil {
		return nil, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
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

func (c *certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot use tls-cert-file %s with tls-key-file %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}

func (c *certificate) modifiedNow() (at [2]time.Time) {
	for i, file := range [...]string{c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// get is the certificate for a handshake. When the files have changed and cannot be used, the old
// certificate stays in force.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		if modified := c.modifiedNow(); modified != c.modified {
			c.modified = modified
			if fresh, err := c.read(); err != nil {
				c.logger.Error("the changed certificate is not used; the one before stays in force", "error", err)
			} else {
				c.current = fresh
				c.logger.Info("certificate read again", "file", c.certFile)
			}
		}
	}
	return c.current, nil
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
