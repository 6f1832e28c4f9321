package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rlserver/rlserver/server/wire"
)

// sessions is the registry of connections. Connecting and leaving take its lock, and so do the
// commands that look at all connections; checks never do.
type sessions struct {
	mu     sync.Mutex
	lastID int64
	byID   map[int64]*session
}

// add registers a session and numbers it, unless there are limit already.
func (r *sessions) add(c *session, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byID) >= limit {
		return false
	}
	r.lastID++
	c.id = r.lastID
	r.byID[c.id] = c
	return true
}

func (r *sessions) remove(c *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, c.id)
}

func (r *sessions) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID)
}

// all lists the sessions by age, the oldest first.
func (r *sessions) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.byID), func(a, b *session) int { return cmp.Compare(a.id, b.id) })
}

// find finds a session by its number; nil: there is none.
func (r *sessions) find(id int64) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

// sums are what INFO tells of all sessions together. Sizes are in bytes.
type sums struct {
	connected, blocked          int // of which blocked wait for a long reply
	inputMax, outputMax         int64
	normalMemory, replicaMemory int64
}

func (r *sessions) sums() (all sums) {
	for _, c := range r.all() {
		all.connected++
		if c.blocked.Load() {
			all.blocked++
		}
		m := c.memory(false)
		all.inputMax = max(all.inputMax, m.Query+m.QueryFree)
		all.outputMax = max(all.outputMax, m.Held+m.QueuedBytes)
		if c.kind() == kindReplica {
			all.replicaMemory += m.total()
		} else {
			all.normalMemory += m.total()
		}
	}
	return all
}

// An identity is what CLIENT LIST shows of a session. The session's goroutine changes it, and any
// goroutine may read it.
type identity struct {
	id      int64
	created int64 // µs
	addr    string
	laddr   string

	active  atomic.Int64 // µs, of the last batch
	last    atomic.Pointer[command]
	name    atomic.Pointer[string]
	libName atomic.Pointer[string]
	libVer  atomic.Pointer[string]

	noEvict, noTouch atomic.Bool
	monitor          atomic.Bool
	blocked          atomic.Bool // it waits for a long reply
	isReplica        atomic.Bool // the replicator serves the connection
	readsReplica     atomic.Bool // READONLY of a client of a cluster
	trackFlags       atomic.Uint32
	redirect         atomic.Int64 // as CLIENT GETREDIR
	// topicCounts are the numbers of channels, patterns and sharded channels, and queued is how many commands have
	// been queued since MULTI, or notQueueing.
	topicCounts [topicKinds]atomic.Int32
	queued      atomic.Int32
	queuedBytes atomic.Int64 // that they take
}

// describe is a session's line in CLIENT LIST, with the fields of Redis in their order.
func (r *request) describe(c *session) string {
	last := "NULL"
	if cmd := c.last.Load(); cmd != nil {
		last = cmd.fullName()
	}
	m := c.memory(c == r.session)
	events := ""
	if m.Readable {
		events = "r"
	}
	if m.Writable {
		events += "w"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d ssub=%d multi=%d",
		c.id, c.addr, c.laddr, text(&c.name), (r.now-c.created)/1_000_000, max(r.now-c.active.Load(), 0)/1_000_000, c.flags(),
		c.topicCounts[byChannel].Load(), c.topicCounts[byPattern].Load(), c.topicCounts[byShard].Load(), c.queued.Load())
	fmt.Fprintf(&b, " qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s",
		m.Query, m.QueryFree, m.arguments, m.transaction, m.Reply, m.Reply, m.Held, m.Queued, m.QueuedBytes, m.total(), events)
	fmt.Fprintf(&b, " cmd=%s user=default redir=%d resp=%d lib-name=%s lib-ver=%s\n", last, c.redirect.Load(), c.reply.Protocol(), text(&c.libName), text(&c.libVer))
	return b.String()
}

// clientMemory is what a connection takes, in bytes.
type clientMemory struct {
	wire.Buffers
	arguments   int64 // of the present command
	transaction int64
}

// sessionBytes is about what a connection takes without its buffers.
const sessionBytes = 2 << 10

func (m *clientMemory) total() int64 {
	return sessionBytes + m.Query + m.QueryFree + m.arguments + m.transaction + m.Reply + m.Held + m.QueuedBytes
}

// memory is what the connection takes. own says that the caller is the connection's own command.
func (c *session) memory(own bool) clientMemory {
	m := clientMemory{Buffers: c.conn.Buffers(own), transaction: c.queuedBytes.Load()}
	if own {
		for _, arg := range c.request.args {
			m.arguments += int64(len(arg))
		}
	}
	return m
}

