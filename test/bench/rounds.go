package bench

import (
	"slices"
	"testing"
	"time"
)

// Rounds are what the rounds of one contestant measured.
type Rounds[M any] []M

// Median is the median of a figure.
func (r Rounds[M]) Median(figure func(M) float64) float64 {
	return Median(r.values(figure))
}

// Ratio is the median of the ratios of a figure to that of another contestant.
func (r Rounds[M]) Ratio(to Rounds[M], figure func(M) float64) float64 {
	return Ratio(r.values(figure), to.values(figure))
}

func (r Rounds[M]) values(figure func(M) float64) []float64 {
	values := make([]float64, len(r))
	for i, m := range r {
		values[i] = figure(m)
	}
	return values
}

// Median is the median of values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Ratio is the median of the rounds of a divided by the rounds of b of the same time. The machine
// changes more from round to round than within one, so this says more than a ratio of medians.
func Ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return Median(ratios)
}

// Scaled is n, or where figures do not matter a fraction of it.
func Scaled(n, fraction int) int {
	if testing.Short() {
		return n / fraction
	}
	return n
}

// Plan is how many rounds there are, and how long each of them is. With -short the figures mean
// nothing, and show only that the benchmark runs.
func Plan() (rounds int, length time.Duration) {
	if testing.Short() {
		return 1, 100 * time.Millisecond
	}
	return 5, 2 * time.Second
}
