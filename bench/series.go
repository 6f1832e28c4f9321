package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in histograms that keep so many significant digits of every value.
const (
	latencyMax    = int64(time.Hour) // a longer one counts as this
	latencyDigits = 3
	spanDigits    = 2 // of a span, of which there are many
)

func newHistogram(digits int) *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMax, digits) }

// A tally is what replies told. A worker has one for the span that goes on.
type tally struct {
	requests, allowed, denied, undecided int64
	latencies                            *hdrhistogram.Histogram
}

func (t *tally) add(o *tally) {
	t.requests += o.requests
	t.allowed += o.allowed
	t.denied += o.denied
	t.undecided += o.undecided
	t.latencies.Merge(o.latencies)
}

func (t *tally) reset() {
	t.requests, t.allowed, t.denied, t.undecided = 0, 0, 0, 0
	t.latencies.Reset()
}

// A series is a turn as a whole and by spans. Workers add to it what they have tallied in a span.
type series struct {
	mu    sync.Mutex
	total tally
	span  time.Duration
	spans []*tally // nil: no reply came in this span
}

// A turn has pointsWanted spans. When nobody knows how long it takes, spans are joined in pairs as soon
// as there are twice as many.
const (
	pointsWanted = 100
	spanMin      = 10 * time.Millisecond
	spanUnknown  = 100 * time.Millisecond
)

func newSeries(duration time.Duration) *series {
	s := &series{total: tally{latencies: newHistogram(latencyDigits)}, span: spanUnknown}
	if duration > 0 {
		s.span = max(duration/pointsWanted, spanMin)
	}
	return s
}

// add adds what a worker has tallied since an instant, and returns when that span ends.
func (s *series) add(t *tally, since, now time.Duration) (end time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.add(t)
	if t.requests > 0 {
		i := int(since / s.span)
		for ; i >= 2*pointsWanted; i /= 2 {
			s.join()
		}
		for len(s.spans) <= i {
			s.spans = append(s.spans, nil)
		}
		if s.spans[i] == nil {
			s.spans[i] = &tally{latencies: newHistogram(spanDigits)}
		}
		s.spans[i].add(t)
	}
	return now - now%s.span + s.span
}

// join makes one span of every two.
func (s *series) join() {
	s.span *= 2
	for i, t := range s.spans {
		switch {
		case i%2 == 0:
			s.spans[i/2] = t
		case s.spans[i/2] == nil:
			s.spans[i/2] = t
		case t != nil:
			s.spans[i/2].add(t)
		}
	}
	s.spans = s.spans[:(len(s.spans)+1)/2]
}

// progress is how many replies there were so far, and the last span that is over, if any.
func (s *series) progress() (requests int64, last Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.spans); n > 1 {
		last = s.point(n - 2)
	}
	return s.total.requests, last
}

// points are the spans for a report.
func (s *series) points(took time.Duration) (points []Point) {
	for i := range s.spans {
		p := s.point(i)
		if took > p.At {
			p.Span = min(s.span, took-p.At)
		}
		points = append(points, p)
	}
	return points
}

func (s *series) point(i int) Point {
	p := Point{At: time.Duration(i) * s.span, Span: s.span}
	if t := s.spans[i]; t != nil {
		at := t.latencies.ValueAtPercentilesSlice([]float64{50, 99, 100})
		p.Requests, p.Allowed, p.Denied = t.requests, t.allowed, t.denied
		p.P50, p.P99, p.Max = time.Duration(at[0]), time.Duration(at[1]), time.Duration(at[2])
	}
	return p
}

// latency is the distribution for a report.
func (s *series) latency() Latency {
	h := s.total.latencies
	at := h.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9, 100})
	l := Latency{
		P50: time.Duration(at[0]), P90: time.Duration(at[1]), P99: time.Duration(at[2]),
		P999: time.Duration(at[3]), Max: time.Duration(at[4]),
	}
	for _, b := range h.CumulativeDistributionWithTicks(curveTicks) {
		l.Curve = append(l.Curve, Quantile{b.Quantile / 100, time.Duration(b.ValueAt)})
	}
	return l
}

// curveTicks is how many points the curve of latencies has for each halving of what is left.
const curveTicks = 5
