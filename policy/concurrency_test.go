package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// While plans change, everybody who asks finds one, and never one that was replaced before it was asked
// for.
func TestPlansChangeUnderReaders(t *testing.T) {
	s := newSet(new(clock))
	entries, err := s.Put("api", must(t, "token_bucket 1 1s"))
	put(t, s, entries, err)
	const changes, keys = 500, 4
	var inForce [keys]atomic.Int64 // the limit that the key's plan has at least: it only rises
	var end atomic.Bool
	var readers sync.WaitGroup
	for reader := range 4 {
		readers.Go(func() {
			for i := 0; !end.Load(); i++ {
				k := (i + reader) % keys
				least := inForce[k].Load()
				plan := s.Find("api").For(fmt.Sprint(k))
				if plan == nil || len(plan.Limits) != 1 {
					t.Errorf("key %d has no plan", k)
					return
				}
				if got := plan.Limits[0].Limit.Limit(); got < least {
					t.Errorf("key %d has the plan %d after %d was in force", k, got, least)
					return
				}
			}
		})
	}
	apply := func(entries []Entry, err error) {
		if err == nil {
			err = s.Apply(entries)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(changes) {
		d := must(t, fmt.Sprintf("token_bucket %d 1s", i+2))
		k := i % keys
		key := fmt.Sprint(k)
		own := s.Find("api").own(key)
		switch {
		case k == 0:
			apply(s.Put("api", d))
		case own == nil || own.rest || i%16 < 8:
			apply(s.Override("api", key, d))
		default: // so that no plan is followed by an older one, that of the policy changes first
			apply(s.Put("api", d))
			apply(s.Unset("api", key))
		}
		inForce[k].Store(i + 2)
	}
	end.Store(true)
	readers.Wait()
}
