package process

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The heap of this server is large, and has next to no pointers to follow. A collection costs about
// a millisecond for millions of keys. So garbage need not grow in proportion to them, as it does by
// default, which would double the memory. A small heap still needs some room for garbage, or the
// collector would run all the time.

const (
	// garbageMin is how much garbage is always allowed. Of a larger heap, one part in garbageShare
	// is.
	garbageMin   = 32 << 20
	garbageShare = 8
	// gcPercentMax bounds the percentage while there is next to nothing on the heap.
	gcPercentMax = 400
	// softLimitSpare is what a process needs besides its keys, and again for each softLimitSpare of
	// buffers. Without it a server of few keys and many connections would come near its limit with
	// nothing to collect, and collect all the time.
	softLimitSpare = 64 << 20
	tunePeriod     = time.Second
	// Memory that is free is given back to the system when it is at least spareMin, one part in
	// spareShare of the live heap, and what is allocated in sparePeriods. The runtime alone would keep
	// it for minutes: as much as the tables that were replaced while keys came.
	spareMin     = 4 << 20
	spareShare   = 32
	sparePeriods = 4
)

// A Need is what the memory limit of the process depends on.
type Need struct {
	MaxMemory int64 // bytes that keys may take; 0: no bound
	Buffers   int64 // bytes that the buffers of connections take while these are idle, at most
}

// TuneCollector sets the garbage collector's percentage and soft memory limit as the heap and the
// need change, and gives free memory back to the system, until ctx ends. They are the process's, so it
// is for a process that does nothing but serve. It does not touch a value that the environment sets
// with GOGC or GOMEMLIMIT. With GOGC it leaves it to the runtime as well to give memory back.
func TuneCollector(ctx context.Context, logger *slog.Logger, need func() Need) {
	ownPercent, ownLimit := os.Getenv("GOGC") == "", os.Getenv("GOMEMLIMIT") == ""
	percent, limit := 100, int64(math.MaxInt64) // the runtime's defaults
	before := ReadCollector()
	tune := func() {
		c := ReadCollector()
		if ownPercent && c.hasSpare(c.AllocatedBytes-before.AllocatedBytes) {
			debug.FreeOSMemory() // after a collection, of which the server notices as little as of any
			c = ReadCollector()
		}
		before = c
		if wanted := gcPercent(c.LiveBytes); ownPercent && differs(wanted, percent) {
			percent = wanted
			debug.SetGCPercent(percent)
		}
		if wanted := softLimit(need()); ownLimit && wanted != limit {
			limit = wanted
			debug.SetMemoryLimit(limit)
		}
	}
	tune()
	inForce, origin := ReadCollector(), map[bool]string{true: "rlserver", false: "environment"}
	logger.Info("garbage collector", "percent", inForce.Percent, "percent_from", origin[ownPercent],
		"soft_limit", inForce.SoftLimit, "soft_limit_from", origin[ownLimit])
	tick := time.NewTicker(tunePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tune()
		}
	}
}

// gcPercent is the percentage for a heap of which so much was live after the last
// collection.
func gcPercent(live uint64) int {
	allowed := max(garbageMin, live/garbageShare)
	return int(min(allowed*100/max(live, 1), gcPercentMax))
}

// hasSpare says whether there is memory to give back, when so many bytes were allocated in the last
// period. It takes for garbage what came onto the heap since the last collection; where that is not so
// the next one tells.
func (c *Collector) hasSpare(allocated uint64) bool {
	spare := c.FreeBytes + c.HeapBytes - min(c.LiveBytes, c.HeapBytes)
	return spare >= max(spareMin, c.LiveBytes/spareShare, allocated*sparePeriods)
}

// differs says whether a change is worth making: each one stops the process for a moment.
func differs(wanted, percent int) bool {
	return wanted*10 > percent*11 || wanted*11 < percent*10
}

// softLimit is the soft memory limit: the memory that MaxMemory allows, with its garbage, and the
// memory that the process needs besides.
func softLimit(need Need) int64 {
	if need.MaxMemory == 0 || need.MaxMemory > math.MaxInt64/2 {
		return math.MaxInt64
	}
	spares := 1 + need.Buffers/softLimitSpare
	return need.MaxMemory + need.MaxMemory/garbageShare*2 + garbageMin + spares*softLimitSpare
}

// A Collector has the runtime's figures of the heap and its collection.
type Collector struct {
	HeapBytes, LiveBytes uint64 // objects now, and those that the last collection has left
	FreeBytes            uint64 // without objects, and not given back to the system
	AllocatedBytes       uint64 // since the start
	Percent              int64  // −1: the collector is off (GOGC=off)
	SoftLimit            uint64
	Cycles               uint64
	CPUShare             float64 // of the processor time that was available since the start
}

// ReadCollector asks the runtime.
func ReadCollector() Collector {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/gogc:percent"},
		{Name: "/gc/gomemlimit:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	c := Collector{
		HeapBytes: samples[0].Value.Uint64(),
		LiveBytes: samples[1].Value.Uint64(),
		Percent:   int64(samples[2].Value.Uint64()),
		SoftLimit: samples[3].Value.Uint64(),
		Cycles:    samples[4].Value.Uint64(),

		FreeBytes:      samples[7].Value.Uint64(),
		AllocatedBytes: samples[8].Value.Uint64(),
	}
	if all := samples[6].Value.Float64(); all > 0 {
		c.CPUShare = samples[5].Value.Float64() / all
	}
	return c
}
