package lua

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A kind of failure says what to do about it.
type kind int

const (
	unclear    kind = iota // no answer, and perhaps it was decided
	foreignKey             // the key holds something else
	noScript               // not decided: Redis does not have the script
	notNow                 // not decided: Redis cannot at the moment, or cannot be reached
	otherNode              // not decided: the key is, or comes to be, on another node
	refused                // not decided, and asking again would not help
	noEntry                // not decided: the connection is not let in
)

// kindOf sorts the errors of a command. Those of Redis itself, sent in place of the script's
// reply, mean that nothing was decided.
func kindOf(err error, mode Mode) kind {
	var reply redis.Error
	if !errors.As(err, &reply) {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" && !op.Timeout() {
			return notNow
		}
		return unclear
	}
	text := err.Error()
	addr, _ := named(err)
	switch {
	case strings.Contains(text, "WRONGTYPE"): // older ones put their own words before it
		return foreignKey
	case redis.HasErrorPrefix(err, "NOSCRIPT"):
		return noScript
	case addr != "":
		if mode == Cluster {
			return otherNode
		}
		return refused
	case redis.IsAuthError(err):
		return noEntry
	case strings.Contains(text, "READONLY "), redis.IsLoadingError(err), redis.IsClusterDownError(err), redis.IsTryAgainError(err),
		redis.IsMasterDownError(err), redis.IsMaxClientsError(err), redis.HasErrorPrefix(err, "BUSY"), redis.HasErrorPrefix(err, "NOREPLICAS"):
		return notNow
	}
	return refused
}

// The pauses between asking and asking again.
const (
	retryPauseMin = 5 * time.Millisecond
	retryPauseMax = 50 * time.Millisecond
)

// retry sends questions that were not decided again, to where their keys are then, until the
// callers have waited long enough. It returns at once. from is the node that could not decide.
func (l *Limiter) retry(from *node, list []inFlight) {
	if l.life.Err() != nil {
		l.degrade(list, "the server is stopping")
		return
	}
	l.running.Go(func() {
		pause := retryPauseMin
		if isOnOtherNode(list[0].problem) {
			pause = 0
		}
		for len(list) > 0 {
			l.router.refresh()
			if !l.wait(pause, earliest(list)) {
				l.giveUp(from, list)
				return
			}
			l.stats.retries.Add(uint64(len(list)))
			var still []inFlight
			l.redirect(list, func(n *node, part []inFlight, asking bool) {
				if undecided := n.send(part, sending{asking: asking}); len(undecided) > 0 {
					still, from = append(still, undecided...), n
				}
			})
			list = still
			pause = min(max(2*pause, retryPauseMin), retryPauseMax)
		}
	})
}

// wait waits, and returns false when the callers cannot wait so long.
func (l *Limiter) wait(pause time.Duration, deadline time.Time) bool {
	if time.Until(deadline) <= pause {
		return false
	}
	if pause == 0 {
		return true
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.life.Done():
		return false
	case <-timer.C:
		return true
	}
}

func isOnOtherNode(err error) bool {
	addr, _ := named(err)
	return addr != "" || errors.Is(err, errClosed)
}

// redirect gives each question to the node that its last answer has named, or else to the one
// that its state is known to be on. What is in one slot goes where the first of it goes, and stays in
// order: of a slot that moves, questions may have been answered ASK, MOVED, or not yet.
func (l *Limiter) redirect(list []inFlight, give func(n *node, part []inFlight, asking bool)) {
	var firsts map[int]string // of a cluster: the address that the first question of each slot was sent to
	if l.options.Mode == Cluster {
		firsts = map[int]string{}
		for i := range list {
			slot := l.slotOf(firstState(list[i].Question))
			if _, known := firsts[slot]; !known {
				firsts[slot], _ = named(list[i].problem)
			}
		}
	}
	to := func(i *inFlight) string { return firsts[l.slotOf(firstState(i.Question))] }
	for len(list) > 0 {
		// ASKING does no harm where it is not needed.
		addr, ask := to(&list[0]), false
		same, others := split(list, func(i *inFlight) bool {
			_, askOther := named(i.problem)
			isSame := to(i) == addr
			ask = ask || isSame && askOther
			return isSame
		})
		if n := l.router.at(addr); n != nil {
			give(n, same, ask)
		} else {
			l.distribute(same, func(n *node, part []inFlight) { give(n, part, false) })
		}
		list = others
	}
}

