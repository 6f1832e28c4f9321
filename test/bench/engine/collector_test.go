package engine_test

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"time"
)

// collections are what the garbage collector did in a phase.
type collections struct {
	Cycles  uint64
	OfAll   float64 // its share of the CPU time that there was on all cores, 0 … 1
	OfUsed  float64 // its share of what the process used of that, 0 … 1
	Longest time.Duration
}

// A collector reads what the runtime knows of its garbage collector.
type collector struct {
	before []metrics.Sample
	// used is the system's figure. The runtime has one for all goroutines too, but that
	// counts a goroutine that waits in the system as if it worked.
	used time.Duration
}

// The metrics' names, in the order in which they are read.
var collectorMetrics = []string{
	"/gc/cycles/total:gc-cycles",
	"/cpu/classes/gc/total:cpu-seconds",
	"/cpu/classes/total:cpu-seconds",
	"/sched/pauses/total/gc:seconds",
}

// newCollector begins a phase.
func newCollector() *collector { return &collector{readCollector(), cpuTime()} }

// readCollector reads the metrics. The runtime brings CPU times up to date only when it has
// collected, so it has to, and each phase has one cycle that it did not ask for.
func readCollector() []metrics.Sample {
	runtime.GC()
	samples := make([]metrics.Sample, len(collectorMetrics))
	for i, name := range collectorMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	return samples
}

// done ends the phase.
func (c *collector) done() collections {
	after, used := readCollector(), cpuTime()-c.used
	seconds := func(i int) float64 { return after[i].Value.Float64() - c.before[i].Value.Float64() }
	return collections{
		Cycles:  after[0].Value.Uint64() - c.before[0].Value.Uint64(),
		OfAll:   seconds(1) / seconds(2),
		OfUsed:  seconds(1) / used.Seconds(),
		Longest: longestPause(c.before[3].Value.Float64Histogram(), after[3].Value.Float64Histogram()),
	}
}

// longestPause is the end of the last bucket that has been added to.
func longestPause(before, after *metrics.Float64Histogram) time.Duration {
	for i, n := range slices.Backward(after.Counts) {
		if n > before.Counts[i] {
			return time.Duration(after.Buckets[i+1] * float64(time.Second))
		}
	}
	return 0
}
