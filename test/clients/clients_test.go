package clients

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

var (
	allClients = flag.Bool("clients", false, "try all clients, which make test-clients installs, not only those that make test does")
	update     = flag.Bool("update", false, "write the README's table of clients anew")
)

// A client is a library that speaks Redis's protocol, and its program in testdata.
type client struct {
	name       string
	build      []string // builds the program, if that is needed
	run        []string // runs it, in the repository's folder
	protocols  string   // the versions of RESP that it speaks
	errorReply string   // the type of an error reply
	// pipelineFails says that an error reply in a pipeline hides the other replies.
	pipelineFails bool
	// staysBehind says that commands which the client does not know do not follow MOVED: only a new
	// connection finds another primary.
	staysBehind bool
	cache       bool // the client has a cache of its own, which can be told to keep RL.PEEK
	always      bool // make test tries it, and its program knows "parses"
}

const programs = "test/clients/testdata/"

var clients = []client{
	{
		name: "redis-py", run: []string{"build/python/bin/python", programs + "python/redis_py.py"},
		protocols: "23", errorReply: "ResponseError", cache: true, always: true,
	},
	{
		name:      "go-redis",
		build:     []string{"go", "build", "-C", programs + "go", "-o", inRepository("build/clients/go") + "/", "./go_redis"},
		run:       []string{"build/clients/go/go_redis"},
		protocols: "23", errorReply: "proto.RedisError", always: true,
	},
	{
		name:      "rueidis",
		build:     []string{"go", "build", "-C", programs + "go", "-o", inRepository("build/clients/go") + "/", "./rueidis"},
		run:       []string{"build/clients/go/rueidis"},
		protocols: "23", errorReply: "*rueidis.RedisError", cache: true,
	},
	{
		name: "node-redis", run: []string{"node", programs + "node/node_redis.mjs"},
		protocols: "23", errorReply: "SimpleError", cache: true, always: true,
	},
	{
		name: "ioredis", run: []string{"node", programs + "node/ioredis.mjs"},
		protocols: "23", errorReply: "SimpleError", always: true,
	},
	java("Jedis", "JedisLines", "redis.clients.jedis.exceptions.JedisDataException", true),
	java("Lettuce", "LettuceLines", "io.lettuce.core.RedisCommandExecutionException", false),
	rust("fred", "fred", "Error"),
	rust("redis-rs", "redis_rs", "RedisError"),
	{
		name: "phpredis", run: []string{"php", programs + "php/phpredis.php"},
		protocols: "2", errorReply: "false", staysBehind: true,
	},
	{
		name: "redis-rb", run: []string{"ruby", programs + "ruby/redis_rb.rb"},
		protocols: "2", errorReply: "Redis::CommandError", pipelineFails: true,
	},
}

func java(name, class, errorReply string, cache bool) client {
	const folder = programs + "java/"
	classes, jars := "build/clients/java/"+class, "build/clients/java/lib/*"
	return client{
		name:      name,
		build:     []string{"javac", "-nowarn", "-d", classes, "-cp", jars, folder + "Lines.java", folder + class + ".java"},
		run:       []string{"java", "-XX:TieredStopAtLevel=1", "-cp", classes + ":" + jars, class},
		protocols: "23", errorReply: errorReply, cache: cache,
	}
}

func rust(name, binary, errorReply string) client {
	target := inRepository("build/clients/rust")
	return client{
		name: name,
		build: []string{
			"cargo", "build", "--quiet", "--target-dir", target,
			"--manifest-path", programs + "rust/Cargo.toml", "--bin", binary,
		},
		run:       []string{target + "/debug/" + binary},
		protocols: "23", errorReply: errorReply,
	}
}

// Each client does the same (steps_test.go), and the README's table of clients says what it was
// seen to do.
func TestClients(t *testing.T) {
	var tried []client
	for _, c := range clients {
		if c.always || *allClients {
			tried = append(tried, c)
		}
	}
	servers := startServers(t)
	rows := make([]string, len(tried)) // an empty one: -run has left it out
	t.Run("of", func(t *testing.T) {   // ends when all of them have
		for i, c := range tried {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.prepare(t)
				rows[i] = c.try(t, servers).row(c)
			})
		}
	})
	if !t.Failed() {
		compareWithReadme(t, rows)
	}
}

// prepare builds the program.
func (c client) prepare(t *testing.T) {
	t.Helper()
	if c.build == nil {
		return
	}
	build := exec.Command(c.build[0], c.build[1:]...)
	build.Dir = harness.Repository()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s is not built (make test-clients installs what it needs): %v\n%s", c.name, err, out)
	}
}

