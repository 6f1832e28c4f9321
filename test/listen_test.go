package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// answersChecks asks something over a go-redis client.
func answersChecks(t *testing.T, options *redis.Options) {
	t.Helper()
	options.MaxRetries = -1
	c := redis.NewClient(options)
	defer func() { _ = c.Close() }()
	for i := range int64(3) {
		if got := integers(t, c, "RL.CHECK", "k:"+options.Addr, "token_bucket", 10, "1h"); got[0] != 1 || got[2] != 9-i {
			t.Fatalf("check %d over %s was answered %v", i, options.Addr, got)
		}
	}
}

// A Unix socket is served like a port: by redis-cli, by clients, with its permissions, and
// without its file once the server has ended.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rl.sock")
	p := startServer(t, "--unixsocket", path, "--unixsocketperm", "700")
	answersChecks(t, &redis.Options{Network: "unix", Addr: path})
	if got, err := exec.Command("redis-cli", "-s", path, "PING").CombinedOutput(); err != nil || string(got) != "PONG\n" {
		t.Errorf("redis-cli -s: %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's file: %v, %v; want permissions 700", info, err)
	}
	got, err := exec.Command("redis-cli", "-s", path, "CLIENT", "INFO").CombinedOutput()
	if err != nil || !strings.Contains(string(got), " addr="+path+":0 ") {
		t.Errorf("CLIENT INFO over a Unix socket: %q, %v", got, err)
	}
	// A second server must not take the path away from the first.
	_, problem := exec.Command(binary, "serve", "--port", "0", "--unixsocket", path).CombinedOutput()
	if got, err := exec.Command("redis-cli", "-s", path, "PING").CombinedOutput(); err != nil || string(got) != "PONG\n" {
		t.Errorf("after another server was started on the same path: %q, %v", got, err)
	}
	if problem == nil {
		t.Error("a second server was started on the same path")
	}
	if err := p.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is still there: %v", err)
	}
}

// The socket of a server that was killed is replaced; another file is not touched.
func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rl.sock")
	_ = startProcess(t, binary, "serve", "--port", strconv.Itoa(freePort(t)), "--unixsocket", path).stop(syscall.SIGKILL)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("a server that was killed left no socket: %v", err)
	}
	startServer(t, "--unixsocket", path)
	answersChecks(t, &redis.Options{Network: "unix", Addr: path})
	for name, want := range map[string]string{
		writeTemp(t, "precious"): "there is a file that is not a socket",
		t.TempDir():              "there is a file that is not a socket",
		"/nonexistent/rl.sock":   "no such file or directory",
	} {
		out, err := exec.Command(binary, "serve", "--port", "0", "--unixsocket", name).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), name) {
			t.Errorf("--unixsocket %s: %q, %v; want %q", name, out, err, want)
		}
	}
}

