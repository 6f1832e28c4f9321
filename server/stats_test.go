package server

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Buckets leave no gap, and none is wider than a sixteenth of the times in it.
func TestHistogramBuckets(t *testing.T) {
	begin := uint64(0)
	for bucket := range histogramBuckets {
		end := bucketEnd(bucket)
		if bucketOf(begin) != bucket || bucketOf(end) != bucket || end < begin || (end-begin)*histogramSteps > begin {
			t.Fatalf("bucket %d is from %d to %d; these times are in the buckets %d and %d", bucket, begin, end, bucketOf(begin), bucketOf(end))
		}
		begin = end + 1
	}
	if begin < uint64(time.Minute) || bucketOf(1<<63) != histogramBuckets-1 {
		t.Errorf("the last bucket ends at %d, and the longest time is in %d", begin, bucketOf(1<<63))
	}
}

// Percentiles are those of the sorted times, up to the width of a bucket.
func TestPercentiles(t *testing.T) {
	var h histogram
	if got := h.micros(50, 100); got[0] != 0 || got[1] != 0 {
		t.Errorf("of nothing: %v", got)
	}
	const n = 10_000
	for nanos := 1; nanos <= n; nanos++ {
		h.add(uint64(nanos * 1000))
	}
	for i, percent := range []float64{0, 50, 99, 99.9, 100} {
		want := max(percent/100*n, 1)
		if got := h.micros(0, 50, 99, 99.9, 100)[i]; got < want || got > want*(1+1./histogramSteps) {
			t.Errorf("p%v is %v µs, want %v", percent, got, want)
		}
	}
}

// A call that is timed stands for the calls since the last one, however many sessions there are. So
// the time of all never shrinks, and no call is counted twice.
func TestTimedCallsStandForOthers(t *testing.T) {
	var s commandStats
	s.calls.Store(1)
	s.time(5 * time.Microsecond)
	s.calls.Store(62) // 61 more
	s.time(time.Microsecond)
	s.time(time.Hour) // another session's, which found the same count
	if nanos, mean := s.nanos.Load(), s.microsPerCall(); nanos != 5000+61*1000 || mean != 66./62 {
		t.Errorf("%d ns, %v µs a call", nanos, mean)
	}
	var sessions sync.WaitGroup
	for range 4 {
		sessions.Go(func() {
			for range 10_000 {
				s.calls.Add(1)
				s.time(time.Nanosecond)
			}
		})
	}
	sessions.Wait()
	if got, want := s.nanos.Load(), uint64(5000+61*1000+40_000); got != want || s.stoodFor.Load() != s.calls.Load() {
		t.Errorf("%d ns for %d calls, want %d ns for %d", got, s.stoodFor.Load(), want, s.calls.Load())
	}
}

// A session times one of so many fast commands, whatever row of commands it repeats, and each
// command's first run; any other command it times always.
func TestWhichCommandsAreTimed(t *testing.T) {
	s := newTestServer(newStore(t))
	samples := func(name string) (n uint64) {
		if h := s.table.findByLabel(name).stats.Load().latencies.Load(); h != nil {
			for i := range h {
				n += h[i].Load()
			}
		}
		return n
	}
	c := newTestSession(s)
	const rounds = timedEvery * 10
	for range rounds {
		for _, line := range []string{"PING", "ECHO x", "CLIENT ID", "TIME"} {
			s.dispatch(c, bytes.Fields([]byte(line)))
			c.reply.Buf = c.reply.Buf[:0]
		}
	}
	c.EndBatch()
	for name, want := range map[string]uint64{"ping": 10, "echo": 10, "time": 10, "client|id": rounds} {
		if got := samples(name); got < want || got > want+1 && name != "client|id" {
			t.Errorf("%s was timed %d times in %d, want %d", name, got, rounds, want)
		}
		if n := s.table.findByLabel(name).stats.Load(); n.calls.Load() != rounds || n.nanos.Load() == 0 {
			t.Errorf("%s: %d calls in %d ns", name, n.calls.Load(), n.nanos.Load())
		}
	}
}

// The words of errors that are counted apart are bounded.
func TestErrorCodesAreBounded(t *testing.T) {
	var e errorCounts
	for i := range 1000 {
		e.add(fmt.Sprintf("CODE%d text", i))
		e.add("CODE0 other text")
	}
	if all := e.all(); len(all) != errorCodesMax || all["CODE0"].Load() != 1001 || e.total.Load() != 2000 {
		t.Errorf("%d words, %d in all", len(all), e.total.Load())
	}
	e.reset()
	e.add(strings.Repeat("x", 3))
	if all := e.all(); len(all) != 1 || all["xxx"].Load() != 1 {
		t.Errorf("after a reset: %v", all)
	}
}
