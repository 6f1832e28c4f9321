package server

import (
	"maps"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stats are the counters behind INFO. Connections add to them once a batch.
type stats struct {
	commands       atomic.Uint64
	connections    atomic.Uint64 // received
	rejected       atomic.Uint64 // turned away
	protocolErrors atomic.Uint64
	panics         atomic.Uint64
	idle, stuck    atomic.Uint64 // connections closed for timeout and write-timeout
	cutOff         atomic.Uint64 // connections closed because too many pushes waited
	hits, misses   atomic.Uint64 // of commands that look a key up
	deniedShadow   atomic.Uint64 // checks that a policy would have denied, if it were no shadow
	errors         errorCounts
	// rates are what the janitor measures once a second.
	rates rates
	// reclaimedBefore and evictedBefore are how many keys the limiter had reclaimed and evicted when
	// the statistics were reset.
	reclaimedBefore, evictedBefore atomic.Uint64
}

// rates are those of the last second.
type rates struct{ commands, bytesIn, bytesOut rate }

// A rate is by how much a counter has grown between two looks at it.
type rate struct {
	before uint64 // belongs to the janitor
	grown  atomic.Uint64
}

// update looks at the counter. A counter that was reset begins anew.
func (r *rate) update(count uint64) {
	r.grown.Store(count - min(r.before, count))
	r.before = count
}

func (s *stats) reset() {
	for _, counter := range []*atomic.Uint64{
		&s.commands, &s.connections, &s.rejected, &s.protocolErrors, &s.panics, &s.idle, &s.stuck, &s.cutOff, &s.hits, &s.misses, &s.deniedShadow,
		&s.rates.commands.grown, &s.rates.bytesIn.grown, &s.rates.bytesOut.grown,
	} {
		counter.Store(0)
	}
	s.errors.reset()
}

// errorCounts counts error replies by their first word. An error reads the map without a lock; only
// a word that is new copies it.
type errorCounts struct {
	total  atomic.Uint64
	adding sync.Mutex
	byCode atomic.Pointer[map[string]*atomic.Uint64]
}

// errorCodesMax bounds the words that are counted apart, because the errors of a backend have words
// of its own. Further words count in the total only. The bound is Redis's.
const errorCodesMax = 128

func (e *errorCounts) add(text string) {
	e.total.Add(1)
	code, _, _ := strings.Cut(text, " ")
	if counter := e.all()[code]; counter != nil {
		counter.Add(1)
		return
	}
	e.adding.Lock()
	defer e.adding.Unlock()
	counts := e.all()
	if counts[code] == nil {
		if len(counts) == errorCodesMax {
			return
		}
		more := map[string]*atomic.Uint64{strings.Clone(code): {}}
		maps.Copy(more, counts)
		e.byCode.Store(&more)
		counts = more
	}
	counts[code].Add(1)
}

// all is never changed by a later call of add.
func (e *errorCounts) all() map[string]*atomic.Uint64 {
	if counts := e.byCode.Load(); counts != nil {
		return *counts
	}
	return nil
}

func (e *errorCounts) reset() {
	e.adding.Lock()
	defer e.adding.Unlock()
	e.total.Store(0)
	e.byCode.Store(nil)
}

// timedEvery is how many commands with the flag "fast" a connection sends for each one that is
// timed: to read the clock twice costs a good part of a check. It is a prime number, so a client
// that repeats a row of commands has each of them timed in turn. Other commands are all timed.
const timedEvery = 251

// A commandStats counts the runs of a command. To reset it, another takes its place.
type commandStats struct {
	calls    atomic.Uint64
	rejected atomic.Uint64 // that did not run
	failed   atomic.Uint64 // that ran, and replied an error
	// A call that is timed stands for those since the last one that was: nanos is the time of so
	// many calls.
	nanos, stoodFor atomic.Uint64
	latencies       atomic.Pointer[histogram] // of the calls that were timed; nil: of none
}

// isTimed says whether a call was timed.
func (s *commandStats) isTimed() bool { return s.latencies.Load() != nil }

// time adds a call that was timed and has been counted.
func (s *commandStats) time(took time.Duration) {
	nanos := uint64(max(took, 0))
	for calls := s.calls.Load(); ; {
		before := s.stoodFor.Load()
		if calls <= before { // another connection's call stands for this one
			break
		}
		if s.stoodFor.CompareAndSwap(before, calls) {
			s.nanos.Add(nanos * (calls - before))
			break
		}
	}
	h := s.latencies.Load()
	if h == nil {
		s.latencies.CompareAndSwap(nil, &histogram{})
		h = s.latencies.Load()
	}
	h.add(nanos)
}

// microsPerCall is the mean time of a call.
func (s *commandStats) microsPerCall() float64 {
	n := s.stoodFor.Load()
	if n == 0 {
		return 0
	}
	return float64(s.nanos.Load()) / float64(n) / 1000
}

// A histogram counts times in nanoseconds. A bucket is at most a sixteenth of its times wide, and
// the last one has all that are longer than a minute.
type histogram [histogramBuckets]atomic.Uint64

const (
	histogramSteps   = 16 // buckets that the times from one power of two to the next are cut into
	histogramBuckets = histogramSteps * 34
)

// bucketOf is the bucket of a time. Times below histogramSteps have one each.
func bucketOf(nanos uint64) int {
	if nanos < histogramSteps {
		return int(nanos)
	}
	halvings := bits.Len64(nanos) - bits.Len64(histogramSteps)
	return min(histogramSteps*halvings+int(nanos>>halvings), histogramBuckets-1)
}

// bucketEnd is the longest time of a bucket.
func bucketEnd(bucket int) uint64 {
	if bucket < histogramSteps {
		return uint64(bucket)
	}
	halvings := bucket/histogramSteps - 1
	return uint64(bucket-histogramSteps*halvings+1)<<halvings - 1
}

func (h *histogram) add(nanos uint64) { h[bucketOf(nanos)].Add(1) }

// micros are times that so many percent of the calls did not exceed.
func (h *histogram) micros(percents ...float64) (list []float64) {
	var counts [histogramBuckets]uint64
	total := uint64(0)
	for i := range h {
		counts[i] = h[i].Load()
		total += counts[i]
	}
	for _, percent := range percents {
		rank := max(uint64(percent/100*float64(total)+0.5), 1)
		bucket := 0
		for sum := counts[0]; sum < min(rank, total); sum += counts[bucket] {
			bucket++
		}
		list = append(list, float64(bucketEnd(bucket))/1000)
	}
	return list
}
