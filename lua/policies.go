package lua

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/policy"
)

//go:embed policies.lua
var policiesSource string

// Policies are kept in Redis for all servers that share it: a hash, and a list of the last changes,
// each with an id. The id of the newest change says which set it is. Whoever changes policies computes
// that against a set, and the script refuses it if there is another one by then. Each server looks at
// the newest id some times a second, and reads what has changed, or all if it knows none of the
// changes in the list.
//
// One goroutine reads, changes and puts in force. While Redis is away the set stays as it is, and
// changes fail. Redis can lose the set, as it can lose units: one that has none any more is given
// that of the first server that notices, and what a failover loses of the last changes is gone.
type Policies struct {
	limiter *Limiter
	set     *policy.Set
	keys    [2]string // see policies.lua

	mu      sync.Mutex
	waiting []policyChange
	wake    chan struct{}

	// Of the goroutine.
	known string // id of the last change that is in force; empty: none
	// first is the change to make when Redis has been read; nil: that is done.
	first   func() ([]policy.Entry, error)
	early   []policy.Entry // of first, that were in force before Redis was read
	problem string         // that was logged last; empty: all is well
}

// A policyChange is a call of Keep.
type policyChange struct {
	compute  func() ([]policy.Entry, error)
	done     func(error)
	deadline time.Time
}

const (
	// policyPause is between two looks at the newest change: a change reaches all within a second.
	policyPause = 250 * time.Millisecond
	// policyTimeout is the most that a change waits for other changes and for Redis. It can be a large one.
	policyTimeout = 3 * time.Second
	// policyTries is how often a change is computed anew that another one has overtaken.
	policyTries = 20
	// changesKept is how many items the list has: who has missed more reads all.
	changesKept = 1000
	// policyKeys is how the names of the two keys in Redis end: as the name of a state does (see
	// stateKey), but for the byte before the @, so no key of a client has such a name.
	policyKeys = "@rlserver:p/x"
)

var policiesSHA = func() string {
	sum := sha1.Sum([]byte(policiesSource)) // Redis's choice
	return hex.EncodeToString(sum[:])
}()

// SharePolicies has the set be that in Redis from now on, and makes a first change, which first
// computes. It returns when both are done, or when Redis does not answer: then they are done when it
// does, and until then what first says is in force in this process only. An error is that of first.
func (l *Limiter) SharePolicies(set *policy.Set, first func() ([]policy.Entry, error)) (*Policies, error) {
	tag := l.options.Prefix + policyTag
	p := &Policies{limiter: l, set: set, keys: [2]string{tag + "entries" + policyKeys, tag + "changes" + policyKeys}, wake: make(chan struct{}, 1), first: first}
	p.look()
	if p.first != nil {
		var err error
		if p.early, err = first(); err == nil {
			err = set.Apply(p.early)
		}
		if err != nil {
			return nil, err
		}
	}
	l.running.Go(p.run)
	return p, nil
}

// policyTag is the hash tag of both keys.
const policyTag = "{policies}"

