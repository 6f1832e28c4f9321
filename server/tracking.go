package server

import (
	"slices"
	"strings"

	"github.com/rlserver/rlserver/server/resp"
)

// Clients with a cache of their own turn on tracking: they keep what they have read of a key until the
// server says that the key has changed. A limiter's answer is right for the moment only, because time
// alone changes it. So nothing may be kept, and a client that tracks is told so of each key that it
// reads: once in front of the reply and once behind it. A client that is waiting for the reply then
// does not keep it, or, if it only looks at what it keeps, drops it at once.

// A tracking is the state of a session that tracks, by the options of CLIENT TRACKING.
type tracking struct {
	broadcast, optIn, optOut, noLoop bool
	redirect                         int64 // the session that is told; 0: this one
	broken                           bool  // it is gone
	prefixes                         []string
	caching                          forNext  // CLIENT CACHING
	keys                             []string // that the present command reads
}

// The bounds.
const (
	trackedKeysMax = 1000 // of a command; of more the client is told that every key has changed
	prefixesMax    = 100  // of a connection
)

// invalidationChannel is where a redirected session in RESP2 gets its messages.
const invalidationChannel = "__redis__:invalidate"

// track notes the keys of a command that the client may keep the answer of.
func (t *tracking) track(cmd *command, args [][]byte) {
	caching := t.caching == saidOfThis
	switch {
	case cmd.keys == noKeys, t.optIn && !caching, t.optOut && caching:
		return
	case !cmd.has("readonly") && (!t.optIn || !caching): // who asks to cache a check is told as well
		return
	}
	for _, key := range cmd.keysOf(args) {
		if len(t.keys) > trackedKeysMax {
			break
		}
		if len(t.prefixes) == 0 || slices.ContainsFunc(t.prefixes, func(p string) bool { return strings.HasPrefix(string(key), p) }) {
			t.keys = append(t.keys, string(key))
		}
	}
}

// beginTracked notes the keys that the present command reads, and tells the client.
func (c *session) beginTracked(cmd *command, args [][]byte) {
	c.tracking.keys = nil
	switch tx := c.transaction; {
	case tx == nil:
		c.tracking.track(cmd, args)
	case cmd.endsTransaction:
		for _, words := range tx.commands {
			c.tracking.track(c.server.table.find(words, nil), words)
		}
	}
	c.invalidate(c.tracking.keys)
	c.keepPushes()
}

// endTracked tells the client again, now behind the reply.
func (c *session) endTracked() {
	c.invalidate(c.takeTracked())
	if t := c.tracking; c.transaction == nil {
		t.caching = t.caching.passed()
	}
}

// takeTracked returns the keys that the present command reads, and forgets them.
func (c *session) takeTracked() (keys []string) {
	if c.tracking != nil {
		keys, c.tracking.keys = c.tracking.keys, nil
	}
	return keys
}

// invalidate says of keys that they have changed.
func (c *session) invalidate(keys []string) {
	t, changed := c.tracking, any(keys)
	if len(keys) > trackedKeysMax {
		changed = nil // every key
	}
	switch {
	case len(keys) == 0 || t == nil:
	case t.redirect != 0:
		if !c.server.tellRedirected(t.redirect, changed) {
			c.redirectIsBroken()
		}
	case c.resp3():
		c.reply.Value(resp.Push{"invalidate", changed})
	}
}

// tellRedirected sends an invalidation to another session, which has to have subscribed to get
// messages at all.
func (s *Server) tellRedirected(id int64, changed any) bool {
	s.pubsub.mu.Lock()
	defer s.pubsub.mu.Unlock()
	c := s.sessions.find(id)
	if c == nil || c.subscriptions() == 0 {
		return false
	}
	words := resp.Push{"message", invalidationChannel, changed}
	if c.resp3() {
		words = resp.Push{"invalidate", changed}
	}
	return c.push(publication(c.reply.Protocol(), words), "subscriber")
}

// redirectIsBroken tells a client that its invalidations reach nobody.
func (c *session) redirectIsBroken() {
	t := c.tracking
	if !t.broken && c.resp3() {
		c.reply.Value(resp.Push{"tracking-redir-broken", t.redirect})
	}
	t.broken = true
	c.trackFlags.Store(t.flags())
}

// The letters of CLIENT LIST for tracking, as bits.
const (
	flagTracks = 1 << iota
	flagTracksAll
	flagRedirectBroken
)

func (t *tracking) flags() (flags uint32) {
	if t == nil {
		return 0
	}
	flags = flagTracks
	if t.broadcast {
		flags |= flagTracksAll
	}
	if t.broken {
		flags |= flagRedirectBroken
	}
	return flags
}

// setTracking turns tracking on, or with nil off.
func (c *session) setTracking(t *tracking) {
	switch {
	case c.tracking == nil && t != nil:
		c.server.trackers.Add(1)
	case c.tracking != nil && t == nil:
		c.server.trackers.Add(-1)
	}
	c.tracking = t
	c.trackFlags.Store(t.flags())
	c.redirect.Store(t.redirectID())
	c.updateRestricted()
	c.attended = true // attend finds out
}

