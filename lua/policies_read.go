package lua

import (
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/policy"
)

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
