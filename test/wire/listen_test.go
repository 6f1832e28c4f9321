package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
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

	"github.com/rlserver/rlserver/test/harness"
)

// answersChecks asks something over a go-redis client.
func answersChecks(t *testing.T, options *redis.Options) {
	t.Helper()
	options.MaxRetries = -1
	c := redis.NewClient(options)
	defer func() { _ = c.Close() }()
	for i := range int64(3) {
		if got := harness.Integers(t, c, "RL.CHECK", "k:"+options.Addr, "token_bucket", 10, "1h"); got[0] != 1 || got[2] != 9-i {
			t.Fatalf("check %d over %s was answered %v", i, options.Addr, got)
		}
	}
}

// A Unix socket is served like a port: by redis-cli, by clients, with its permissions, and
// without its file once the server has ended.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rl.sock")
	p := harness.StartServer(t, "--unixsocket", path, "--unixsocketperm", "700")
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
	_, problem := exec.Command(harness.Binary(t), "serve", "--port", "auto", "--unixsocket", path).CombinedOutput()
	if got, err := exec.Command("redis-cli", "-s", path, "PING").CombinedOutput(); err != nil || string(got) != "PONG\n" {
		t.Errorf("after another server was started on the same path: %q, %v", got, err)
	}
	if problem == nil {
		t.Error("a second server was started on the same path")
	}
	if err := p.Stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is still there: %v", err)
	}
}

// The socket of a server that was killed is replaced; another file is not touched.
func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rl.sock")
	_ = harness.StartProcess(t, harness.Binary(t), "serve", "--port", strconv.Itoa(harness.FreePort(t)), "--unixsocket", path).Stop(syscall.SIGKILL)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("a server that was killed left no socket: %v", err)
	}
	harness.StartServer(t, "--unixsocket", path)
	answersChecks(t, &redis.Options{Network: "unix", Addr: path})
	for name, want := range map[string]string{
		harness.WriteFile(t, "file", []byte("precious"), 0o600): "there is a file that is not a socket",
		t.TempDir():            "there is a file that is not a socket",
		"/nonexistent/rl.sock": "no such file or directory",
	} {
		out, err := exec.Command(harness.Binary(t), "serve", "--port", "auto", "--unixsocket", name).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), name) {
			t.Errorf("--unixsocket %s: %q, %v; want %q", name, out, err, want)
		}
	}
}

