package bench

import (
	"fmt"
	"net"
	"time"
)

// A conn is one connection of a target. It sends a batch of requests, as many as the pipeline is deep,
// and the next one when all replies are there. How its bytes move is not its business: see loop and
// pump.
type conn struct {
	worker *worker
	net    net.Conn // nil where the connection is a file descriptor of a loop
	fd     int

	out  []byte // the requests of a full batch, one behind the other
	sent int    // how much of the batch has been written
	end  int    // where the batch ends in out
	in   []byte
	have int // bytes in in

	at       time.Duration // when the batch was sent
	asked    int           // requests of the batch
	answered int
	keys     []int64         // of the batch
	intended []time.Duration // when each was to be sent; in a closed loop, that is at
}

// inBytes is the room for replies that a connection begins with.
const inBytes = 4 << 10

func newConn(w *worker, r request, depth int) *conn {
	c := &conn{worker: w, in: make([]byte, inBytes), keys: make([]int64, depth), intended: make([]time.Duration, depth)}
	for range depth {
		c.out = append(c.out, r.bytes...)
	}
	return c
}

// pending are the bytes of the batch that are still to be written.
func (c *conn) pending() []byte { return c.out[c.sent:c.end] }

// room is where the next bytes are read to.
func (c *conn) room() []byte {
	if c.have == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	return c.in[c.have:]
}

// isWaiting says whether replies are missing.
func (c *conn) isWaiting() bool { return c.answered < c.asked }

// received takes n bytes that were read at an instant. It returns an error that tells what the server
// said where that is no answer.
func (c *conn) received(n int, now time.Duration) error {
	c.have += n
	w, used, first := c.worker, 0, c.answered
	for c.answered < c.asked {
		size, err := w.reply.parse(c.in[used:c.have])
		if err != nil {
			return fmt.Errorf("%w: %s", err, excerpt(c.in[used:c.have]))
		}
		if size == 0 {
			break
		}
		used += size
		v := w.read(&w.reply)
		if v == notUnderstood {
			return answerError{w.reply.kind == '-', w.reply.show()}
		}
		w.count(v, c.keys[c.answered], c.at, now)
		if w.turn.every > 0 {
			w.took(now-c.intended[c.answered], 1)
		}
		c.answered++
	}
	if c.answered == c.asked && used < c.have {
		return unasked(&w.reply, c.in[used:c.have])
	}
	if w.turn.every == 0 && c.answered > first {
		w.took(now-c.at, int64(c.answered-first))
	}
	c.have = copy(c.in, c.in[used:c.have])
	w.last = now
	return nil
}
