package lua

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// A node is one Redis, and what waits for it.
//
// Questions that arrive while all pipelines are under way leave together in the next one. So
// the busier the Redis is, the more are in one, and the less each costs. A batch's questions stay
// in one pipeline, in order.
type node struct {
	limiter *Limiter
	addr    string
	client  *redis.Client

	mu     sync.Mutex
	queue  [][]inFlight
	filled sync.Cond // the queue is, or the node is closed
	closed bool

	// outage is nil while the circuit is closed.
	outage atomic.Pointer[outage]
	// losing is since when pipelines have been lost and none was decided (ns of the limiter's
	// clock), or 0.
	losing     atomic.Int64
	complaints complaints
}

// pipelineMax bounds the questions of one pipeline; a batch of more leaves in several. Redis
// answers all that it has read before it writes the first reply: with long pipelines all of
// them return at once, and Redis has nothing to do until the next are there. With short ones
// some wait here meanwhile. Measured with 50 connections of 16 commands: up to 1000 a
// pipeline keeps Redis busy 86 % of the time, up to 100 98 %.
const pipelineMax = 100

func newNode(l *Limiter, addr string) *node {
	n := &node{limiter: l, addr: addr, client: l.options.client(addr)}
	n.filled.L = &n.mu
	return n
}

func (n *node) start() {
	for range n.limiter.options.Pipelines {
		n.limiter.running.Go(n.work)
	}
}

// close has questions that wait sent to other nodes, or answered by the fallback.
func (n *node) close() {
	n.mu.Lock()
	n.closed = true
	queue := n.queue
	n.queue = nil
	n.filled.Broadcast()
	n.mu.Unlock()
	for _, list := range queue {
		n.pass(list)
	}
}

// pass has questions sent to where their keys are by now.
func (n *node) pass(list []inFlight) {
	for i := range list {
		list[i].problem = errClosed
	}
	n.limiter.retry(n, list)
}

var errClosed = errors.New("the node is not used any more")

// put has questions sent with the next pipeline, or answered at once while the circuit is open.
func (n *node) put(list []inFlight) {
	if out := n.outage.Load(); out != nil {
		n.limiter.degrade(list, out.why())
		return
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		n.pass(list)
		return
	}
	n.queue = append(n.queue, list)
	n.filled.Signal()
	n.mu.Unlock()
}

// nextPipeline waits for questions and returns those of the next pipeline, of each batch all or
// none; nil is the end.
func (n *node) nextPipeline() (list []inFlight) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queue) == 0 && !n.closed {
		n.filled.Wait()
	}
	if n.closed {
		return nil
	}
	taken := 0
	for taken < len(n.queue) && (taken == 0 || len(list)+len(n.queue[taken]) <= pipelineMax) {
		list = append(list, n.queue[taken]...)
		taken++
	}
	n.queue = n.queue[taken:]
	if len(n.queue) == 0 {
		n.queue = nil
	} else {
		n.filled.Signal()
	}
	return list
}

// work sends one pipeline after the other.
func (n *node) work() {
	for {
		list := n.nextPipeline()
		if list == nil {
			return
		}
		for list = n.inTime(list); len(list) > 0; {
			now := list[:min(len(list), pipelineMax)]
			list = list[len(now):]
			if undecided := n.send(now, sending{}); len(undecided) > 0 {
				// The questions behind must not overtake.
				for i := range list {
					list[i].problem = errBehind
				}
				n.limiter.retry(n, append(undecided, list...))
				list = nil
			}
		}
	}
}

var errBehind = errors.New("questions before this one have to be sent again")

// inTime answers questions for which there is no time left by the fallback, and returns the
// others. To send them as well would have Redis count what the caller is told was not counted.
func (n *node) inTime(list []inFlight) []inFlight {
	l := n.limiter
	timeout := l.tuning.Load().Timeout
	last := time.Now().Add(min(time.Duration(l.stats.latency.Load())*time.Microsecond, timeout/4))
	others, late := split(list, func(i *inFlight) bool { return !i.ticket.deadline.Before(last) })
	if len(late) == 0 {
		return others
	}
	l.stats.timeouts.Add(uint64(len(late)))
	l.degrade(late, fmt.Sprintf("Redis at %s has more to do than it can within %v", n.addr, timeout))
	return others
}

// A sending says how a pipeline is sent.
type sending struct {
	asking  bool // with ASKING, to the node that a slot moves to
	scripts bool // with all scripts before, because the node lacks some
}

