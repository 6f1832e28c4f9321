package lua

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
)

// A Limiter has Redis decide. Its methods may be called from any number of goroutines, and
// none of them waits for Redis.
type Limiter struct {
	options Options
	tuning  atomic.Pointer[Tuning]
	router  router
	denials *denyCache
	stats   stats
	started time.Time

	life    context.Context // until Close
	end     context.CancelFunc
	running sync.WaitGroup
}

// A router knows which Redis a key is in.
type router interface {
	// route is the node that a key is in, prefix and all, or nil when none is known.
	route(key string) *node
	// at is the node at an address that another node has named, or nil.
	at(addr string) *node
	// refresh looks again, soon, where keys are.
	refresh()
	// serves says whether keys are sent to a node still.
	serves(n *node) bool
	nodes() []*node
	start()
	close()
}

// New makes a limiter. It begins to connect, and serves its fallback's answers until it has;
// an error means that the options are wrong.
func New(o Options) (*Limiter, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Pipelines == 0 {
		o.Pipelines = PipelinesDefault
	}
	o.LogLimitMax = cmp.Or(o.LogLimitMax, engine.LogLimitDefault)
	redis.SetLogger(libraryLog{o.Logger})
	l := &Limiter{options: o, denials: newDenyCache(o.DenyCacheSize), started: time.Now()}
	l.life, l.end = context.WithCancel(context.Background())
	l.Tune(o.Tuning)
	if o.Mode == Cluster {
		l.router = newClusterRouter(l)
	} else {
		l.router = singleRouter{newNode(l, o.Addrs[0])}
	}
	l.router.start()
	return l, nil
}

// Tune changes what can be changed while running.
func (l *Limiter) Tune(t Tuning) { l.tuning.Store(&t) }

// Close ends the limiter. Questions that are under way are answered by the fallback.
func (l *Limiter) Close() {
	l.end()
	l.router.close()
	l.running.Wait()
}

// now is the limiter's own clock: ns since it began, never backwards.
func (l *Limiter) now() time.Duration { return time.Since(l.started) }

// A ticket stands for a batch until all its questions are answered.
type ticket struct {
	batch    *engine.Batch
	left     atomic.Int32
	deadline time.Time
}

// An inFlight is a question on its way to a node and back.
type inFlight struct {
	*engine.Question
	ticket  *ticket
	problem error // why it is sent again
}

// done says that a question has its answer.
func (l *Limiter) done(i inFlight) {
	if i.Reset || i.Op == engine.OpRefund {
		l.denials.drop(i.Key, l.now()) // a question that was denied before may pass now
	}
	if i.ticket.left.Add(-1) == 0 {
		i.ticket.batch.Done()
	}
}

// Ask has batches answered, within Timeout. Known must have seen each question
// before, in the order of each client's questions.
func (l *Limiter) Ask(batches ...*engine.Batch) {
	deadline := time.Now().Add(l.tuning.Load().Timeout)
	for _, b := range batches {
		t := &ticket{batch: b, deadline: deadline}
		t.left.Store(int32(len(b.Questions)))
		l.stats.questions.Add(uint64(len(b.Questions)))
		list := make([]inFlight, len(b.Questions))
		for i := range b.Questions {
			list[i] = inFlight{Question: &b.Questions[i], ticket: t}
		}
		l.distribute(list, (*node).put)
	}
}

// distribute gives each node its part of a list, in order.
func (l *Limiter) distribute(list []inFlight, give func(*node, []inFlight)) {
	for len(list) > 0 {
		to := l.router.route(list[0].Key)
		own, others := split(list, func(i *inFlight) bool { return l.router.route(i.Key) == to })
		if to != nil {
			give(to, own)
		} else {
			l.router.refresh()
			l.degrade(own, "no node of the cluster is known for the key")
		}
		list = others
	}
}

// split parts a list in those that belong and the others, in order.
func split(list []inFlight, belongs func(*inFlight) bool) (own, others []inFlight) {
	same := 0
	for same < len(list) && belongs(&list[same]) {
		same++
	}
	if same == len(list) { // most often: nothing is copied
		return list, nil
	}
	own = append(own, list[:same]...)
	for i := range list[same:] {
		if one := &list[same+i]; belongs(one) {
			own = append(own, *one)
		} else {
			others = append(others, *one)
		}
	}
	return own, others
}

// Known answers a question at once if that needs no Redis, and is told of every question before
// it is sent: after a refund or a reset nothing is known of a key.
func (l *Limiter) Known(q *engine.Question) bool {
	if q.Reset || q.Op == engine.OpRefund {
		l.denials.drop(q.Key, l.now())
		return false
	}
	longest := l.tuning.Load().DenyCacheMax
	return longest > 0 && q.Op == engine.OpCheck && l.denials.answer(q, l.now(), longest)
}
