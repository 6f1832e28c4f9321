package bench

import (
	"testing"
	"time"
)

// However long a turn takes, its spans stay few, and none of what was tallied is lost.
func TestSeriesJoins(t *testing.T) {
	s := newSeries(0)
	var now, end time.Duration
	var told int64
	for now < time.Minute {
		since := now
		now += 37 * time.Millisecond
		w := tally{requests: 3, allowed: 2, denied: 1, latencies: newHistogram(latencyDigits)}
		if err := w.latencies.RecordValues(int64(time.Millisecond), 3); err != nil {
			t.Fatal(err)
		}
		told += 3
		if end = s.add(&w, since, now); end <= now || end > now+s.span {
			t.Fatalf("the span of %v ends at %v", now, end)
		}
	}
	points := s.points(now)
	if len(points) > 2*pointsWanted || len(points) < pointsWanted/2 {
		t.Errorf("%d points", len(points))
	}
	var sum Point
	var until time.Duration
	for _, p := range points {
		if p.At != until {
			t.Errorf("a point begins at %v and not at %v", p.At, until)
		}
		until = p.At + p.Span
		sum.Requests, sum.Allowed, sum.Denied = sum.Requests+p.Requests, sum.Allowed+p.Allowed, sum.Denied+p.Denied
		if p.Requests > 0 && (p.P50 < 990*time.Microsecond || p.Max > 1010*time.Microsecond) {
			t.Errorf("%+v", p)
		}
	}
	if sum.Requests != told || sum.Allowed != told/3*2 || sum.Denied != told/3 || until > now || now-until > s.span {
		t.Errorf("%+v of %d requests until %v of %v", sum, told, until, now)
	}
	if requests, last := s.progress(); requests != told || last.Requests == 0 {
		t.Errorf("progress %d, %+v", requests, last)
	}
}

func TestLatency(t *testing.T) {
	s := newSeries(time.Second)
	w := tally{requests: 1000, latencies: newHistogram(latencyDigits)}
	for i := range int64(1000) {
		if err := w.latencies.RecordValue((i + 1) * int64(time.Microsecond)); err != nil {
			t.Fatal(err)
		}
	}
	s.add(&w, 0, time.Millisecond)
	l := s.latency()
	for got, micros := range map[time.Duration]int64{l.P50: 500, l.P90: 900, l.P99: 990, l.P999: 999, l.Max: 1000} {
		if want := time.Duration(micros * 1000); got < want || got > want+want/1000 {
			t.Errorf("%v, want %v", got, want)
		}
	}
	last := Quantile{}
	for _, q := range l.Curve {
		if q.Share < last.Share || q.At < last.At {
			t.Errorf("%+v comes after %+v", q, last)
		}
		last = q
	}
	if last.Share != 1 || last.At != l.Max {
		t.Errorf("the curve ends at %+v", last)
	}
}
