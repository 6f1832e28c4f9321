package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rlserver/rlserver/policy"
)

// checkPeriod is how often a client looks for what does not come as a reply: the end of the run, and
// replies that are late. It is also how often Progress is told.
const checkPeriod = 100 * time.Millisecond

// Run measures the targets, which take turns. It ends early when ctx does. What was measured until then
// is in the report. A target that fails says why in the report and takes no more turns.
func Run(ctx context.Context, o *Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	report := &Report{Started: time.Now(), Version: o.Version, Command: o.Command, Machine: thisMachine(), Load: o.load()}
	var targets []*target
	run := newRunName()
	for i := range o.Targets {
		t, err := open(ctx, o, i, run, report.Started)
		if err != nil && ctx.Err() == nil {
			t.Failure = t.explain(err)
		}
		targets = append(targets, t)
	}
	for round := range o.Rounds {
		for i, t := range targets {
			if t.Failure == "" && ctx.Err() == nil {
				t.turn(ctx, round, i+1+round*len(targets))
			}
		}
	}
	report.Interrupted = ctx.Err() != nil
	for _, t := range targets {
		t.close()
		report.Targets = append(report.Targets, t.Target)
	}
	return report, nil
}

// load is what the report says of the options.
func (o *Options) load() Load {
	policyText := ""
	if o.Policy != "" {
		policyText = "@" + o.Policy + ": " + policy.Definition{Rules: o.rules()}.String()
	}
	return Load{
		Policy:  policyText,
		Threads: o.Threads, Connections: o.Connections, Pipeline: o.Pipeline, Rounds: o.Rounds,
		Duration: o.Duration, Requests: o.Requests, Rate: o.Rate,
		KeySpace: string(o.KeySpace), Keys: o.Keys, Seed: o.Seed,
		Algorithm: o.Algorithm.String(), Limit: o.Limit.Limit(), Burst: o.Limit.Burst(), Period: o.Limit.Period(), Cost: o.Cost,
	}
}

// turn measures one round of a target.
func (t *target) turn(ctx context.Context, round, number int) {
	o := t.options
	p := Progress{
		Target: t.Name, Address: t.Address, Turn: number, Turns: o.Rounds * len(o.Targets), Rounds: o.Rounds,
		Duration: o.Duration, Wanted: o.Requests,
	}
	if round == 0 && (o.KeySpace == Uniform || o.KeySpace == Zipf) {
		if err := t.fill(ctx, p); err != nil {
			t.Failure = t.explain(err)
			return
		}
	}
	p.Round = round + 1
	shared := &turn{workers: len(t.workers), duration: o.Duration, end: o.Duration, depth: o.Pipeline}
	if o.Rate > 0 {
		// What is due and was held up is sent late, or else a stall at the end would not be seen.
		shared.every = time.Duration(float64(o.Threads) * float64(time.Second) / o.Rate)
		shared.end += o.Timeout
	}
	for _, w := range t.workers {
		r := rand.New(rand.NewPCG(o.Seed, uint64(number*ThreadsMax+w.index)))
		w.prepare(shared, o.KeySpace.drawer(r, o.Keys), o.Requests)
	}
	t.tellTime()
	server, client := usageOf(t.pid), ownUsage()
	err := t.work(ctx, shared, p)
	r := Round{Started: shared.begun, Client: *ownUsage().since(client), Server: usageOf(t.pid).since(server)}
	for _, w := range t.workers {
		r.Took = max(r.Took, w.last)
		if o.Rate > 0 && err == nil && ctx.Err() == nil {
			r.Unsent += w.quota - w.issued
		}
	}
	total := &shared.series.total
	r.Requests, r.Allowed, r.Denied, r.Undecided = total.requests, total.allowed, total.denied, total.undecided
	r.Latency, r.Series = shared.series.latency(), shared.series.points(r.Took)
	t.pass(&r)
	if r.Requests > 0 {
		t.Rounds = append(t.Rounds, r)
	}
	if err != nil {
		t.Failure = t.explain(err)
	}
}

// A fill asks for each key once before anything is measured, up to fillKeysMax. So no round pays for
// making them.
const (
	fillKeysMax = 10_000_000
	fillDepth   = 64
)

func (t *target) fill(ctx context.Context, p Progress) error {
	t.tellTime()
	p.Duration, p.Wanted = 0, min(t.options.Keys, fillKeysMax)
	shared := &turn{workers: len(t.workers), depth: fillDepth}
	for _, w := range t.workers {
		w.prepare(shared, func(ticket int64) int64 { return ticket }, p.Wanted)
		w.before = 0
	}
	return t.work(ctx, shared, p)
}

// pass passes judgement on what was admitted so far.
func (t *target) pass(r *Round) {
	if len(t.judges) == 0 {
		// A key that is asked for once may have what the burst allows.
		r.Judged = t.kind.rule != nil && t.options.KeySpace == New
		return
	}
	t.tellTime()
	r.Judged = true
	for _, j := range t.judges {
		for _, v := range j.Violations() {
			r.Violations = append(r.Violations, Violation{keyName(t.prefix, v.Key), v.Admitted, v.Span, v.Allowed})
		}
		r.Judged, r.Unjudged = r.Judged && j.Err() == nil, max(r.Unjudged, j.Unjudged())
	}
}

// work has the workers work, and tells of the progress meanwhile.
func (t *target) work(ctx context.Context, shared *turn, p Progress) error {
	shared.timeout, shared.request = t.options.Timeout, t.request
	shared.series, shared.begun = newSeries(shared.duration), time.Now()
	shared.offset = shared.begun.Sub(t.started)
	errs := make([]error, len(t.workers))
	var running sync.WaitGroup
	for i, w := range t.workers {
		running.Go(func() {
			if errs[i] = w.run(); errs[i] != nil {
				shared.stopped.Store(true)
			}
			w.flush(w.last)
			for _, j := range w.judges {
				j.Flush()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	tick := time.NewTicker(checkPeriod)
	defer tick.Stop()
	interrupted := ctx.Done()
	for !p.Done {
		select {
		case <-interrupted:
			shared.stopped.Store(true)
			interrupted = nil
		case <-done:
			p.Done = true
		case <-tick.C:
		}
		if t.options.Progress != nil {
			p.Elapsed = shared.now()
			p.Requests, p.Last = shared.series.progress()
			t.options.Progress(p)
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
