package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/bench/judge"
)

// A turn is one round of one target, as its workers share it.
type turn struct {
	begun    time.Time     // of the turn
	offset   time.Duration // of its start, from the start of the run: the judge's clock
	duration time.Duration // until no more requests are due; 0: until quotas are used up
	end      time.Duration // when the last one may be sent, where there is a duration
	every    time.Duration // between requests of a worker in an open loop; 0: closed
	timeout  time.Duration
	workers  int
	depth    int // requests that a connection sends before it waits for replies
	request  request
	series   *series
	stopped  atomic.Bool // no more requests are to be sent
}

func (t *turn) now() time.Duration { return time.Since(t.begun) }

// A worker is a thread of the client: some connections, and what their replies told. Where each
// connection has a goroutine, they share the worker.
type worker struct {
	mu    sync.Mutex // only held where each connection has a goroutine
	turn  *turn
	index int
	draw  func(ticket int64) int64
	read  func(*reply) verdict
	// judges are told of admissions; none: they are not judged.
	judges []*judge.Witness
	reply  reply
	conns  []*conn
	tally  tally

	before  int64 // requests of the turns before
	issued  int64 // requests so far
	quota   int64 // requests at most
	since   time.Duration
	spanEnd time.Duration
	last    time.Duration // of the last reply
}

// begin has a connection begin a batch. It returns false if there is nothing to ask now.
func (w *worker) begin(c *conn) bool {
	t := w.turn
	now := t.now()
	n := min(int64(t.depth), w.quota-w.issued)
	if t.every > 0 {
		if now < w.due() {
			return false
		}
		n = min(n, int64((now-w.phase())/t.every)+1-w.issued)
	}
	if n <= 0 || w.isOver(now) {
		return false
	}
	c.at, c.asked, c.answered, c.sent, c.end = now, int(n), 0, 0, int(n)*len(t.request.bytes)
	for i := range int(n) {
		key := w.draw((w.before+w.issued)*int64(t.workers) + int64(w.index))
		c.keys[i] = key
		if t.request.digits >= 0 {
			putDigits(c.out[i*len(t.request.bytes)+t.request.digits:], key)
		}
		c.intended[i] = w.due()
		w.issued++
	}
	return true
}

// isOver says whether no request is to be sent any more.
func (w *worker) isOver(now time.Duration) bool {
	t := w.turn
	return t.stopped.Load() || w.issued >= w.quota || t.duration > 0 && now >= t.end
}

// phase is when the worker's first request of an open loop is to be sent: workers take turns.
func (w *worker) phase() time.Duration {
	return w.turn.every * time.Duration(w.index) / time.Duration(w.turn.workers)
}

// due is when the next request of an open loop is to be sent.
func (w *worker) due() time.Duration { return w.phase() + w.turn.every*time.Duration(w.issued) }

// count counts the reply to a request that asked for a key.
func (w *worker) count(v verdict, key int64, sent, now time.Duration) {
	if now >= w.spanEnd {
		w.flush(now)
	}
	w.tally.requests++
	switch v {
	case allowed:
		w.tally.allowed++
		for _, j := range w.judges {
			j.Admitted(key, w.turn.offset+sent, w.turn.offset+now)
		}
	case denied:
		w.tally.denied++
	case undecided, notUnderstood:
		w.tally.undecided++
	}
}

// took counts the time of n requests.
func (w *worker) took(d time.Duration, n int64) {
	_ = w.tally.latencies.RecordValues(min(max(int64(d), 0), latencyMax), n) // which is in range
}

// flush adds what was tallied to the turn's series.
func (w *worker) flush(now time.Duration) {
	w.spanEnd = w.turn.series.add(&w.tally, w.since, now)
	w.tally.reset()
	w.since = now
}

// isLate says whether a connection has waited too long for a reply.
func (c *conn) isLate(now time.Duration) bool {
	return c.isWaiting() && now-c.at > c.worker.turn.timeout
}

// prepare makes the worker ready for a turn in which all workers send so many requests; 0: as many as
// they can.
func (w *worker) prepare(t *turn, draw func(ticket int64) int64, requests int64) {
	w.before += w.issued
	w.turn, w.draw, w.issued, w.since, w.spanEnd, w.last = t, draw, 0, 0, 0, 0
	switch w.quota = RequestsMax; {
	case requests > 0:
		w.quota = (requests + int64(t.workers-1-w.index)) / int64(t.workers)
	case t.every > 0:
		w.quota = int64((t.duration - w.phase() + t.every - 1) / t.every)
	}
}
