package engine

import "sync/atomic"

// logSlots is the array of slots behind log states; log_state.go tells how it is shared.
// Slots are read and written atomically because a late caller may store a slot's value
// again, the same value, while others read it.
type logSlots struct {
	base  int64 // µs since the Unix epoch
	words []uint64
}

// newLogSlots makes an array for live entries with room to append.
func newLogSlots(base int64, live int) *logSlots {
	return &logSlots{base: base, words: make([]uint64, live+live/4+logSlotsSpare)}
}

func (s *logSlots) load(i int) uint64 { return atomic.LoadUint64(&s.words[i]) }

func (s *logSlots) store(i int, word uint64) {
	if checkInvariants {
		if old := s.load(i); old != 0 && old != word {
			panic("engine: a published log slot would change its value")
		}
	}
	atomic.StoreUint64(&s.words[i], word)
}