// flags are Redis's letters for what a connection is and does.
func (c *session) flags() string {
	flags, monitors, tracks := "", c.monitor.Load(), c.trackFlags.Load()
	for _, f := range [...]struct {
		set    bool
		letter string
	}{
		{monitors, "O"},
		{c.isReplica.Load() && !monitors, "S"},
		{c.subscriptions() > 0, "P"},
		{c.queued.Load() != notQueueing, "x"},
		{c.blocked.Load(), "b"},
		{tracks&flagTracks != 0, "t"},
		{tracks&flagRedirectBroken != 0, "R"},
		{tracks&flagTracksAll != 0, "B"},
		{c.readsReplica.Load(), "r"},
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
func (c *session) kind() string {
	switch {
	case c.isReplica.Load() && !c.monitor.Load():
		return kindReplica
	case c.subscriptions() > 0:
		return kindPubsub
	}
	return kindNormal
}

// mayBeSilent says whether the connection is there to listen, so that it is not idle when it sends
// nothing.
func (c *session) mayBeSilent() bool { return c.monitor.Load() || c.kind() != kindNormal }

// text reads a string that another goroutine may set; empty when it was never set.
func text(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

func cmdClientGetName(r *request) {
	if name := text(&r.name); name != "" {
		r.reply.BulkString(name)
	} else {
		r.reply.Null()
	}
}

func cmdClientSetName(r *request) {
	if name := r.arg(2); isClientName(name) {
		r.name.Store(&name)
		r.reply.OK()
	} else {
		r.fail(errClientName)
	}
}

func cmdClientSetInfo(r *request) {
	attribute, value := lower(r.args[2]), r.arg(3)
	to := map[string]*atomic.Pointer[string]{"lib-name": &r.libName, "lib-ver": &r.libVer}[attribute]
	switch {
	case to == nil:
		r.fail("ERR Unrecognized option '" + r.arg(2) + "'")
	case !isClientName(value):
		r.fail("ERR " + attribute + " cannot contain spaces, newlines or special characters.")
	default:
		to.Store(&value)
		r.reply.OK()
	}
}

func cmdClientID(r *request) { r.reply.Int64(r.id) }

func cmdClientInfo(r *request) { r.reply.Text(r.describe(r.session)) }

func cmdClientNoEvict(r *request) { r.onOff(r.noEvict.Store) }
func cmdClientNoTouch(r *request) { r.onOff(r.noTouch.Store) }

func (r *request) onOff(set func(bool)) {
	switch lower(r.arg(2)) {
	case "on":
		set(true)
	case "off":
		set(false)
	default:
		r.fail(errSyntax)
		return
	}
	r.reply.OK()
}

// A clientFilter chooses connections; the zero filter chooses all.
type clientFilter struct {
	ids               []int64
	addr, laddr, kind string
	user              string
	sparesSelf        bool
}

func (f *clientFilter) matches(c, self *session) bool {
	return (len(f.ids) == 0 || slices.Contains(f.ids, c.id)) &&
		(f.addr == "" || c.addr == f.addr) &&
		(f.laddr == "" || c.laddr == f.laddr) &&
		(f.kind == "" || f.kind == c.kind()) &&
		(f.user == "" || f.user == "default") &&
		(!f.sparesSelf || c != self)
}

// parse reads filters from the words of a command. many allows several ids behind ID.
func (f *clientFilter) parse(words [][]byte, many bool) (problem string) {
	for len(words) > 0 {
		if len(words) < 2 {
			return errSyntax
		}
		value, taken := string(words[1]), 2
		switch lower(words[0]) {
		case "id":
			for taken = 1; taken < len(words) && (many || taken == 1); taken++ {
				id, ok := wholeNumber(words[taken])
				switch {
				case many && !ok:
					return errClientListID
				case !many && (!ok || id < 1):
					return errClientID
				}
				f.ids = append(f.ids, id)
			}
		case "addr":
			f.addr = value
		case "laddr":
			f.laddr = value
		case "type":
			f.kind = lower(value)
			if f.kind == "slave" {
				f.kind = kindReplica
			}
			if !slices.Contains([]string{kindNormal, kindMaster, kindReplica, kindPubsub}, f.kind) {
				return "ERR Unknown client type '" + value + "'"
			}
		case "user":
			if value != "default" {
				return "ERR No such user '" + value + "'"
			}
			f.user = value
		case "skipme":
			if !equalFold(value, "yes") && !equalFold(value, "no") {
				return errSyntax
			}
			f.sparesSelf = equalFold(value, "yes")
		default:
			return errSyntax
		}
		words = words[taken:]
	}
	return ""
}

func cmdClientList(r *request) {
	var filter clientFilter
	if problem := filter.parse(r.args[2:], true); problem != "" {
		r.fail(problem)
		return
	}
	var list strings.Builder
	for _, c := range r.server.sessions.all() {
		if filter.matches(c, r.session) {
			list.WriteString(r.describe(c))
		}
	}
	r.reply.Text(list.String())
}

// cmdClientKill takes an address, and then replies OK or an error, or filters, and then
// replies how many connections it closed.
func cmdClientKill(r *request) {
	filter := clientFilter{sparesSelf: true}
	byAddress := len(r.args) == 3
	if byAddress {
		filter = clientFilter{addr: r.arg(2)}
	} else if problem := filter.parse(r.args[2:], false); problem != "" {
		r.fail(problem)
		return
	}
	killed, self := 0, false
	for _, c := range r.server.sessions.all() {
		switch {
		case !filter.matches(c, r.session):
			continue
		case c == r.session:
			self = true
		default:
			c.conn.Kill()
		}
		killed++
	}
	switch {
	case !byAddress:
		r.reply.Int(killed)
	case killed == 0:
		r.fail(errNoClient)
	default:
		r.reply.OK()
	}
	if self { // the answer goes out first
		r.conn.HangUp()
	}
}
