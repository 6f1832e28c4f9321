package server

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/tidwall/redcon"
)

// A client is what the server knows of one connection. The fields of the first group
// belong to the connection's goroutine; the atomic ones are read by others too (CLIENT
// LIST, CLIENT KILL, the janitor).
type client struct {
	conn          redcon.Conn
	handle        handle
	server        *Server
	authenticated bool
	// hurried is whether others wait for this connection's turn to end, so that commands
	// that may take long must not run in it.
	hurried bool
	// now is the instant at which the batch that is being answered was read (µs).
	now     int64
	request request
	asked   *asked // nil where no remote decides
	pending *pending
	// holds is whether replies to changes must wait for the disk, as it was when the batch was
	// read; mustWait is whether the present command's reply must wait for something.
	holds, mustWait bool
	// announced is where a replica has said that it listens, and link its connection once it has
	// sent RL.SYNC.
	announced Address
	link      *ReplicaLink
	// wire is conn as those see it who carry it.
	wire *conn
	// pushes are there once the connection has been detached (pushes.go). Whoever finds the
	// client among the monitors or subscribers finds them.
	pushes *pushes
	// restricted says that commands do not go straight to their handlers, but past restrict:
	// there is a transaction, or a subscription in RESP2.
	restricted  bool
	transaction *transaction // since MULTI
	executing   bool         // EXEC
	// topics are what the client has subscribed to. Only its goroutine changes them, under
	// the lock of pubsub.
	topics [2]map[string]struct{}
	// abandon says that nobody waits for the reply that is being found elsewhere; nil: there is
	// nobody to say it to.
	abandon func()
	// running and runs count commands until they are added to the server's statistics: a
	// counter that every connection shares must not be touched for every command.
	running *command
	runs    uint64
	// scratch is where small replies are put together. Six integers of 20 digits fit.
	scratch [160]byte

	id       int64
	created  int64 // µs
	addr     string
	laddr    string
	protocol atomic.Int32 // 2 or 3
	active   atomic.Int64 // µs, of the last batch
	last     atomic.Pointer[command]
	name     atomic.Pointer[string]
	libName  atomic.Pointer[string]
	libVer   atomic.Pointer[string]
	noEvict  atomic.Bool
	noTouch  atomic.Bool
	monitor  atomic.Bool
	killed   atomic.Bool
	// blocked: its reply is being found elsewhere.
	blocked atomic.Bool
	// isReplica says that the connection is a replica's, and the replicator serves it.
	isReplica atomic.Bool
	// topicCounts are the sizes of topics, and queued is how many commands have been queued
	// since MULTI, or notQueueing.
	topicCounts [2]atomic.Int32
	queued      atomic.Int32
}

// A request is one command as its handler sees it. It is reused for the next one.
type request struct {
	*client
	args    [][]byte
	command *command
	// question and decision stand here and not on a stack, from which a limiter's
	// pointers to them would send them to the heap.
	question question
	// parsed are the words that question was made from, but for the key.
	parsed   words
	decision engine.Decision
}

func newClient(s *Server, conn *conn, id int64) *client {
	now := s.clock.micros()
	c := &client{
		conn:          conn,
		wire:          conn,
		handle:        conn.handle,
		server:        s,
		authenticated: s.config().RequirePass == "",
		now:           now,
		id:            id,
		created:       now,
		addr:          conn.RemoteAddr(),
		laddr:         conn.nc.LocalAddr().String(),
	}
	c.request.client, c.pending = c, &conn.pending
	if s.remote != nil {
		conn.asked = &asked{conn: conn}
		c.asked = conn.asked
	}
	c.protocol.Store(2)
	c.queued.Store(notQueueing)
	c.active.Store(now)
	conn.SetContext(c)
	return c
}

// mayAsk says whether the connection may send commands: it has authenticated, or no
// password is needed now.
func (c *client) mayAsk() bool { return c.authenticated || c.server.config().RequirePass == "" }

