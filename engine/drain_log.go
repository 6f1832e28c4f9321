package engine

import (
	"math"
	"slices"
)

// log reads a ring as it was at one instant, but for entries that have left since. It returns
// false if there is nothing of that any more.
//
// Entries are replaced in order, oldest first. So the place of the gap before and after tells
// which were replaced under the reader's eyes, if it has not gone all the way round, which the
// newest entry tells; and those that were had left. A log that is written to all the time
// therefore needs not stand still to be read.
func (r *changeReader) log(ring *ring, following bool, c *LogChange) bool {
	v := ring.view()
	newest := v.newestAt()
	// Older ones were left out when the ring was made, or have left.
	c.Oldest = max(v.base, newest+1-wholeMicros(v.period))
	c.Period, c.From = v.period, math.MinInt64
	from := c.Oldest
	if told := v.told.Load(); following && told > 0 {
		c.From = v.base + int64(told)*toldMicros
		from = max(from, c.From)
	}
	// Backwards, with one entry more for its count.
	r.words = r.words[:0]
	for i := v.size() - 1; i >= -1; i-- {
		w := v.entry(i)
		r.words = append(r.words, w)
		if w == 0 || w < logSeal && v.base+int64(w>>logUnitsBits) < from {
			break
		}
	}
	gap := ring.view().gapAt
	replaced := (int(gap) + int(v.n) - int(v.gapAt)) % int(v.n)
	there := min(len(r.words)-1, v.size()-replaced)
	if there == 0 || v.word(v.before(v.gapAt)).Load() != v.newest {
		return false // all have left
	}
	r.entries = r.entries[:0]
	for i := range there {
		w := r.words[i]
		r.entries = append(r.entries, LogEntry{v.base + int64(w>>logUnitsBits), int64((w - r.words[i+1]) & logUnitsMask)})
	}
	slices.Reverse(r.entries)
	c.Entries = r.entries
	if following {
		v.told.Store(uint32((newest - v.base) / toldMicros))
	}
	return true
}
