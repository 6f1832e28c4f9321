package server

func cmdSubscribe(r *request)    { r.subscribe(byChannel, "subscribe") }
func cmdPSubscribe(r *request)   { r.subscribe(byPattern, "psubscribe") }
func cmdUnsubscribe(r *request)  { r.unsubscribe(byChannel, "unsubscribe") }
func cmdPUnsubscribe(r *request) { r.unsubscribe(byPattern, "punsubscribe") }

// subscribe answers every channel or pattern with a reply of its own, as Redis does.
func (r *request) subscribe(kind topicKind, action string) {
	problem := r.server.pubsub.subscribe(r.client, kind, r.args[1:], func(name []byte, count int) {
		r.detach() // nobody has published to it before this has returned
		r.writePush(3)
		r.conn.WriteBulkString(action)
		r.conn.WriteBulk(name)
		r.conn.WriteInt(count)
	})
	if problem != "" {
		r.fail(problem)
	}
	r.settle()
}

// unsubscribe unsubscribes from the names given, or from all. Messages that were published
// before stand in front of the reply, and none comes behind it.
func (r *request) unsubscribe(kind topicKind, action string) {
	answer := func(name *string) {
		r.pushes.flushInto(r.client)
		r.writePush(3)
		r.conn.WriteBulkString(action)
		if name != nil {
			r.conn.WriteBulkString(*name)
		} else {
			r.writeNull()
		}
		r.conn.WriteInt(r.subscriptions())
	}
	end := func(name string) {
		r.server.pubsub.unsubscribe(r.client, kind, name)
		answer(&name)
	}
	for _, name := range r.args[1:] {
		end(string(name))
	}
	if len(r.args) == 1 {
		names := r.names(kind)
		for _, name := range names {
			end(name)
		}
		if len(names) == 0 {
			answer(nil)
		}
	}
	r.settle()
}

func cmdPublish(r *request) {
	if len(r.args[1]) > channelBytesMax {
		r.fail(errChannel(len(r.args[1])))
		return
	}
	receivers := r.server.pubsub.publish(r.args[1], r.args[2])
	r.pushes.flushInto(r.client) // who publishes to itself gets the message first, as from Redis
	r.conn.WriteInt(receivers)
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
	r.writeStrings(r.server.pubsub.channels(pattern))
}

func cmdPubsubNumSub(r *request) {
	r.conn.WriteArray(2 * len(r.args[2:]))
	for _, channel := range r.args[2:] {
		r.conn.WriteBulk(channel)
		r.conn.WriteInt(r.server.pubsub.receivers(unsafeString(channel)))
	}
}

func cmdPubsubNumPat(r *request) { r.conn.WriteInt(r.server.pubsub.distinct(byPattern)) }
