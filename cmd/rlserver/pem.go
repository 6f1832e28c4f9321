package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// pemFiles are the files for speaking TLS with another server, and the settings or flags that name
// them, for errors.
type pemFiles struct{ ca, cert, key, caName, certName, keyName string }

// settingFiles are pemFiles of settings that begin with prefix.
func settingFiles(prefix, ca, cert, key string) pemFiles {
	return pemFiles{ca, cert, key, prefix + "-ca-cert-file", prefix + "-cert-file", prefix + "-key-file"}
}

// clientTLS is how TLS is spoken. Without an authority it is the system's, and without a certificate
// none is shown. The certificate is read again for each connection.
func (f pemFiles) clientTLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.caName, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in %s", f.caName, f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, fmt.Errorf("%s and %s belong together: set both or none", f.certName, f.keyName)
	}
	if f.cert == "" {
		return c, nil
	}
	read := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.certName, f.keyName, err)
		}
		return &pair, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() }
	_, err := read()
	return c, err
}
