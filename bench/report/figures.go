package report

import (
	"math"
	"slices"
	"time"

	"github.com/rlserver/rlserver/bench"
)

// A Figure is a number of a round; NaN where it is not known.
type Figure func(*bench.Round) float64

// The figures of a round that are compared.
var (
	Rate       Figure = func(r *bench.Round) float64 { return each(float64(r.Requests), r.Took.Seconds()) } // requests a second
	P50        Figure = func(r *bench.Round) float64 { return latency(r, r.Latency.P50) }                   // ns, as all latencies
	P90        Figure = func(r *bench.Round) float64 { return latency(r, r.Latency.P90) }
	P99        Figure = func(r *bench.Round) float64 { return latency(r, r.Latency.P99) }
	P999       Figure = func(r *bench.Round) float64 { return latency(r, r.Latency.P999) }
	Max        Figure = func(r *bench.Round) float64 { return latency(r, r.Latency.Max) }
	ClientBusy Figure = func(r *bench.Round) float64 { return each(r.Client.CPU.Seconds(), r.Took.Seconds()) } // cores
	ServerCPU  Figure = func(r *bench.Round) float64 {                                                         // ns a request
		if r.Server == nil {
			return math.NaN()
		}
		return each(float64(r.Server.CPU), float64(r.Requests))
	}
	ServerBusy Figure = func(r *bench.Round) float64 { // cores
		if r.Server == nil {
			return math.NaN()
		}
		return each(r.Server.CPU.Seconds(), r.Took.Seconds())
	}
	ServerMemory Figure = func(r *bench.Round) float64 { // bytes
		if r.Server == nil {
			return math.NaN()
		}
		return float64(r.Server.ResidentBytes)
	}
	Denied Figure = func(r *bench.Round) float64 { return each(float64(r.Denied), float64(r.Allowed+r.Denied)) } // share
)

// each is a / b, and NaN where nothing was measured.
func each(a, b float64) float64 {
	if b <= 0 {
		return math.NaN()
	}
	return a / b
}

func latency(r *bench.Round, at time.Duration) float64 {
	if r.Requests == 0 {
		return math.NaN()
	}
	return float64(at)
}

// Median is the median of a figure over the rounds of a target that know it.
func Median(t *bench.Target, figure Figure) float64 {
	values := make([]float64, len(t.Rounds))
	for i := range t.Rounds {
		values[i] = figure(&t.Rounds[i])
	}
	return median(values)
}

// Ratio is the median of the ratios of a figure to that of another target in the same round.
func Ratio(t, to *bench.Target, figure Figure) float64 {
	var ratios []float64
	for i := range min(len(t.Rounds), len(to.Rounds)) {
		ratios = append(ratios, each(figure(&t.Rounds[i]), figure(&to.Rounds[i])))
	}
	return median(ratios)
}

// median is that of the values that are known, and NaN without one.
func median(values []float64) float64 {
	known := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(known) == 0 {
		return math.NaN()
	}
	slices.Sort(known)
	if n := len(known); n%2 == 0 {
		return (known[n/2-1] + known[n/2]) / 2
	}
	return known[len(known)/2]
}
