package wire

// The replies of the connections that are served in one turn of an event loop leave together at its
// end. A peer that waits for several of them is woken once, and not for each. It then has more to
// read, and sends more at once.

// gathering has the replies of a turn that are yet to be sent.
type gathering struct {
	bytes   []byte
	replies []gathered
}

// gathered are the replies of a socket, up to end in bytes.
type gathered struct {
	so  *socket
	end int
}

// gatheredBytesMax is how many bytes of replies gather. Where there are more, to send them takes
// longer than to wake the peer, which may as well begin to read. It is also how many bytes of commands
// of another connection they wait for at most.
const gatheredBytesMax = 4 << 10

// mayGather says whether the replies in Buf can leave later: the connection goes on as ever, and they
// are few.
func (so *socket) mayGather() bool {
	c := so.conn
	return !c.slow && !c.detaching && so.unsent.bytes == 0 && len(c.Buf) <= gatheredBytesMax/2
}

// gather has the replies in Buf leave at the end of the turn.
func (l *loop) gather(so *socket) {
	c, g := so.conn, &l.gathering
	if len(c.Buf) == 0 {
		return
	}
	g.bytes = append(g.bytes, c.Buf...)
	g.replies = append(g.replies, gathered{so, len(g.bytes)})
	so.gathered = true
	c.Buf, c.replyStart = c.Buf[:0], 0
	if len(g.bytes) > gatheredBytesMax {
		l.sendGathered()
	}
}

// sendGathered sends the replies that have gathered.
func (l *loop) sendGathered() {
	g := &l.gathering
	start := 0
	for _, r := range g.replies {
		r.so.deliver(g.bytes[start:r.end])
		start = r.end
	}
	clear(g.replies)
	g.bytes, g.replies = g.bytes[:0], g.replies[:0]
}

// deliver sends replies that had gathered.
func (so *socket) deliver(replies []byte) {
	if so.gathered = false; so.fd < 0 {
		return
	}
	if err := so.send(replies); err != nil {
		so.conn.closed = true
		so.part()
	} else if so.unsent.bytes > 0 {
		so.rearm()
	}
}
