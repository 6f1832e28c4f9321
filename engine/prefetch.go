package engine

import "unsafe"

// Prefetch asks the processor for the memory in which a key most likely is, and waits for
// nothing. It changes no answer: a caller that knows its next questions while it asks the
// present one saves itself the wait. Some eight questions in advance are enough. AskAll does so by
// itself.
func (s *Store) Prefetch(key string) {
	if !isShortKey(key) {
		s.prefetchOther(key)
		return
	}
	hash := s.hasher.short(shortWords(key))
	h := &s.space.Load().hints[hash>>(64-shardBits)]
	prefetchSlots(unsafe.Pointer(h.base.Load()), home(metaOf(hash, key), h.n.Load())*slotBytes)
}

// prefetchOther is Prefetch for keys that are not short, and what is no key.
func (s *Store) prefetchOther(key string) {
	if CheckState(key) != nil {
		return
	}
	s.space.Load().prefetch(s.hasher.hash(key), key)
}

// prefetch is Prefetch for a key of any length, where its hash is known.
func (sp *space) prefetch(hash uint64, key string) {
	if t := sp.shelves[classOf[plainWords(key)]][hash>>(64-shardBits)].Load(); t != nil {
		prefetchSlots(unsafe.Pointer(unsafe.SliceData(t.words)), home(metaOf(hash, key), t.n)*t.stride*8)
	}
}

// prefetchSlots prefetches the cache line with the slot where the search for a key begins, and the
// one behind it, to which the search goes on for one key in four.
func prefetchSlots(base unsafe.Pointer, offset uint64) {
	at := uintptr(base) + uintptr(offset)
	prefetch(at)
	prefetch(at + cacheLineBytes)
}

const cacheLineBytes = 64
