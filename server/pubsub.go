package server

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rlserver/rlserver/server/resp"
)

// pubsub has the subscriptions of all sessions. A message is left in the queue of every receiver
// while the lock is held (wire.Conn.Push), so all receivers see the messages of all channels in one
// order, and no goroutine waits for a receiver.
type pubsub struct {
	mu     sync.Mutex
	topics [topicKinds]map[string]map[*session]struct{} // by topicKind and name
	// subscriptions are those of all sessions, and clients the sessions that have one.
	subscriptions, clients atomic.Int64
}

// A topicKind is one of the ways to subscribe. Sharded channels are channels of their own, which a
// cluster keeps where keys of these names would be.
type topicKind int

const (
	byChannel topicKind = iota
	byPattern
	byShard
	topicKinds
)

// The bounds. Publishing to a channel looks at every distinct pattern, and matching takes
// at most the product of both lengths.
const (
	channelBytesMax         = 256     // of a channel's name, or of a pattern
	clientSubscriptionsMax  = 1024    // channels and patterns of one connection
	serverSubscriptionsMax  = 1 << 20 // of all connections
	distinctPatternsMax     = 1024
	publishBriefReceiverMax = 64 // subscriptions, up to which PUBLISH need not step aside
)

// subscriptions is the count of the session's channels and patterns.
func (c *session) subscriptions() int {
	return c.subscriptionsLike(byChannel) + c.subscriptionsLike(byShard)
}

// subscriptionsLike is the count that answers a command about subscriptions. Sharded channels are
// counted apart.
func (c *session) subscriptionsLike(kind topicKind) int {
	if kind == byShard {
		return int(c.topicCounts[byShard].Load())
	}
	return int(c.topicCounts[byChannel].Load() + c.topicCounts[byPattern].Load())
}

// publishIsBrief says whether publishing is quick whatever the channel.
func publishIsBrief(c *session) bool {
	return c.server.pubsub.subscriptions.Load() <= publishBriefReceiverMax
}

// subscribe subscribes a session to names and calls each with the session's count after every one of
// them; or it does nothing and returns the problem.
func (ps *pubsub) subscribe(c *session, kind topicKind, names [][]byte, each func(name []byte, count int)) (problem string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if problem = ps.problemWith(c, kind, names); problem != "" {
		return problem
	}
	if c.topics[kind] == nil {
		c.topics[kind] = map[string]struct{}{}
	}
	for _, name := range names {
		if _, found := c.topics[kind][string(name)]; !found {
			ps.add(c, kind, string(name))
		}
		each(name, c.subscriptionsLike(kind))
	}
	return ""
}

// problemWith says which bound a session would exceed by subscribing to names.
func (ps *pubsub) problemWith(c *session, kind topicKind, names [][]byte) string {
	if len(names) > clientSubscriptionsMax {
		return errSubscriptions
	}
	fresh, freshPatterns := map[string]struct{}{}, 0
	for _, name := range names {
		if len(name) > channelBytesMax {
			return errChannel(len(name))
		}
		_, mine := c.topics[kind][string(name)]
		if _, counted := fresh[string(name)]; mine || counted {
			continue
		}
		fresh[string(name)] = struct{}{}
		if kind == byPattern && ps.topics[kind][string(name)] == nil {
			freshPatterns++
		}
	}
	switch {
	case len(fresh) == 0:
	case c.subscriptions()+len(fresh) > clientSubscriptionsMax:
		return errSubscriptions
	case ps.subscriptions.Load()+int64(len(fresh)) > serverSubscriptionsMax:
		return errServerSubscriptions
	case len(ps.topics[byPattern])+freshPatterns > distinctPatternsMax:
		return errPatterns
	}
	return ""
}

func (ps *pubsub) add(c *session, kind topicKind, name string) {
	if ps.topics[kind][name] == nil {
		ps.topics[kind][name] = map[*session]struct{}{}
	}
	ps.topics[kind][name][c] = struct{}{}
	c.topics[kind][name] = struct{}{}
	if c.subscriptions() == 0 {
		ps.clients.Add(1)
	}
	c.topicCounts[kind].Add(1)
	ps.subscriptions.Add(1)
}

// unsubscribe ends a subscription, if there is one.
func (ps *pubsub) unsubscribe(c *session, kind topicKind, name string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.drop(c, kind, name)
}

func (ps *pubsub) drop(c *session, kind topicKind, name string) {
	if _, found := c.topics[kind][name]; !found {
		return
	}
	delete(c.topics[kind], name)
	receivers := ps.topics[kind][name]
	if delete(receivers, c); len(receivers) == 0 {
		delete(ps.topics[kind], name)
	}
	c.topicCounts[kind].Add(-1)
	ps.subscriptions.Add(-1)
	if c.subscriptions() == 0 {
		ps.clients.Add(-1)
	}
}