// servers are shared by all clients; each run of a program has keys of its own.
type servers struct {
	open     *harness.Process
	guarded  *harness.Process // by a password; TLS has a port of its own
	tlsPort  string
	caFile   string
	password string
	replica  *harness.Process // of guarded
}

func startServers(t *testing.T) servers {
	ca := harness.NewAuthority(t)
	certFile, keyFile := ca.Sign(t, t.TempDir(), 2)
	s := servers{caFile: ca.File, tlsPort: strconv.Itoa(harness.FreePort(t)), password: "geheim wörd"}
	s.open = harness.StartServer(t)
	guard := []string{"--requirepass", s.password, "--cluster-enabled", "emulated"}
	s.guarded = harness.StartServer(t, append(guard, "--tls-port", s.tlsPort, "--tls-cert-file", certFile, "--tls-key-file", keyFile)...)
	s.replica = harness.StartServer(t, append(guard, "--replicaof", "127.0.0.1 "+strconv.Itoa(s.guarded.Port), "--masterauth", s.password)...)
	return s
}

// shown is what a client was seen to do.
type shown struct {
	version        string
	protocols      []string
	cluster, fresh bool
}

// try has a client do everything, on each kind of connection.
func (c client) try(t *testing.T, s servers) (seen shown) {
	for _, protocol := range c.protocols {
		p := c.start(t, "ADDRESS="+s.open.Addr(), fmt.Sprintf("PROTOCOL=%c", protocol))
		if identity := p.ask("CLIENT INFO")[0]; !strings.Contains(identity, fmt.Sprintf(" resp=%c", protocol)) {
			t.Errorf("the connection does not speak RESP%c: %s", protocol, identity)
		}
		c.askEverything(p, fmt.Sprintf("%s:%c", c.name, protocol))
		if c.always {
			c.parses(p)
		}
		p.fails(p.ask("NOSUCH a")[0], c.errorReply, "unknown command 'NOSUCH'")
		seen.version = p.version
		seen.protocols = append(seen.protocols, fmt.Sprintf("RESP%c", protocol))
	}

	guarded := "ADDRESS=" + s.guarded.Addr()
	c.askEverything(c.start(t, guarded, "PASSWORD="+s.password), c.name+":password")
	c.isRefused(c.start(t, guarded, "PASSWORD=falsch"), wrongPassword)
	c.isRefused(c.start(t, guarded), noPassword)

	secret := []string{"ADDRESS=127.0.0.1:" + s.tlsPort, "CA=" + s.caFile, "PASSWORD=" + s.password}
	c.askEverything(c.start(t, secret...), c.name+":tls")

	const cluster = "MODE=cluster"
	c.askEverything(c.start(t, cluster, guarded, "PASSWORD="+s.password), c.name+":cluster")
	c.askEverything(c.start(t, append(secret, cluster)...), c.name+":cluster:tls")
	// A replica tells the client where the primary is.
	c.askEverything(c.start(t, cluster, "ADDRESS="+s.replica.Addr(), "PASSWORD="+s.password), c.name+":cluster:replica")
	c.follows(t)
	seen.cluster = true
	if c.cache {
		c.staysFresh(c.start(t, "ADDRESS="+s.open.Addr(), "MODE=cache"), s.open)
		seen.fresh = true
	}
	return seen
}

// row is the client's row in the README's table.
func (s shown) row(c client) string {
	says := map[bool]string{true: "yes", false: "–"}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | `%s` |",
		c.name, s.version, strings.Join(s.protocols, ", "), says[s.cluster], says[s.fresh], c.errorReply)
}

const tableHead = "| client | version | protocol | cluster mode | cache | an error reply is |\n|---|---|---|---|---|---|\n"

// compareWithReadme wants each row in the README's table, or writes the table anew.
func compareWithReadme(t *testing.T, rows []string) {
	t.Helper()
	readme := filepath.Join(harness.Repository(), "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, table, found := strings.Cut(string(text), tableHead)
	if !found {
		t.Fatal("the README has no table of clients")
	}
	var listed []string
	for strings.HasPrefix(table, "|") {
		row, rest, _ := strings.Cut(table, "\n")
		listed, table = append(listed, row), rest
	}
	if *update {
		if !*allClients || slices.Contains(rows, "") {
			t.Fatal("-update writes all rows, so it needs -clients, and no -run that leaves some out")
		}
		whole := before + tableHead + strings.Join(rows, "\n") + "\n" + table
		if err := os.WriteFile(readme, []byte(whole), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, row := range rows {
		if row != "" && !slices.Contains(listed, row) {
			t.Errorf("the README's table of clients lacks this row: %s", row)
		}
	}
	if *allClients && len(listed) != len(rows) {
		t.Errorf("the README's table has %d clients, and %d were tried", len(listed), len(rows))
	}
}