// arg is argument i as a string.
func (r *request) arg(i int) string { return string(r.args[i]) }

// beginBatch reads the clock, once for all commands that were read together.
func (c *client) beginBatch() {
	c.now = c.server.clock.micros()
	c.active.Store(c.now)
	c.holds = c.server.holds()
}

// flushRuns adds the commands run since the last time to the statistics.
func (c *client) flushRuns() {
	if c.runs > 0 {
		c.server.stats.commands.Add(c.runs)
		c.running.calls.Add(c.runs)
		c.runs = 0
	}
}

// count counts one run of a command.
func (c *client) count(cmd *command) {
	if c.running != cmd {
		c.flushRuns()
		c.running = cmd
		c.last.Store(cmd)
	}
	c.runs++
}

// kill closes the connection from another goroutine.
func (c *client) kill() {
	c.killed.Store(true)
	c.handle.kill()
}

// describe is the client's line in CLIENT LIST, with the fields of Redis that mean
// something here.
func (c *client) describe(now int64) string {
	last := "NULL"
	if cmd := c.last.Load(); cmd != nil {
		last = cmd.fullName()
	}
	var b strings.Builder
	field := func(name, value string) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name + "=" + value)
	}
	field("id", strconv.FormatInt(c.id, 10))
	field("addr", c.addr)
	field("laddr", c.laddr)
	field("fd", "-1")
	field("name", text(&c.name))
	field("age", strconv.FormatInt((now-c.created)/1_000_000, 10))
	field("idle", strconv.FormatInt(max(now-c.active.Load(), 0)/1_000_000, 10))
	field("flags", c.flags())
	field("db", "0")
	field("sub", strconv.Itoa(int(c.topicCounts[byChannel].Load())))
	field("psub", strconv.Itoa(int(c.topicCounts[byPattern].Load())))
	field("multi", strconv.Itoa(int(c.queued.Load())))
	field("cmd", last)
	field("user", "default")
	field("redir", "-1")
	field("resp", strconv.Itoa(int(c.protocol.Load())))
	field("lib-name", text(&c.libName))
	field("lib-ver", text(&c.libVer))
	return b.String()
}

// flags are Redis's letters for what a connection is and does.
func (c *client) flags() string {
	flags, monitors := "", c.monitor.Load()
	for _, f := range [...]struct {
		set    bool
		letter string
	}{
		{monitors, "O"},
		{c.isReplica.Load() && !monitors, "S"},
		{c.subscriptions() > 0, "P"},
		{c.queued.Load() != notQueueing, "x"},
		{c.blocked.Load(), "b"},
		{c.noEvict.Load(), "e"},
		{c.noTouch.Load(), "T"},
	} {
		if f.set {
			flags += f.letter
		}
	}
	return cmp.Or(flags, "N")
}

// The kinds of connections that CLIENT LIST and CLIENT KILL choose by.
const (
	kindNormal  = "normal"
	kindPubsub  = "pubsub"
	kindReplica = "replica"
	kindMaster  = "master" // a replica's to its primary; none is in the list
)

// kind is the connection's kind; as in Redis a monitor is a normal one.
func (c *client) kind() string {
	switch {
	case c.isReplica.Load() && !c.monitor.Load():
		return kindReplica
	case c.subscriptions() > 0:
		return kindPubsub
	}
	return kindNormal
}

// mayBeSilent says whether the connection is there to listen, so that it is not idle when
// it sends nothing.
func (c *client) mayBeSilent() bool { return c.monitor.Load() || c.kind() != kindNormal }

// text reads a string that another goroutine may set; empty when it was never set.
func text(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// isLoopback says whether the peer is on this machine.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// restIn is the span until a key is at rest.
func restIn(info engine.KeyInfo, now int64) time.Duration {
	return time.Duration(info.IdleMicros-now) * time.Microsecond
}
