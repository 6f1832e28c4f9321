package chart

import "math"

// A Scale is how the numbers of an axis lie on it.
type Scale int

// The scales of an axis.
const (
	Linear Scale = iota // from 0
	Log                 // positive numbers only
	Nines               // shares below 1: 0.9, 0.99 and 0.999 lie at equal distances
)

// An Axis is one side of a chart.
type Axis struct {
	Name  string
	Scale Scale
	Text  func(float64) string // of a number on it
}

// place is a number's place on the scale, in units of the scale.
func (s Scale) place(x float64) float64 {
	switch s {
	case Log:
		return math.Log10(x)
	case Nines:
		return -math.Log10(1 - x)
	case Linear:
	}
	return x
}

// shows says whether a number has a place on the scale.
func (s Scale) shows(x float64) bool {
	switch s {
	case Log:
		return x > 0 && !math.IsInf(x, 0)
	case Nines:
		return x >= 0 && x < 1
	case Linear:
	}
	return !math.IsNaN(x) && !math.IsInf(x, 0)
}

// ticks are the numbers that are marked between the least and the greatest number that is drawn. The
// axis goes from the first to the last of them, or on to the greatest number on the scale Nines.
func (s Scale) ticks(least, greatest float64) []float64 {
	switch s {
	case Log:
		return logTicks(least, greatest)
	case Nines:
		ticks := []float64{0}
		for nines := 0.1; 1-nines < greatest; nines /= 10 {
			ticks = append(ticks, 1-nines)
		}
		return ticks
	case Linear:
	}
	return linearTicks(greatest)
}

// linearTicks are about five round numbers from 0 to the first that is not below greatest.
func linearTicks(greatest float64) []float64 {
	if greatest <= 0 {
		greatest = 1
	}
	power := math.Pow(10, math.Floor(math.Log10(greatest/4)))
	step := 10 * power
	for _, times := range []float64{1, 2, 2.5, 5} {
		if 4.5*times*power >= greatest {
			step = times * power
			break
		}
	}
	ticks := []float64{0}
	for i := 1.0; ticks[len(ticks)-1] < greatest*(1-1e-9); i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

// logTicks are powers of ten, with twice and five times them where there would be few.
func logTicks(least, greatest float64) []float64 {
	times := []float64{1, 2, 5}
	if greatest/least > 1000 {
		times = []float64{1}
	}
	var ticks []float64
	for power := math.Pow(10, math.Floor(math.Log10(least))); ; power *= 10 {
		for _, t := range times {
			tick := t * power
			if tick <= least*(1+1e-9) {
				ticks = ticks[:0] // only the last of those below is needed
			}
			ticks = append(ticks, tick)
			if tick >= greatest*(1-1e-9) && len(ticks) > 1 {
				return ticks
			}
		}
	}
}
