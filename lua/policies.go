package lua

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// newest is the id of the newest change in Redis; empty: there is none. It waits as long for Redis as a
// question does, so that a change, which comes behind it, is not kept waiting by a Redis that is away.
func (p *Policies) newest(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limiter.tuning.Load().Timeout)
	defer cancel()
	var newest *redis.StringCmd
	err := p.ask(ctx, func(pipeline redis.Pipeliner) redis.Cmder {
		newest = pipeline.LIndex(ctx, p.keys[1], 0)
		return newest
	})
	if err != nil {
		return "", err
	}
	return newest.Val(), nil
}

// refresh puts in force what has changed in Redis.
func (p *Policies) refresh(ctx context.Context) error {
	newest, err := p.newest(ctx)
	switch {
	case err != nil:
		return err
	case newest == p.known:
		return nil
	case newest == "":
		return p.giveBack(ctx)
	case p.known == "":
		return p.readAll(ctx)
	}
	return p.readChanges(ctx)
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

// readChanges puts in force what has changed since the last known change.
func (p *Policies) readChanges(ctx context.Context) error {
	var changes *redis.StringSliceCmd
	err := p.ask(ctx, func(pipeline redis.Pipeliner) redis.Cmder {
		changes = pipeline.LRange(ctx, p.keys[1], 0, -1)
		return changes
	})
	if err != nil {
		return err
	}
	since := slices.Index(changes.Val(), p.known)
	if since < 0 {
		return p.readAll(ctx)
	}
	var fields []string
	for _, item := range changes.Val()[:since] {
		if !strings.HasPrefix(item, idMark) {
			fields = append(fields, item)
		}
	}
	slices.Sort(fields) // a policy comes before its overrides
	fields = slices.Compact(fields)
	var values *redis.SliceCmd // may be of later changes too, which are then read once more
	err = p.ask(ctx, func(pipeline redis.Pipeliner) redis.Cmder {
		values = pipeline.HMGet(ctx, p.keys[0], fields...)
		return values
	})
	if err != nil {
		return err
	}
	entries := make([]policy.Entry, len(fields))
	for i, field := range fields {
		text, _ := values.Val()[i].(string) // nil is none any more
		entries[i] = policy.Entry{Field: field, Value: text}
	}
	if p.set.Apply(entries) != nil { // they may be of different changes
		return p.readAll(ctx)
	}
	p.known = changes.Val()[0]
	return nil
}

// readAll puts in force all that Redis keeps, in place of the set in force.
func (p *Policies) readAll(ctx context.Context) error {
	_, err := p.replace(ctx)
	return err
}

// replace is readAll, and leaves in force what was early and is not in Redis, which it returns.
func (p *Policies) replace(ctx context.Context) (early []policy.Entry, err error) {
	for range policyTries {
		var before, after *redis.StringCmd
		var all *redis.MapStringStringCmd
		err := p.ask(ctx, func(pipeline redis.Pipeliner) redis.Cmder {
			before, all, after = pipeline.LIndex(ctx, p.keys[1], 0), pipeline.HGetAll(ctx, p.keys[0]), pipeline.LIndex(ctx, p.keys[1], 0)
			return all
		})
		if err != nil {
			return nil, err
		}
		if before.Val() != after.Val() {
			continue
		}
		entries := make([]policy.Entry, 0, len(all.Val()))
		for field, text := range all.Val() {
			entries = append(entries, policy.Entry{Field: field, Value: text})
		}
		for _, e := range p.early {
			if all.Val()[e.Field] == "" {
				early = append(early, e)
			}
		}
		if err := p.set.Replace(append(entries, early...)); err != nil {
			return nil, err
		}
		p.known = after.Val()
		return early, nil
	}
	return nil, errOvertaken
}
