package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Prefetching harms nothing, whatever the key, before there is a table, while tables are
// replaced and after a flush.
func TestPrefetchChangesNothing(t *testing.T) {
	s := mustStore()
	keys := []string{"", "k", "12345678", "0123456789abcdef", strings.Repeat("x", KeyBytesMax), strings.Repeat("y", KeyBytesMax+1), "\x00\x00\x00\x00\x00\x00\x00\x00"}
	for i := range 5000 {
		keys = append(keys, fmt.Sprintf("user:%08d", i))
	}
	l := mustLimit(10, time.Minute, 0)
	for round := range 3 {
		for _, key := range keys {
			before := s.Stats()
			s.Prefetch(key)
			if s.Stats() != before {
				t.Fatalf("round %d: prefetching %.20q changed the store", round, key)
			}
			if CheckKey(key) != nil {
				continue
			}
			if d, err := s.Check(key, TokenBucket, l, 1, noon); err != nil || !d.Allowed {
				t.Fatalf("round %d: %.20q: %+v, %v", round, key, d, err)
			}
		}
		if round == 1 {
			s.Flush()
		}
	}
}
