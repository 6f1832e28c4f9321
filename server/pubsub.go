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
	topics [2]map[string]map[*session]struct{} // by topicKind and name
	// subscriptions are those of all sessions, and clients the sessions that have one.
	subscriptions, clients atomic.Int64
}

// A topicKind is one of the two ways to subscribe.
type topicKind int

const (
	byChannel topicKind = iota
	byPattern
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
	return int(c.topicCounts[byChannel].Load() + c.topicCounts[byPattern].Load())
}

// isFew says whether publishing is quick whatever the channel.
func (ps *pubsub) isFew() bool { return ps.subscriptions.Load() <= publishBriefReceiverMax }

// subscribe subscribes a session to names and calls each with the session's count after every one of
// them; or it does nothing and returns the problem.
func (ps *pubsub) subscribe(c *session, kind topicKind, names [][]byte, each func(name []byte, count int)) (problem string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if problem = ps.problemWith(c, kind, names); problem != "" {
		return problem
	}
	if ps.topics[kind] == nil {
		ps.topics[kind] = map[string]map[*session]struct{}{}
	}
	if c.topics[kind] == nil {
		c.topics[kind] = map[string]struct{}{}
	}
	for _, name := range names {
		if _, found := c.topics[kind][string(name)]; !found {
			ps.add(c, kind, string(name))
		}
		each(name, c.subscriptions())
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

// drop ends a subscription, if there is one.
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
// returns how many that were. A session that has subscribed several times gets it as often.
func (ps *pubsub) publish(channel, message []byte) (receivers int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	send := func(to map[*session]struct{}, words ...[]byte) {
		p := publication{words: words}
		for c := range to {
			if c.push(p.in(c.reply.Protocol()), "subscriber") {
				receivers++
			}
		}
	}
	if to := ps.topics[byChannel][string(channel)]; to != nil {
		send(to, []byte("message"), channel, message)
	}
	for pattern, to := range ps.topics[byPattern] {
		if globMatch(pattern, resp.View(channel)) {
			send(to, []byte("pmessage"), []byte(pattern), channel, message)
		}
	}
	return receivers
}

// A publication is a message in the form of each protocol, made when it is needed and then
// shared by all receivers.
type publication struct {
	words        [][]byte
	resp2, resp3 string
}

func (p *publication) in(protocol int) string {
	text, kind := &p.resp2, byte('*')
	if protocol == resp.RESP3 {
		text, kind = &p.resp3, '>'
	}
	if *text == "" {
		b := resp.AppendHeader(nil, kind, len(p.words))
		for _, word := range p.words {
			b = append(append(resp.AppendHeader(b, '$', len(word)), word...), "\r\n"...)
		}
		*text = string(b)
	}
	return *text
}

// channels lists the channels that have subscribers and match a pattern.
func (ps *pubsub) channels(pattern string) (list []string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name := range ps.topics[byChannel] {
		if globMatch(pattern, name) {
			list = append(list, name)
		}
	}
	return list
}

// receivers counts the subscribers of a channel.
func (ps *pubsub) receivers(channel string) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.topics[byChannel][channel])
}

// distinct counts the channels, or patterns, that have subscribers.
func (ps *pubsub) distinct(kind topicKind) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.topics[kind])
}

func cmdSubscribe(r *request)    { r.subscribe(byChannel, "subscribe") }
func cmdPSubscribe(r *request)   { r.subscribe(byPattern, "psubscribe") }
func cmdUnsubscribe(r *request)  { r.unsubscribe(byChannel, "unsubscribe") }
func cmdPUnsubscribe(r *request) { r.unsubscribe(byPattern, "punsubscribe") }

// subscribe answers every channel or pattern with a reply of its own, as Redis does.
func (r *request) subscribe(kind topicKind, action string) {
	problem := r.server.pubsub.subscribe(r.session, kind, r.args[1:], func(name []byte, count int) {
		r.conn.Detach() // no message can be published to it before this has returned
		r.reply.Push(3)
		r.reply.BulkString(action)
		r.reply.Bulk(name)
		r.reply.Int(count)
	})
	if problem != "" {
		r.fail(problem)
	}
	r.updateRestricted()
}

// unsubscribe unsubscribes from the names given, or from all. Messages that were published
// before stand in front of the reply, and none comes behind it.
func (r *request) unsubscribe(kind topicKind, action string) {
	ps := &r.server.pubsub
	answer := func(name *string) {
		r.conn.FlushPushes()
		r.reply.Push(3)
		r.reply.BulkString(action)
		if name != nil {
			r.reply.BulkString(*name)
		} else {
			r.reply.Null()
		}
		r.reply.Int(r.subscriptions())
	}
	end := func(name string) {
		ps.mu.Lock()
		ps.drop(r.session, kind, name)
		ps.mu.Unlock()
		answer(&name)
	}
	for _, name := range r.args[1:] {
		end(string(name))
	}
	if len(r.args) == 1 {
		names := slices.Sorted(maps.Keys(r.topics[kind]))
		for _, name := range names {
			end(name)
		}
		if len(names) == 0 {
			answer(nil)
		}
	}
	r.updateRestricted()
}

func cmdPublish(r *request) {
	if len(r.args[1]) > channelBytesMax {
		r.fail(errChannel(len(r.args[1])))
		return
	}
	receivers := r.server.pubsub.publish(r.args[1], r.args[2])
	r.conn.FlushPushes() // a session that publishes to itself gets the message first, as from Redis
	r.reply.Int(receivers)
}

func cmdPubsubChannels(r *request) {
	if len(r.args) > 3 {
		r.fail(errPubsubChannels)
		return
	}
	pattern := "*"
	if len(r.args) == 3 {
		pattern = r.arg(2)
	}
	if len(pattern) > channelBytesMax {
		r.fail(errChannel(len(pattern)))
		return
	}
	r.reply.Strings(r.server.pubsub.channels(pattern))
}

func cmdPubsubNumSub(r *request) {
	r.reply.Array(2 * len(r.args[2:]))
	for _, channel := range r.args[2:] {
		r.reply.Bulk(channel)
		r.reply.Int(r.server.pubsub.receivers(resp.View(channel)))
	}
}

func cmdPubsubNumPat(r *request) { r.reply.Int(r.server.pubsub.distinct(byPattern)) }