// unsubscribeAll ends all of a session's subscriptions.
func (ps *pubsub) unsubscribeAll(c *session) {
	if c.subscriptions() == 0 {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for kind := range c.topics {
		for name := range c.topics[kind] {
			ps.drop(c, topicKind(kind), name)
		}
	}
}

// setProtocol changes the protocol of a session. Messages that were published before go out in the
// old one, in front of the reply that is to be written now.
func (ps *pubsub) setProtocol(c *session, protocol int) {
	if c.conn.Detached() { // it may have messages
		ps.mu.Lock()
		defer ps.mu.Unlock()
		c.conn.FlushPushes()
	}
	c.reply.SetProtocol(protocol)
}

// publish sends a message to a channel's subscribers and then to those of patterns that match, and
// returns how many that were. A session that has subscribed several times gets it as often. Patterns
// do not match sharded channels.
func (ps *pubsub) publish(kind topicKind, channel, message []byte) (receivers int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	send := func(to map[*session]struct{}, words ...any) {
		texts := map[int]string{} // by protocol; all receivers share them
		for c := range to {
			protocol := c.reply.Protocol()
			if texts[protocol] == "" {
				texts[protocol] = publication(protocol, words)
			}
			if c.push(texts[protocol], "subscriber") {
				receivers++
			}
		}
	}
	if to := ps.topics[kind][string(channel)]; to != nil {
		send(to, map[topicKind]string{byChannel: "message", byShard: "smessage"}[kind], channel, message)
	}
	if kind == byShard {
		return receivers
	}
	for pattern, to := range ps.topics[byPattern] {
		if globMatch(pattern, resp.View(channel)) {
			send(to, "pmessage", pattern, channel, message)
		}
	}
	return receivers
}

// publication is a message in the form of a protocol.
func publication(protocol int, words resp.Push) string {
	var w resp.Writer
	w.SetProtocol(protocol)
	w.Value(words)
	return string(w.Buf)
}

// channels lists the channels of a kind that have subscribers and match a pattern.
func (ps *pubsub) channels(kind topicKind, pattern string) (list []string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name := range ps.topics[kind] {
		if globMatch(pattern, name) {
			list = append(list, name)
		}
	}
	return list
}

// receivers counts the subscribers of a channel.
func (ps *pubsub) receivers(kind topicKind, channel string) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.topics[kind][channel])
}

// distinct counts the channels, or patterns, that have subscribers.
func (ps *pubsub) distinct(kind topicKind) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.topics[kind])
}

func cmdSubscribe(r *request)    { r.subscribe(byChannel, "subscribe") }
func cmdPSubscribe(r *request)   { r.subscribe(byPattern, "psubscribe") }
func cmdSUnsubscribe(r *request) { r.unsubscribe(byShard, "sunsubscribe") }
func cmdUnsubscribe(r *request)  { r.unsubscribe(byChannel, "unsubscribe") }
func cmdPUnsubscribe(r *request) { r.unsubscribe(byPattern, "punsubscribe") }

// cmdSSubscribe is not for transactions, as in Redis.
func cmdSSubscribe(r *request) {
	if r.executing {
		r.fail(errSSubscribeInExec)
	} else {
		r.subscribe(byShard, "ssubscribe")
	}
}

// subscribe answers every channel or pattern with a reply of its own, as Redis does.
func (r *request) subscribe(kind topicKind, action string) {
	problem := r.server.pubsub.subscribe(r.session, kind, r.args[1:], func(name []byte, count int) {
		r.conn.Detach() // no message can be published to it before this has returned
		r.reply.Value(resp.Push{action, string(name), count})
		r.keepPushes()
	})
	if problem != "" {
		r.fail(problem)
	}
	r.updateRestricted()
}

// unsubscribe unsubscribes from the names given, or from all. Messages that were published
// before stand in front of the reply, and none comes behind it.
func (r *request) unsubscribe(kind topicKind, action string) {
	answer := func(name any) {
		r.conn.FlushPushes()
		r.reply.Value(resp.Push{action, name, r.subscriptionsLike(kind)})
		r.keepPushes()
	}
	var names []string
	for _, name := range r.args[1:] {
		names = append(names, string(name))
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(r.topics[kind]))
	}
	for _, name := range names {
		r.server.pubsub.unsubscribe(r.session, kind, name)
		answer(name)
	}
	if len(names) == 0 {
		answer(nil)
	}
	r.updateRestricted()
}

func cmdPublish(r *request)  { r.publish(byChannel) }
func cmdSPublish(r *request) { r.publish(byShard) }

func (r *request) publish(kind topicKind) {
	if len(r.args[1]) > channelBytesMax {
		r.fail(errChannel(len(r.args[1])))
		return
	}
	receivers := r.server.pubsub.publish(kind, r.args[1], r.args[2])
	r.flushPushes() // a session that publishes to itself gets the message first, as from Redis
	r.reply.Int(receivers)
}

func cmdPubsubChannels(r *request)      { r.listChannels(byChannel, errPubsubChannels) }
func cmdPubsubShardChannels(r *request) { r.listChannels(byShard, errPubsubShardChannels) }

func (r *request) listChannels(kind topicKind, tooMany string) {
	pattern := "*"
	if len(r.args) > 2 {
		pattern = r.arg(2)
	}
	switch {
	case len(r.args) > 3:
		r.fail(tooMany)
	case len(pattern) > channelBytesMax:
		r.fail(errChannel(len(pattern)))
	default:
		r.reply.Strings(r.server.pubsub.channels(kind, pattern))
	}
}

func cmdPubsubNumSub(r *request)      { r.countReceivers(byChannel) }
func cmdPubsubShardNumSub(r *request) { r.countReceivers(byShard) }

func (r *request) countReceivers(kind topicKind) {
	r.reply.Array(2 * len(r.args[2:]))
	for _, channel := range r.args[2:] {
		r.reply.Bulk(channel)
		r.reply.Int(r.server.pubsub.receivers(kind, resp.View(channel)))
	}
}

func cmdPubsubNumPat(r *request) { r.reply.Int(r.server.pubsub.distinct(byPattern)) }