// named is the node that an error sends to, and whether only for this once.
func named(err error) (addr string, ask bool) {
	if addr, ask = redis.IsAskError(err); ask {
		return addr, true
	}
	addr, _ = redis.IsMovedError(err)
	return addr, false
}

// giveUp answers questions by the fallback. Where a Redis could not decide for as long as
// callers wait, the next ones need not wait for it as well.
func (l *Limiter) giveUp(from *node, list []inFlight) {
	problem := list[0].problem
	why := "Redis at " + from.addr + " cannot decide: " + problem.Error()
	l.stats.errors.Add(uint64(len(list)))
	if !isOnOtherNode(problem) {
		from.trip(why)
	}
	l.degrade(list, why)
}

// An outage is why and since when a circuit is open.
type outage struct {
	reason string
	since  time.Time
}

func (o *outage) why() string {
	return o.reason + "; not asked again until it answers a probe"
}

// The time between two probes while a circuit is open, and the longest that one may take.
const (
	probePause   = 100 * time.Millisecond
	probeTimeout = time.Second
)

// trip opens the circuit: until a probe is answered, no caller waits for this Redis.
func (n *node) trip(why string) {
	l := n.limiter
	if l.life.Err() != nil || !n.outage.CompareAndSwap(nil, &outage{why, time.Now()}) {
		return
	}
	l.options.Logger.Warn("Redis does not decide", "addr", n.addr, "reason", why, "answering", string(l.tuning.Load().OnFailure))
	n.mu.Lock()
	queue := n.queue
	n.queue = nil
	n.mu.Unlock()
	for _, list := range queue {
		l.degrade(list, n.outage.Load().why())
	}
	l.running.Go(n.probe)
}

// probe closes the circuit when Redis is well again.
func (n *node) probe() {
	l := n.limiter
	for l.life.Err() == nil && l.router.serves(n) {
		l.router.refresh()
		select {
		case <-l.life.Done():
			return
		case <-time.After(probePause):
		}
		if n.isWell() {
			out := n.outage.Swap(nil)
			l.options.Logger.Info("Redis decides again", "addr", n.addr, "after", time.Since(out.since).Round(time.Millisecond))
			return
		}
	}
}

// isWell asks a Redis whether it would decide: that it answers, is a primary, and its cluster
// is whole. What the user may not ask counts as well.
func (n *node) isWell() bool {
	ctx, cancel := context.WithTimeout(n.limiter.life, probeTimeout)
	defer cancel()
	pipeline := n.client.Pipeline()
	ping, role := pipeline.Ping(ctx), pipeline.Do(ctx, "role")
	var cluster *redis.StringCmd
	if n.limiter.options.Mode == Cluster {
		cluster = pipeline.ClusterInfo(ctx)
	}
	_, _ = pipeline.Exec(ctx)
	// Where the connection is not let in, the ping is left without reply and error.
	if ping.Val() != "PONG" && !redis.IsPermissionError(ping.Err()) {
		return false
	}
	if list, err := role.Slice(); err == nil && len(list) > 0 && list[0] != "master" {
		return false
	}
	return cluster == nil || cluster.Err() != nil || strings.Contains(cluster.Val(), "cluster_state:ok")
}

// complaints keep the log from being told the same over and over.
type complaints struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// complaintPause is how long the log is not told of another refusal of the same kind.
const complaintPause = time.Minute

// complain logs what Redis says against a question.
func (n *node) complain(err error) {
	code, _, _ := strings.Cut(err.Error(), " ")
	c := &n.complaints
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last[code]) < complaintPause {
		return
	}
	if c.last == nil {
		c.last = map[string]time.Time{}
	}
	c.last[code] = time.Now()
	n.limiter.options.Logger.Warn("Redis refuses to decide", "addr", n.addr, "error", err)
}