// Keep has a change computed against the set in force, kept, and put in force: one after the other. It
// returns at once. An error says why nothing has changed, or that this is not known.
func (p *Policies) Keep(compute func() ([]policy.Entry, error), done func(error)) {
	p.mu.Lock()
	p.waiting = append(p.waiting, policyChange{compute, done, time.Now().Add(policyTimeout)})
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run looks for changes of others, and makes those of this server.
func (p *Policies) run() {
	look := time.NewTicker(policyPause)
	defer look.Stop()
	for {
		select {
		case <-p.limiter.life.Done():
			p.makeChanges()
			return
		case <-p.wake:
			p.makeChanges()
		case <-look.C:
			p.makeChanges() // which do not wait for a Redis that is away longer than once
			p.look()
		}
	}
}

func (p *Policies) makeChanges() {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, c := range waiting {
		c.done(p.change(c))
	}
}

// look puts in force what has changed. It logs when that begins to fail, and when it succeeds again.
func (p *Policies) look() {
	ctx, cancel := context.WithTimeout(p.limiter.life, policyTimeout)
	defer cancel()
	var err error
	if p.first != nil {
		err = p.begin(ctx)
	} else {
		err = p.refresh(ctx)
	}
	switch text := fmt.Sprint(err); {
	case err == nil && p.problem != "":
		p.problem = ""
		p.limiter.options.Logger.Info("policies are read from Redis again")
	case err != nil && p.problem != text && p.limiter.life.Err() == nil:
		p.problem = text
		p.limiter.options.Logger.Warn("policies cannot be read from Redis; those before stay in force", "error", err)
	}
}

// begin reads all, and makes the first change. What that says is in force before it is kept, because
// it may have been since the start. Then it stays so all the while: what Redis has not is kept there.
func (p *Policies) begin(ctx context.Context) error {
	if _, err := p.newest(ctx); err != nil { // which tells soon that Redis is away
		return err
	}
	for range policyTries {
		early, err := p.replace(ctx)
		if err != nil {
			return err
		}
		entries, err := p.first()
		if err == nil {
			err = p.set.Apply(entries)
		}
		if err != nil {
			return err
		}
		entries = append(early, entries...)
		kept := len(entries) == 0
		if !kept {
			kept, err = p.keep(ctx, entries)
		}
		if err != nil {
			return err
		}
		if kept {
			p.first, p.early = nil, nil
			return nil
		}
	}
	return errOvertaken
}

// change makes a change.
func (p *Policies) change(c policyChange) error {
	if p.limiter.life.Err() != nil {
		return unavailable("the server is stopping")
	}
	ctx, cancel := context.WithDeadline(p.limiter.life, c.deadline)
	defer cancel()
	if p.first != nil {
		if p.look(); p.first != nil {
			return unavailable("policies cannot be changed: they are kept in Redis, which has not been read yet: " + p.problem)
		}
	}
	overtaken := errOvertaken
	for range policyTries {
		entries, err := c.compute()
		if err != nil || len(entries) == 0 {
			return err
		}
		kept, err := p.keep(ctx, entries)
		if kept {
			return p.set.Apply(entries)
		}
		if err == nil {
			err = p.refresh(ctx)
		}
		if err != nil {
			overtaken = err
			break
		}
	}
	return unavailable("policies cannot be changed: they are kept in Redis: " + overtaken.Error())
}

// Errors of policies in Redis.
var (
	errOvertaken = errors.New("other servers change them all the time")
	errNotKnown  = errors.New("whether it made the change is not known; RL.POLICY LIST tells")
	// Of what Redis was not asked.
	errNoNode = unavailable("no node of the cluster is known for the policies")
	errNoTime = unavailable("changes that came before have taken too long")
)

// keep has Redis keep entries, and says whether it did. Else there is a change that is not known.
func (p *Policies) keep(ctx context.Context, entries []policy.Entry) (kept bool, err error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	next := idMark + hex.EncodeToString(id)
	args := make([]any, 0, 8+2*len(entries))
	args = append(args, "evalsha", policiesSHA, len(p.keys), p.keys[0], p.keys[1], p.known, next, changesKept)
	for _, e := range entries {
		args = append(args, e.Field, e.Value)
	}
	reply := redis.NewCmd(ctx, args...)
	err = p.ask(ctx, func(pipeline redis.Pipeliner) redis.Cmder {
		pipeline.ScriptLoad(ctx, policiesSource)
		_ = pipeline.Process(ctx, reply) // queued; the error is the command's own
		return reply
	})
	if err != nil && !errors.As(err, new(*Error)) && kindOf(err, p.limiter.options.Mode) == unclear {
		err = fmt.Errorf("%w: %w", errNotKnown, err)
	}
	if err != nil {
		return false, err
	}
	if kept = reply.Val() == int64(1); kept {
		p.known = next
	}
	return kept, nil
}

// idMark is what ids begin with, and no name of a policy does.
const idMark = "="

// ask sends a pipeline to where the policies are, again while it is known that this had no effect and
// there is time. fill fills it and returns its last command, of which the error is; one that is an *Error
// tells why nothing was sent.
func (p *Policies) ask(ctx context.Context, fill func(redis.Pipeliner) redis.Cmder) error {
	l := p.limiter
	for pause := retryPauseMin; ; pause = min(2*pause, retryPauseMax) {
		n := l.router.route(policyTag)
		if ctx.Err() != nil {
			return errNoTime
		}
		err, failure := errNoNode, notNow
		if n != nil {
			if out := n.outage.Load(); out != nil {
				return unavailable(out.why())
			}
			pipeline := n.client.Pipeline()
			last := fill(pipeline)
			_, sent := pipeline.Exec(ctx)
			if err = last.Err(); err == nil && !errors.Is(sent, redis.Nil) {
				err = sent // where a connection is not let in, commands are left without an error
			}
			if err == nil || errors.Is(err, redis.Nil) {
				return nil
			}
			failure = kindOf(err, l.options.Mode)
		}
		l.router.refresh()
		if deadline, _ := ctx.Deadline(); failure != notNow && failure != otherNode || !l.wait(pause, deadline) {
			return err
		}
	}
}

// giveBack has a Redis that has lost the policies keep those in force.
func (p *Policies) giveBack(ctx context.Context) error {
	var all []policy.Entry
	p.set.Entries(func(e policy.Entry) { all = append(all, e) })
	known := p.known
	p.known = ""
	kept, err := p.keep(ctx, all)
	switch {
	case err != nil:
		p.known = known
	case kept:
		p.limiter.options.Logger.Warn("Redis has lost the policies; it has those of this server now", "entries", len(all))
	}
	return err // if another server was first, the next look reads
}
