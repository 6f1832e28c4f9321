package server

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// pubsub is who has subscribed to what. A message is left in the queue of every receiver
// while the lock is held (pushes.go), so all receivers see the messages of all channels in
// one order, and neither the publisher nor anybody else waits for a receiver.
type pubsub struct {
	mu     sync.Mutex
	topics [2]map[string]map[*client]struct{} // by topicKind and name
	// subscriptions are those of all clients, and clients those who have one.
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

// subscriptions is the count of the client's channels and patterns.
func (c *client) subscriptions() int {
	return int(c.topicCounts[byChannel].Load() + c.topicCounts[byPattern].Load())
}

// isFew says whether publishing is quick whatever the channel.
func (ps *pubsub) isFew() bool { return ps.subscriptions.Load() <= publishBriefReceiverMax }

// subscribe subscribes a client to names and calls each with the client's count after every
// one of them; or it does nothing and tells the problem.
func (ps *pubsub) subscribe(c *client, kind topicKind, names [][]byte, each func(name []byte, count int)) (problem string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if problem = ps.problemWith(c, kind, names); problem != "" {
		return problem
	}
	if ps.topics[kind] == nil {
		ps.topics[kind] = map[string]map[*client]struct{}{}
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

// problemWith says which bound would be passed by a client's subscribing to names.
func (ps *pubsub) problemWith(c *client, kind topicKind, names [][]byte) string {
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

func (ps *pubsub) add(c *client, kind topicKind, name string) {
	if ps.topics[kind][name] == nil {
		ps.topics[kind][name] = map[*client]struct{}{}
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
func (ps *pubsub) unsubscribe(c *client, kind topicKind, name string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.drop(c, kind, name)
}

func (ps *pubsub) drop(c *client, kind topicKind, name string) {
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

// forget ends all of a client's subscriptions.
func (ps *pubsub) forget(c *client) {
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

// names lists a client's channels or patterns. Only the client's own goroutine changes them.
func (c *client) names(kind topicKind) []string {
	list := make([]string, 0, len(c.topics[kind]))
	for name := range c.topics[kind] {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// speak changes the protocol of a client. What has been published before goes out in the
// old one, in front of the reply that is to be written now.
func (ps *pubsub) speak(c *client, protocol int32) {
	if c.pushes == nil { // nothing can have been published to it
		c.protocol.Store(protocol)
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	c.pushes.flushInto(c)
	c.protocol.Store(protocol)
}

// publish sends a message to a channel's subscribers and then to those of patterns that
// match, and returns how many that were. Who has subscribed several times gets it as often.
func (ps *pubsub) publish(channel, message []byte) (receivers int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	send := func(to map[*client]struct{}, words ...[]byte) {
		p := publication{words: words}
		for c := range to {
			if c.pushes.put(p.in(c.protocol.Load()), "subscriber") {
				receivers++
			}
		}
	}
	if to := ps.topics[byChannel][string(channel)]; to != nil {
		send(to, []byte("message"), channel, message)
	}
	for pattern, to := range ps.topics[byPattern] {
		if globMatch(pattern, unsafeString(channel)) {
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

func (p *publication) in(protocol int32) string {
	text, kind := &p.resp2, byte('*')
	if protocol == 3 {
		text, kind = &p.resp3, '>'
	}
	if *text == "" {
		b := strconv.AppendInt([]byte{kind}, int64(len(p.words)), 10)
		b = append(b, '\r', '\n')
		for _, word := range p.words {
			b = append(b, '$')
			b = strconv.AppendInt(b, int64(len(word)), 10)
			b = append(b, '\r', '\n')
			b = append(b, word...)
			b = append(b, '\r', '\n')
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