func writeTemp(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An authority signs certificates for servers and clients on 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return authority{cert, key, writePEM(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", der)}
}

func writePEM(t *testing.T, path, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign writes a certificate with this number and its key into a folder.
func (a authority) sign(t *testing.T, folder string, number int64) (certFile, keyFile string) {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := x509.Certificate{
		SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(key)
	return writePEM(t, filepath.Join(folder, "cert.pem"), "CERTIFICATE", der), writePEM(t, filepath.Join(folder, "key.pem"), "EC PRIVATE KEY", keyDER)
}

// trusting is a client's configuration, with a certificate of its own if there are files.
func (a authority) trusting(t *testing.T, certFile, keyFile string) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	config := &tls.Config{RootCAs: pool}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func TestTLS(t *testing.T) {
	ca, folder := newAuthority(t), t.TempDir()
	certFile, keyFile := ca.sign(t, folder, 2)
	port := strconv.Itoa(freePort(t))
	address := "127.0.0.1:" + port
	p := startServer(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile)
	answersChecks(t, &redis.Options{Addr: address, TLSConfig: ca.trusting(t, "", "")})
	if got, err := exec.Command("redis-cli", "-p", port, "--tls", "--cacert", ca.file, "PING").CombinedOutput(); err != nil || string(got) != "PONG\n" {
		t.Errorf("redis-cli --tls: %q, %v", got, err)
	}
	// Who does not speak TLS there, or speaks it elsewhere, harms nobody.
	plain, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(plain, command("PING"))
	if got, _ := io.ReadAll(plain); strings.Contains(string(got), "PONG") {
		t.Errorf("plain text was answered %q on the port for TLS", got)
	}
	_ = plain.Close()
	if nc, err := tls.Dial("tcp", p.addr(), ca.trusting(t, "", "")); err == nil {
		_ = nc.Close()
		t.Error("TLS was spoken on the port without")
	}
	// A pipeline, and a long answer.
	nc, err := tls.Dial("tcp", address, ca.trusting(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	c := newRawConn(t, nc)
	word := strings.Repeat("x", 1<<20)
	c.send(strings.Repeat(command("PING"), 1000) + command("ECHO", word) + command("QUIT"))
	all, err := io.ReadAll(c.r)
	if want := strings.Repeat("+PONG\r\n", 1000) + "$1048576\r\n" + word + "\r\n+OK\r\n"; err != nil || string(all) != want {
		t.Errorf("a pipeline over TLS: %d bytes and %v; want %d", len(all), err, len(want))
	}
	// A certificate that is changed is used for the next connection.
	time.Sleep(1100 * time.Millisecond)
	ca.sign(t, folder, 3)
	waitFor(t, "the changed certificate", func() bool {
		nc, err := tls.Dial("tcp", address, ca.trusting(t, "", ""))
		if err != nil {
			return false
		}
		defer func() { _ = nc.Close() }()
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 3
	})
}

func TestTLSClientCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	certFile, keyFile := ca.sign(t, t.TempDir(), 2)
	theirCert, theirKey := ca.sign(t, t.TempDir(), 3)
	strangeCert, strangeKey := other.sign(t, t.TempDir(), 4)
	for _, c := range []struct {
		mode               string
		none, ours, theirs bool // may connect
	}{
		{"auto", false, true, false}, {"yes", false, true, false}, {"optional", true, true, false}, {"no", true, true, true},
	} {
		port := strconv.Itoa(freePort(t))
		startServer(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", ca.file, "--tls-auth-clients", c.mode)
		for name, client := range map[string]struct {
			config *tls.Config
			may    bool
		}{
			"none": {ca.trusting(t, "", ""), c.none}, "of the authority": {ca.trusting(t, theirCert, theirKey), c.ours}, "of another": {ca.trusting(t, strangeCert, strangeKey), c.theirs},
		} {
			client.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(client.config.Certificates) == 0 {
					return &tls.Certificate{}, nil
				}
				return &client.config.Certificates[0], nil // whatever authorities are asked for
			}
			r := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, TLSConfig: client.config, MaxRetries: -1})
			if err := r.Ping(context.Background()).Err(); (err == nil) != client.may {
				t.Errorf("tls-auth-clients %s, a certificate %s: %v; may connect: %v", c.mode, name, err, client.may)
			}
			_ = r.Close()
		}
	}
}

func TestTLSBadSettings(t *testing.T) {
	ca := newAuthority(t)
	certFile, keyFile := ca.sign(t, t.TempDir(), 2)
	garbage := writeTemp(t, "no PEM")
	for _, c := range []struct{ flags, want string }{
		{"--tls-port 1", "tls-port needs tls-cert-file and tls-key-file"},
		{"--tls-port 1 --tls-cert-file " + certFile, "tls-port needs tls-cert-file and tls-key-file"},
		{"--tls-port 1 --tls-key-file " + keyFile + " --tls-cert-file " + garbage, "cannot use tls-cert-file " + garbage},
		{"--tls-port 1 --tls-key-file /nonexistent --tls-cert-file " + certFile, "/nonexistent"},
		{"--tls-port 1 --tls-auth-clients yes --tls-key-file " + keyFile + " --tls-cert-file " + certFile, "tls-auth-clients yes needs tls-ca-cert-file"},
		{"--tls-port 1 --tls-ca-cert-file " + garbage + " --tls-key-file " + keyFile + " --tls-cert-file " + certFile, "tls-ca-cert-file " + garbage + " has no certificate in PEM"},
		{"--tls-port 1 --tls-ca-cert-file /nonexistent --tls-key-file " + keyFile + " --tls-cert-file " + certFile, "cannot read tls-ca-cert-file"},
		{"--tls-port 65536", `"65536" is not accepted for tls-port: expected 0 to 65535`},
		{"--tls-auth-clients maybe", `"maybe" is not accepted for tls-auth-clients: expected auto, no, optional or yes`},
		{"--unixsocketperm 888", `"888" is not accepted for unixsocketperm: expected octal permissions`},
	} {
		out, err := exec.Command(binary, append([]string{"serve", "--port", "0"}, strings.Fields(c.flags)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %q, %v; want %q", c.flags, out, err, c.want)
		}
	}
}
