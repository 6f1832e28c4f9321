package engine_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/bench"
)

// Targets, in bytes.
const (
	keyBytesTarget  = 72.0 // for a key of 16 bytes with a token bucket
	keyBytesAim     = 64.0
	unitBytesTarget = 16.0 // for a logged unit
)

// A fillJob fills a store with keys and asks for one unit of each a number of times.
type fillJob struct {
	Algorithm engine.Algorithm
	Limit     int64
	Keys      int
	Units     int
}

// What a fillJob measured: resident memory, in bytes.
type fillResult struct {
	Before   int64 // with the store empty
	After    int64 // with the store full, with whatever garbage there is
	Returned int64 // after a collection that gives everything back that it can
	Stats    engine.Stats
}

func (j *fillJob) run() (result fillResult, err error) {
	// No key becomes idle meanwhile.
	l, err := engine.NewLimit(j.Limit, 24*time.Hour, 0)
	if err != nil {
		return result, err
	}
	store := newStore()
	if result.Before, err = bench.ResidentBytes(); err != nil {
		return result, err
	}
	var s scratch
	for unit := range j.Units {
		for i := range j.Keys {
			d, err := store.Check(s.key(uint64(i)), j.Algorithm, l, 1, firstNow+int64(unit))
			if err != nil {
				return result, err
			}
			if !d.Allowed {
				return result, fmt.Errorf("unit %d of key %d was denied: %+v", unit, i, d)
			}
		}
	}
	if result.After, err = bench.ResidentBytes(); err != nil {
		return result, err
	}
	debug.FreeOSMemory()
	if result.Returned, err = bench.ResidentBytes(); err != nil {
		return result, err
	}
	if result.Stats = store.Stats(); result.Stats.Keys != int64(j.Keys) {
		return result, fmt.Errorf("the store has %d keys and not %d", result.Stats.Keys, j.Keys)
	}
	return result, nil
}

// per is the growth of the resident memory in bytes for each of n.
func (r *fillResult) per(n int) float64 { return float64(r.After-r.Before) / float64(n) }

// perReturned is the same after everything was given back that can be.
func (r *fillResult) perReturned(n int) float64 { return float64(r.Returned-r.Before) / float64(n) }

// BenchmarkMemory prints what keys take of a process's memory, and of a Redis's.
func BenchmarkMemory(t *testing.B) {
	bench.OnlyOnLinux(t)
	keyMemory(t)
	logMemory(t)
	redisMemory(t)
}

func keyMemory(t testing.TB) {
	rows := bench.NewTable(fmt.Sprintf("token_bucket, keys of %d bytes: bytes a key (aim %.0f)", keyBytes, keyBytesAim),
		"keys", "by RSS", "target", "", "once collected", "by Stats")
	for _, keys := range []int{1_000_000, 10_000_000} {
		keys = bench.Scaled(keys, 100)
		r := bench.InChild[fillResult](t, job{Fill: &fillJob{engine.TokenBucket, 100, keys, 1}})
		got := r.per(keys)
		rows.Add("%d|%.1f|≤ %.0f|%s|%.1f|%.1f", keys, got, keyBytesTarget, bench.Verdict(got <= keyBytesTarget),
			r.perReturned(keys), float64(r.Stats.Bytes())/float64(keys))
	}
	rows.Print(os.Stdout)
}

// logMemory fills logs up to their limit, where no room is left to grow, and to a tenth of
// it, where there is.
func logMemory(t testing.TB) {
	keys, units := 100, bench.Scaled(10_000, 10)
	rows := bench.NewTable(fmt.Sprintf("sliding_window_log, %d keys with %d units of one request each: bytes a unit", keys, units),
		"limit", "by RSS", "target", "", "once collected", "by LogBytes")
	for _, limit := range []int{units, 10 * units} {
		r := bench.InChild[fillResult](t, job{Fill: &fillJob{engine.SlidingWindowLog, int64(limit), keys, units}})
		got, counted := r.per(keys*units), float64(r.Stats.LogBytes)/float64(keys*units)
		rows.Add("%d|%.1f|≤ %.0f|%s|%.1f|%.1f", limit, got, unitBytesTarget, bench.Verdict(got <= unitBytesTarget && counted <= unitBytesTarget),
			r.perReturned(keys*units), counted)
	}
	rows.Print(os.Stdout)
}