// send sends questions in one pipeline and sees to their answers. It returns, in order, those
// that are known not to have been decided and may be yet.
func (n *node) send(list []inFlight, how sending) (undecided []inFlight) {
	l := n.limiter
	if out := n.outage.Load(); out != nil {
		l.degrade(list, out.why())
		return nil
	}
	ctx, cancel := context.WithDeadline(l.life, earliest(list))
	defer cancel()
	pipeline := n.client.Pipeline()
	if how.scripts {
		for _, s := range scripts {
			pipeline.ScriptLoad(ctx, s.source)
		}
	}
	commands := make([]*redis.Cmd, len(list))
	for i := range list {
		if how.asking {
			pipeline.Do(ctx, "asking")
		}
		clock := int64(-1)
		if l.options.Clock != nil {
			clock = l.options.Clock()
		}
		commands[i] = redis.NewCmd(ctx, command(list[i].Question, &l.options, clock)...)
		_ = pipeline.Process(ctx, commands[i]) // queued; the error is the command's own
	}
	sent := l.now()
	_, err := pipeline.Exec(ctx)
	answered := l.now()
	l.stats.took(answered - sent)
	for _, c := range commands {
		// Where a connection is not let in, the commands are left without reply and error.
		if c.Err() == nil && c.Val() == nil {
			c.SetErr(cmp.Or(err, errNoReply))
		}
	}
	return n.readReplies(list, commands, sent, answered, how)
}

var errNoReply = errors.New("there was no reply")

func earliest(list []inFlight) time.Time {
	return slices.MinFunc(list, func(a, b inFlight) int { return a.ticket.deadline.Compare(b.ticket.deadline) }).ticket.deadline
}

// readReplies sees to the answers of a pipeline.
func (n *node) readReplies(list []inFlight, commands []*redis.Cmd, sent, answered time.Duration, how sending) (undecided []inFlight) {
	l := n.limiter
	var unscripted, lost []inFlight
	var loss error
	decides := false // or would, if it had the script, or the key
	for at, i := range list {
		reply, err := commands[at].Result()
		if err == nil {
			decides = true
			n.answer(i, reply, sent, answered)
			continue
		}
		failure := kindOf(err, l.options.Mode)
		decides = decides || failure != notNow
		switch failure {
		case foreignKey:
			i.Err = refusal(i.Question, err.Error())
			l.denials.refused(i.Question, answered)
			l.done(i)
		case noScript:
			i.problem = errNoScript
			unscripted = append(unscripted, i)
		case notNow, otherNode:
			i.problem = err
			undecided = append(undecided, i)
		case refused:
			l.stats.errors.Add(1)
			n.complain(err)
			l.degrade([]inFlight{i}, "Redis refuses: "+err.Error())
		case noEntry:
			n.trip("Redis at " + n.addr + " does not let rlserver in: " + err.Error())
			fallthrough
		case unclear:
			lost, loss = append(lost, i), err
		}
	}
	if len(lost) > 0 {
		n.lose(lost, loss, answered-sent)
	} else if decides {
		n.losing.Store(0)
	}
	if len(unscripted) > 0 && !how.scripts {
		how.scripts = true
		undecided = append(undecided, n.send(unscripted, how)...)
	} else {
		undecided = append(undecided, unscripted...)
	}
	return undecided
}

var errNoScript = errors.New("it does not keep the scripts that it is given")

// answer turns a script's reply into the question's answer.
func (n *node) answer(i inFlight, reply any, sent, answered time.Duration) {
	l := n.limiter
	i.Err = nil
	told, err := explain(i.Question, reply)
	if err != nil {
		l.stats.errors.Add(1)
		n.complain(err)
		l.degrade([]inFlight{i}, err.Error())
		return
	}
	switch {
	case changesUnseen(i.Question):
		l.denials.changed(i.Question, answered)
	case forgives(i.Question):
	default:
		l.denials.learn(i.Question, sent, answered, told, l.tuning.Load().DenyCacheMax > 0)
	}
	l.done(i)
}

// lose sees to questions that got no answer: it is not known whether they were decided, so
// they are not sent again. The circuit opens when Redis has said nothing for half of the time
// that callers wait (one that was given less than that may merely have too much to do), or when
// pipelines have been lost for as long as they wait, and none decided. One that is lost may be of
// a primary that has died, whose replica is about to take over; a Redis that loads may say so in
// time now and then, and is as little use.
func (n *node) lose(list []inFlight, err error, waited time.Duration) {
	l := n.limiter
	timeout := l.tuning.Load().Timeout
	why := fmt.Sprintf("the connection to Redis at %s was lost: %v", n.addr, err)
	late := isTimeout(err)
	if late {
		l.stats.timeouts.Add(uint64(len(list)))
		why = fmt.Sprintf("Redis at %s has not answered within %v", n.addr, timeout)
	} else {
		l.stats.errors.Add(uint64(len(list)))
	}
	now := l.now()
	for _, i := range list { // perhaps it has taken units
		l.denials.changed(i.Question, now)
	}
	n.losing.CompareAndSwap(0, int64(now))
	if late && waited >= timeout/2 || now-time.Duration(n.losing.Load()) >= timeout {
		n.trip(why)
	}
	l.degrade(list, why)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
