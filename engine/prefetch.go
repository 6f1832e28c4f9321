package engine

import "unsafe"

// Prefetch asks the processor for the memory in which a key most likely is, and waits for
// nothing. It changes no answer: a caller that knows the next question while it asks the
// present one saves itself the wait. Keys of other lengths than 8 to 16 bytes it ignores.
func (s *Store) Prefetch(key string) {
	if !isShortKey(key) {
		return
	}
	hash := s.hasher.short(shortWords(key))
	h := &s.space.Load().hints[hash>>(64-shardBits)]
	prefetch(uintptr(unsafe.Pointer(h.base.Load())) + uintptr(home(metaOf(hash, key), h.n.Load())*slotBytes))
}
