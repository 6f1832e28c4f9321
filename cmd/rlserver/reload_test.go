package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// hangUp sends SIGHUP, and returns the log up to the line that says how the reload has ended.
func (c *child) hangUp(t *testing.T) (log string) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	return c.logUntil(`"configuration reloaded"`, "is not reloaded")
}

// logUntil is the log from where it was read last, until one of some texts.
func (c *child) logUntil(texts ...string) (log string) {
	for {
		line, err := c.lines.ReadString('\n')
		log += line
		if err != nil || slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
			return log
		}
	}
}

func (c *child) mustHave(t *testing.T, settings ...string) {
	t.Helper()
	conn := harness.DialAddr(t, c.address)
	defer func() { _ = conn.Close() }()
	for i := 0; i < len(settings); i += 2 {
		if got := conn.Ask("CONFIG", "GET", settings[i]).Texts(); got[1] != settings[i+1] {
			t.Errorf("%s is %s, want %s", settings[i], got[1], settings[i+1])
		}
	}
}

func rewriteFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// SIGHUP reads the file again, and has its settings take effect as CONFIG SET would.
func TestReload(t *testing.T) {
	file := writeFile(t, "timeout: 5\nmaxclients: 77\nslowlog-max-len: 3\nreplica-priority: 7\n")
	c := startChild(t, []string{"RLSERVER_MAXCLIENTS=78"}, "--config", file, "--slowlog-max-len", "9")
	conn := harness.DialAddr(t, c.address)
	conn.MustSay("OK", "CONFIG", "SET", "write-timeout", "8")

	// Changed, taken away, under a variable, under a flag, new, and not to be changed.
	rewriteFile(t, file, "timeout: 6\nmaxclients: 1\nslowlog-max-len: 1\nmaxmemory: 20mb\nmax-log-limit: 5\n")
	log := c.hangUp(t)
	for _, want := range []string{
		`"a setting of the configuration file needs a restart to take effect","name":"max-log-limit","from":"` + file + `:5"`,
		`"setting","name":"timeout","value":"6","from":"` + file + `:1"`, `"changed":3`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the log:\n%s", want, log)
		}
	}
	c.mustHave(t, "timeout", "6", "maxclients", "78", "slowlog-max-len", "9", "maxmemory", "20971520", "max-log-limit", "100000",
		"replica-priority", "100", "write-timeout", "8")
	// A file that is wrong changes nothing, wherever it is wrong.
	for _, wrong := range []string{"timeout: 7\nmaxclient: 1\n", "timeout: 7\nsave: x\n", "timeout: 7\n-", "timeout: 7\nmasteruser: me\n"} {
		rewriteFile(t, file, wrong)
		if log := c.hangUp(t); !strings.Contains(log, "nothing has changed") || !strings.Contains(log, file) {
			t.Errorf("%q: the log says\n%s", wrong, log)
		}
		c.mustHave(t, "timeout", "6")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if log := c.hangUp(t); !strings.Contains(log, "no such file") {
		t.Errorf("without the file the log says\n%s", log)
	}
	conn.MustSay("PONG", "PING") // on the connection of before
	if code, log := c.end(t, 0, syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

// SIGHUP and the next handshake read changed certificates, those of the authority as well. Files that
// are wrong change nothing.
func TestReloadCertificates(t *testing.T) {
	authority, folder := harness.NewAuthority(t), t.TempDir()
	cert, key := authority.Sign(t, folder, 2)
	trusted := filepath.Join(folder, "ca.pem")
	mustCopy(t, harness.NewAuthority(t).File, trusted)
	c := startChild(t, nil, "--port", "0", "--tls-port", "auto", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", trusted)
	clientCert, clientKey := authority.Sign(t, t.TempDir(), 7)
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil } // whatever is asked for
		nc, err := tls.Dial("tcp", c.address, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: show})
		if err != nil {
			return -1
		}
		defer func() { _ = nc.Close() }()
		if _, err := nc.Write([]byte("PING\r\n")); err != nil {
			return -1
		}
		if n, _ := nc.Read(make([]byte, 7)); n == 0 {
			return -1 // the server did not take the client's certificate
		}
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != -1 {
		t.Errorf("a client of another authority was served, with certificate %d", got)
	}
	mustCopy(t, authority.File, trusted)
	if log := c.hangUp(t); !strings.Contains(log, "certificates reloaded") {
		t.Errorf("the log says\n%s", log)
	}
	if got := serial(); got != 2 {
		t.Errorf("certificate %d, want 2", got)
	}
	authority.Sign(t, folder, 3)
	c.hangUp(t)
	if got := serial(); got != 3 {
		t.Errorf("certificate %d, want 3", got)
	}
	rewriteFile(t, key, "no key")
	if log := c.hangUp(t); !strings.Contains(log, "the certificates are not reloaded") || !strings.Contains(log, key) {
		t.Errorf("the log says\n%s", log)
	}
	if got := serial(); got != 3 {
		t.Errorf("certificate %d, want 3 still", got)
	}
}

func mustCopy(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, to, string(text))
}