// redirectID is what CLIENT GETREDIR replies.
func (t *tracking) redirectID() int64 {
	if t == nil {
		return -1
	}
	return t.redirect
}

// cmdClientTracking checks its options in the order of Redis.
func cmdClientTracking(r *request) {
	t, problem := r.parseTracking()
	switch on := lower(r.args[2]); {
	case problem != "":
		r.fail(problem)
		return
	case on == "on":
		if problem = r.tracking.mayBecome(t); problem != "" {
			r.fail(problem)
			return
		}
		r.setTracking(t)
	case on == "off":
		r.setTracking(nil)
	default:
		r.fail(errSyntax)
		return
	}
	r.reply.OK()
}

func (r *request) parseTracking() (t *tracking, problem string) {
	t = &tracking{}
	for i := 3; i < len(r.args); i++ {
		more := i+1 < len(r.args)
		switch option := lower(r.args[i]); {
		case option == "redirect" && more:
			i++
			if t.redirect != 0 {
				return t, errRedirectTwice
			}
			id, ok := wholeNumber(r.args[i])
			switch {
			case !ok:
				return t, errNotInteger
			case r.server.sessions.find(id) == nil:
				return t, errRedirectUnknown
			}
			t.redirect = id
		case option == "prefix" && more:
			i++
			t.prefixes = append(t.prefixes, r.arg(i))
		case option == "bcast":
			t.broadcast = true
		case option == "optin":
			t.optIn = true
		case option == "optout":
			t.optOut = true
		case option == "noloop":
			t.noLoop = true
		default:
			return t, errSyntax
		}
	}
	return t, ""
}

// mayBecome says why tracking may not go from one state to another.
func (t *tracking) mayBecome(next *tracking) (problem string) {
	switch {
	case !next.broadcast && len(next.prefixes) > 0:
		return errPrefixWithoutBroadcast
	case t != nil && t.broadcast != next.broadcast:
		return errTrackingSwitch("BCAST mode on/off")
	case next.broadcast && (next.optIn || next.optOut):
		return errOptWithBroadcast
	case next.optIn && next.optOut:
		return errOptBoth
	case t != nil && (next.optIn && t.optOut || next.optOut && t.optIn):
		return errTrackingSwitch("OPTIN/OPTOUT mode")
	case len(next.prefixes) > prefixesMax, t != nil && len(t.prefixes)+len(next.prefixes) > prefixesMax:
		return errPrefixesMax
	}
	if t != nil {
		for _, prefix := range next.prefixes {
			if other, found := overlapping(prefix, t.prefixes); found {
				return errPrefixes(prefix, "an existing prefix", other)
			}
		}
	}
	for i, prefix := range next.prefixes {
		if other, found := overlapping(prefix, next.prefixes[i+1:]); found {
			return errPrefixes(prefix, "another provided prefix", other)
		}
	}
	if next.broadcast && len(next.prefixes) == 0 {
		next.prefixes = []string{""} // every key
	}
	if t != nil && next.broadcast {
		next.prefixes = slices.Compact(slices.Sorted(slices.Values(slices.Concat(t.prefixes, next.prefixes))))
	}
	return ""
}

// overlapping finds the first of others that begins with a prefix, or that it begins with.
func overlapping(prefix string, others []string) (other string, found bool) {
	i := slices.IndexFunc(others, func(other string) bool {
		return strings.HasPrefix(prefix, other) || strings.HasPrefix(other, prefix)
	})
	if i < 0 {
		return "", false
	}
	return others[i], true
}

func cmdClientCaching(r *request) {
	t := r.tracking
	switch option := lower(r.args[2]); {
	case t == nil:
		r.fail(errCachingWithoutTracking)
	case option == "yes" && !t.optIn:
		r.fail(errCachingYes)
	case option == "no" && !t.optOut:
		r.fail(errCachingNo)
	case option != "yes" && option != "no":
		r.fail(errSyntax)
	default:
		t.caching = saidOfNext
		r.reply.OK()
	}
}

func cmdClientGetRedir(r *request) { r.reply.Int64(r.tracking.redirectID()) }

func cmdClientTrackingInfo(r *request) {
	t, flags := r.tracking, resp.Set{"off"}
	if t == nil {
		t = &tracking{}
	} else {
		flags = resp.Set{"on"}
	}
	for _, f := range [...]struct {
		set  bool
		name string
	}{
		{t.broadcast, "bcast"},
		{t.optIn, "optin"}, {t.optIn && t.caching != forNone, "caching-yes"},
		{t.optOut, "optout"}, {t.optOut && t.caching != forNone, "caching-no"},
		{t.noLoop, "noloop"},
		{t.broken, "broken_redirect"},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	r.reply.Value(resp.Map{"flags", flags, "redirect", r.tracking.redirectID(), "prefixes", t.prefixes})
}
