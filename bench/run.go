package bench

import (
	"context"
	"sync"
	"time"
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
	for i := range o.Targets {
		t, err := open(ctx, o, i)
		if err != nil && ctx.Err() == nil {
			t.Failure = t.explain(err)
		}
		targets = append(targets, t)
	}
	for round := range o.Rounds {
		for i, t := range targets {
			if t.Failure == "" && ctx.Err() == nil {
				t.turn(ctx, report.Started, round, i+1+round*len(targets))
			}
		}
	}
	for _, t := range targets {
		t.close()
		report.Targets = append(report.Targets, t.Target)
	}
	return report, nil
}

// load is what the report says of the options.
func (o *Options) load() Load {
	return Load{
		Threads: o.Threads, Connections: o.Connections, Pipeline: o.Pipeline, Rounds: o.Rounds,
		Duration: o.Duration, Requests: o.Requests, Rate: o.Rate,
		KeySpace: string(o.KeySpace), Keys: o.Keys, Seed: o.Seed,
		Algorithm: o.Algorithm.String(), Limit: o.Limit.Limit(), Burst: o.Limit.Burst(), Period: o.Limit.Period(), Cost: o.Cost,
	}
}

// turn measures one round of a target.
func (t *target) turn(ctx context.Context, started time.Time, round, number int) {
	o := t.options
	shared := &turn{
		begun: time.Now(), duration: o.Duration, timeout: o.Timeout,
		workers: o.Threads, request: t.request, series: newSeries(o.Duration),
	}
	shared.offset = shared.begun.Sub(started)
	if o.Rate > 0 {
		shared.every = time.Duration(float64(o.Threads) * float64(time.Second) / o.Rate)
	}
	for _, w := range t.workers {
		w.prepare(shared, o, round)
	}
	server, client := usageOf(t.pid), ownUsage()
	shared.begun = time.Now()
	err := t.work(ctx, shared, Progress{
		Target: t.Name, Address: t.Address, Turn: number, Turns: o.Rounds * len(o.Targets), Round: round + 1, Rounds: o.Rounds,
		Duration: o.Duration, Wanted: o.Requests,
	})
	r := Round{Started: shared.begun, Client: *ownUsage().since(client), Server: usageOf(t.pid).since(server)}
	for _, w := range t.workers {
		r.Took = max(r.Took, w.last)
	}
	total := &shared.series.total
	r.Requests, r.Allowed, r.Denied, r.Undecided = total.requests, total.allowed, total.denied, total.undecided
	r.Latency, r.Series = shared.series.latency(), shared.series.points(r.Took)
	if r.Requests > 0 {
		t.Rounds = append(t.Rounds, r)
	}
	if err != nil {
		t.Failure = t.explain(err)
	}
}

// work has the workers work, and tells of the progress meanwhile.
func (t *target) work(ctx context.Context, shared *turn, p Progress) error {
	errs := make([]error, len(t.workers))
	var running sync.WaitGroup
	for i, w := range t.workers {
		running.Go(func() {
			if errs[i] = w.run(); errs[i] != nil {
				shared.stopped.Store(true)
			}
			w.flush(w.last)
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
			p.Elapsed, p.Requests = shared.now(), shared.series.requests()
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