// trusting is a client's configuration, with a certificate of its own if there are files.
func trusting(t *testing.T, a harness.Authority, certFile, keyFile string) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
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
	ca, folder := harness.NewAuthority(t), t.TempDir()
	certFile, keyFile := ca.Sign(t, folder, 2)
	port := strconv.Itoa(harness.FreePort(t))
	address := "127.0.0.1:" + port
	p := harness.StartServer(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile)
	answersChecks(t, &redis.Options{Addr: address, TLSConfig: trusting(t, ca, "", "")})
	if got, err := exec.Command("redis-cli", "-p", port, "--tls", "--cacert", ca.File, "PING").CombinedOutput(); err != nil || string(got) != "PONG\n" {
		t.Errorf("redis-cli --tls: %q, %v", got, err)
	}
	// A client that does not speak TLS there, or speaks it on another port, does no harm.
	plain, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(plain, harness.Command("PING"))
	if got, _ := io.ReadAll(plain); strings.Contains(string(got), "PONG") {
		t.Errorf("plain text was answered %q on the port for TLS", got)
	}
	_ = plain.Close()
	if nc, err := tls.Dial("tcp", p.Addr(), trusting(t, ca, "", "")); err == nil {
		_ = nc.Close()
		t.Error("TLS was spoken on the port without")
	}
	// A pipeline, and a long answer.
	nc, err := tls.Dial("tcp", address, trusting(t, ca, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	c := harness.NewConn(t, nc)
	word := strings.Repeat("x", 1<<20)
	c.Send(strings.Repeat(harness.Command("PING"), 1000) + harness.Command("ECHO", word) + harness.Command("QUIT"))
	all, err := io.ReadAll(c.Reader)
	if want := strings.Repeat("+PONG\r\n", 1000) + "$1048576\r\n" + word + "\r\n+OK\r\n"; err != nil || string(all) != want {
		t.Errorf("a pipeline over TLS: %d bytes and %v; want %d", len(all), err, len(want))
	}
	// A certificate that is changed is used for the next connection.
	time.Sleep(1100 * time.Millisecond)
	ca.Sign(t, folder, 3)
	harness.Eventually(t, "the changed certificate", func() bool {
		nc, err := tls.Dial("tcp", address, trusting(t, ca, "", ""))
		if err != nil {
			return false
		}
		defer func() { _ = nc.Close() }()
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 3
	})
}

func TestTLSClientCertificates(t *testing.T) {
	ca, other := harness.NewAuthority(t), harness.NewAuthority(t)
	certFile, keyFile := ca.Sign(t, t.TempDir(), 2)
	theirCert, theirKey := ca.Sign(t, t.TempDir(), 3)
	strangeCert, strangeKey := other.Sign(t, t.TempDir(), 4)
	for _, c := range []struct {
		mode               string
		none, ours, theirs bool // may connect
	}{
		{"auto", false, true, false}, {"yes", false, true, false}, {"optional", true, true, false}, {"no", true, true, true},
	} {
		port := strconv.Itoa(harness.FreePort(t))
		harness.StartServer(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", ca.File, "--tls-auth-clients", c.mode)
		for name, client := range map[string]struct {
			config *tls.Config
			may    bool
		}{
			"none": {trusting(t, ca, "", ""), c.none}, "of the authority": {trusting(t, ca, theirCert, theirKey), c.ours}, "of another": {trusting(t, ca, strangeCert, strangeKey), c.theirs},
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
	ca := harness.NewAuthority(t)
	certFile, keyFile := ca.Sign(t, t.TempDir(), 2)
	garbage := harness.WriteFile(t, "file", []byte("no PEM"), 0o600)
	for _, c := range []struct{ flags, want string }{
		{"--tls-port 1", "tls-port needs tls-cert-file and tls-key-file"},
		{"--tls-port 1 --tls-cert-file " + certFile, "tls-port needs tls-cert-file and tls-key-file"},
		{"--tls-port 1 --tls-key-file " + keyFile + " --tls-cert-file " + garbage, "cannot use tls-cert-file " + garbage},
		{"--tls-port 1 --tls-key-file /nonexistent --tls-cert-file " + certFile, "/nonexistent"},
		{"--tls-port 1 --tls-auth-clients yes --tls-key-file " + keyFile + " --tls-cert-file " + certFile, "tls-auth-clients yes needs tls-ca-cert-file"},
		{"--tls-port 1 --tls-ca-cert-file " + garbage + " --tls-key-file " + keyFile + " --tls-cert-file " + certFile, "tls-ca-cert-file " + garbage + " has no certificate in PEM"},
		{"--tls-port 1 --tls-ca-cert-file /nonexistent --tls-key-file " + keyFile + " --tls-cert-file " + certFile, "cannot read tls-ca-cert-file"},
		{"--tls-port 65536", `"65536" is not accepted for tls-port: expected auto, or 0 to 65535`},
		{"--tls-auth-clients maybe", `"maybe" is not accepted for tls-auth-clients: expected auto, no, optional or yes`},
		{"--unixsocketperm 888", `"888" is not accepted for unixsocketperm: expected octal permissions`},
	} {
		out, err := exec.Command(harness.Binary(t), append([]string{"serve", "--port", "auto"}, strings.Fields(c.flags)...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %q, %v; want %q", c.flags, out, err, c.want)
		}
	}
}

// A client too many that speaks no TLS on the port for TLS is turned away without a handshake: the
// server would wait for it, and all that come after with it.
func TestTLSTooManyClients(t *testing.T) {
	certFile, keyFile := harness.NewAuthority(t).Sign(t, t.TempDir(), 2)
	port := strconv.Itoa(harness.FreePort(t))
	p := harness.StartServer(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile)
	p.Dial().MustSay("OK", "CONFIG", "SET", "maxclients", "1")
	for range 2 {
		harness.DialAddr(t, "127.0.0.1:"+port).MustBeClosed()
	}
}
