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
	// route is the node that the state of a name is in, or nil when none is known.
	route(name string) *node
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

// forgives says whether a question may have all its states owe less than before.
func forgives(q *engine.Question) bool {
	if q.Call != nil {
		return q.Call.Op == engine.OpRefund
	}
	return q.Reset || q.Op == engine.OpRefund
}

// changesUnseen says whether the answer to a question does not tell enough of how it changed its states for
// the cache of denials.
func changesUnseen(q *engine.Question) bool { return q.Call != nil || q.Op == engine.OpForce }

// done says that a question has its answer.
func (l *Limiter) done(i inFlight) {
	if forgives(i.Question) || i.Call != nil {
		now := l.now()
		eachForgiven(i.Question, func(name string) { l.denials.end(name, now) })
	}
	if i.ticket.left.Add(-1) == 0 {
		i.ticket.batch.Done()
	}
}

// Ask has batches answered, within Timeout.
func (l *Limiter) Ask(batches ...*engine.Batch) {
	deadline := time.Now().Add(l.tuning.Load().Timeout)
	for _, b := range batches {
		t := &ticket{batch: b, deadline: deadline}
		t.left.Store(int32(len(b.Questions)))
		l.stats.questions.Add(uint64(len(b.Questions)))
		list := make([]inFlight, 0, len(b.Questions))
		for i := range b.Questions {
			one := inFlight{Question: &b.Questions[i], ticket: t}
			eachForgiven(one.Question, l.denials.begin)
			switch {
			case one.Call != nil && len(one.Call.Parts) == 0:
				one.Call.Conclude()
			case one.Call != nil && l.options.Mode == Cluster && !l.sharesSlot(one.Question):
				one.Err = ErrCrossSlot
			default:
				list = append(list, one)
				continue
			}
			l.done(one)
		}
		l.distribute(list, (*node).put)
	}
}

// distribute gives each node its part of a list, in order.
func (l *Limiter) distribute(list []inFlight, give func(*node, []inFlight)) {
	for len(list) > 0 {
		to := l.router.route(firstState(list[0].Question))
		own, others := split(list, func(i *inFlight) bool { return l.router.route(firstState(i.Question)) == to })
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

// Known answers the last of a connection's questions at once if that needs no Redis. Those before
// it wait for their answers.
func (l *Limiter) Known(questions []engine.Question) bool {
	before, q := questions[:len(questions)-1], &questions[len(questions)-1]
	longest := l.tuning.Load().DenyCacheMax
	if longest == 0 || q.Reset || q.Call != nil || q.Op != engine.OpCheck || l.denials.size.Load() == 0 || !l.denials.answer(q, l.now(), longest) {
		return false
	}
	for i := range before { // they may change the key, and come first
		if touches(&before[i], q.Key) {
			return false
		}
	}
	l.denials.hits.Add(1)
	return true
}
