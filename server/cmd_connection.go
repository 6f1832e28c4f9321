package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strconv"

	"github.com/rlserver/rlserver/server/resp"
)

func cmdPing(r *request) {
	switch {
	case len(r.args) > 2:
		r.fail(errArity("ping"))
	case r.subscriptions() > 0 && !r.resp3(): // where every reply is an array
		r.reply.Array(2)
		r.reply.BulkString("pong")
		r.reply.Bulk(slices.Concat(r.args[1:]...))
	case len(r.args) == 1:
		r.reply.Simple("PONG")
	default:
		r.reply.Bulk(r.args[1])
	}
}

func cmdEcho(r *request) { r.reply.Bulk(r.args[1]) }

func cmdOK(r *request) { r.reply.OK() }

func cmdQuit(r *request) {
	r.reply.OK()
	r.conn.HangUp()
}

func cmdSelect(r *request) {
	index, ok := wholeNumber(r.args[1])
	switch {
	case !ok:
		r.fail(errNotInteger)
	case index != 0 && r.server.config().ClusterEmulated:
		r.fail(errClusterDB)
	case index != 0:
		r.fail(errDBIndex)
	default:
		r.reply.OK()
	}
}

func cmdAuth(r *request) {
	user, password := "default", r.arg(1)
	if len(r.args) == 3 {
		user, password = r.arg(1), r.arg(2)
	}
	switch {
	case len(r.args) > 3:
		r.fail(errSyntax)
	case len(r.args) == 2 && r.server.config().RequirePass == "":
		r.fail(errNoPassword)
	case !r.login(user, password):
		r.fail(errWrongPass)
	default:
		r.reply.OK()
	}
}

// login authenticates the connection if user and password are right. Without a password
// set, the default user needs none, and any will do. As in Redis.
func (c *session) login(user, password string) bool {
	want := c.server.config().RequirePass
	right := user == "default" && (want == "" || samePassword(password, want))
	c.authenticated = c.authenticated || right
	return right
}

// samePassword compares in a time that does not depend on whether, or at which byte, they differ.
func samePassword(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// hello has the arguments of HELLO.
type hello struct {
	protocol       int64
	user, password string
	login          bool
	name           *string
}

func cmdHello(r *request) {
	h, problem := r.parseHello()
	switch {
	case problem != "":
		r.fail(problem)
		return
	case h.login && !r.login(h.user, h.password):
		r.fail(errWrongPass)
		return
	case !r.mayAsk():
		r.fail(errHelloNoAuth)
		return
	}
	if h.name != nil {
		r.name.Store(h.name)
	}
	r.server.pubsub.setProtocol(r.session, int(h.protocol))
	r.updateRestricted()
	r.introduce()
}

func (r *request) parseHello() (h hello, problem string) {
	h.protocol = int64(r.reply.Protocol())
	if len(r.args) == 1 {
		return h, ""
	}
	var ok bool
	if h.protocol, ok = wholeNumber(r.args[1]); !ok {
		return h, errHelloInt
	}
	if h.protocol != 2 && h.protocol != 3 {
		return h, errNoProto
	}
	for i := 2; i < len(r.args); {
		left := len(r.args) - i - 1
		switch option := lower(r.arg(i)); {
		case option == "auth" && left >= 2:
			h.login, h.user, h.password = true, r.arg(i+1), r.arg(i+2)
			i += 3
		case option == "setname" && left >= 1:
			name := r.arg(i + 1)
			if !isClientName(name) {
				return h, errClientName
			}
			h.name = &name
			i += 2
		default:
			return h, "ERR Syntax error in HELLO option '" + r.arg(i) + "'"
		}
	}
	return h, ""
}

// introduce writes HELLO's reply.
func (c *session) introduce() {
	role := "master"
	if c.server.role().Replica {
		role = "replica"
	}
	c.reply.Value(resp.Map{"server", "redis", "version", redisVersion, "proto", c.reply.Protocol(), "id", c.id,
		"mode", c.server.mode(), "role", role, "modules", []any{}})
}

// cmdResetConnection returns the connection to how it began: RESP2, no name, no
// authentication if a password is needed, no monitor, no subscriptions, no transaction.
// Nothing comes behind the reply but answers.
func cmdResetConnection(r *request) {
	none := ""
	r.server.monitors.remove(r.session)
	r.server.pubsub.unsubscribeAll(r.session)
	r.flushPushes()
	r.endTransaction()
	r.name.Store(&none)
	r.reply.SetProtocol(resp.RESP2)
	r.noEvict.Store(false)
	r.noTouch.Store(false)
	r.readsReplica.Store(false)
	r.silence.off = false
	r.setTracking(nil)
	r.updateRestricted()
	r.authenticated = r.server.config().RequirePass == ""
	r.reply.Simple("RESET")
}

// isClientName says whether a connection can have that name: printable, without spaces, so
// that CLIENT LIST stays one line of words.
func isClientName(name string) bool {
	for i := range len(name) {
		if name[i] < '!' || name[i] > '~' {
			return false
		}
	}
	return true
}

func cmdTime(r *request) {
	now := r.server.Now()
	r.reply.Strings([]string{strconv.FormatInt(now/1_000_000, 10), strconv.FormatInt(now%1_000_000, 10)})
}
