package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/server/wire"
)

// A gate stops commands that are right in themselves, because of the state of the server. Most of the
// time there is none, and a command only looks whether there is one.
type gate struct {
	refusal string // the error that answers commands that write; empty: none
	// moved: clients of a cluster are sent to the primary, with commands that write and, unless they
	// have sent READONLY, with those that read.
	moved bool
	pause pauseKind
}

// A pauseKind says which commands CLIENT PAUSE holds.
type pauseKind uint8

// The kinds, each of which holds more than the one before.
const (
	noPause pauseKind = iota
	pauseWrites
	pauseAll
)

// A gatekeeper makes the gate. No call waits.
type gatekeeper struct {
	gate atomic.Pointer[gate] // nil: every command passes

	mu     sync.Mutex
	state  gate
	until  time.Time // the end of the pause
	timer  *time.Timer
	paused map[*session]func() // what lets a session go on that waits for the end of the pause
}

// change changes the gate.
func (k *gatekeeper) change(change func(*gate)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set(change)
}

// set is change for callers that hold the lock.
func (k *gatekeeper) set(change func(*gate)) {
	change(&k.state)
	if state := k.state; state != (gate{}) {
		k.gate.Store(&state)
	} else {
		k.gate.Store(nil)
	}
}

// pause holds commands for a time. Of two pauses the stricter kind and the later end count, as in
// Redis.
func (k *gatekeeper) pause(kind pauseKind, span time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set(func(g *gate) { g.pause = max(g.pause, kind) })
	if end := time.Now().Add(span); end.After(k.until) {
		k.until = end
	}
	if k.timer != nil {
		k.timer.Stop()
	}
	k.timer = time.AfterFunc(time.Until(k.until), func() { k.endPause(false) })
}

// endPause ends the pause, if its time has come or it is to end now.
func (k *gatekeeper) endPause(now bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !now && time.Now().Before(k.until) {
		return // another pause has begun
	}
	k.until = time.Time{}
	k.set(func(g *gate) { g.pause = noPause })
	for _, goOn := range k.paused {
		goOn()
	}
	clear(k.paused)
}

// stop says whether a command does not pass, and what has become of it.
func (g *gate) stop(c *session, cmd *command, args [][]byte) (outcome wire.Outcome, stopped bool) {
	switch {
	case g.moved && cmd.keys != noKeys && len(args) > cmd.keys.first && (cmd.onPrimary || !c.readsReplica.Load()):
		return c.reject(cmd, c.errMoved(args[cmd.keys.first])), true
	case g.refusal != "" && cmd.writes:
		return c.reject(cmd, g.refusal), true
	case !c.executing && (g.pause == pauseAll || g.pause == pauseWrites && c.mayWrite(cmd)):
		return c.hold(), true
	}
	return wire.Done, false
}

// mayWrite says whether a command changes something, as CLIENT PAUSE WRITE sees it.
func (c *session) mayWrite(cmd *command) bool {
	return cmd.writes || cmd.mayReplicate || cmd.endsTransaction && c.transaction != nil && c.transaction.writes
}

// hold has the session wait for the end of a pause. The replies before leave first. The command is
// run anew afterwards, so there is nothing to reply.
func (c *session) hold() wire.Outcome {
	if c.conn.Wait() == wire.NoWait && c.conn.Flush() == nil {
		c.deferred.long = &longReply{find: c.server.gates.await(c)}
		c.blocked.Store(true)
		c.conn.Defer(wire.LongWait)
	}
	return wire.NotYet
}

// await calls done when there is no pause.
func (k *gatekeeper) await(c *session) func(done func(func(*session))) (abandon func()) {
	return func(done func(func(*session))) (abandon func()) {
		goOn := func() { done(func(*session) {}) }
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.state.pause == noPause { // it has ended meanwhile
			goOn()
			return nil
		}
		k.paused[c] = goOn
		return func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.paused, c)
		}
	}
}

func cmdClientPause(r *request) {
	kind := pauseAll
	millis, ok := wholeNumber(r.args[2])
	switch {
	case len(r.args) > 4:
		r.fail(errUnknownOrArity(r.command))
		return
	case len(r.args) == 4 && equalFold(r.args[3], "write"):
		kind = pauseWrites
	case len(r.args) == 4 && !equalFold(r.args[3], "all"):
		r.fail(errPauseMode)
		return
	}
	switch {
	case !ok || millis > int64(waitTimeoutMax):
		r.fail(errTimeoutInteger)
	case millis < 0:
		r.fail(errTimeoutNegative)
	default:
		r.server.gates.pause(kind, time.Duration(millis)*time.Millisecond)
		r.reply.OK()
	}
}

func cmdClientUnpause(r *request) {
	r.server.gates.endPause(true)
	r.reply.OK()
}

// cmdClientUnblock unblocks nobody: what a client waits for here ends by itself.
func cmdClientUnblock(r *request) {
	_, ok := wholeNumber(r.args[2])
	switch {
	case len(r.args) > 4:
		r.fail(errUnknownOrArity(r.command))
	case len(r.args) == 4 && !equalFold(r.args[3], "timeout") && !equalFold(r.args[3], "error"):
		r.fail(errUnblockReason)
	case !ok:
		r.fail(errNotInteger)
	default:
		r.reply.Int(0)
	}
}
