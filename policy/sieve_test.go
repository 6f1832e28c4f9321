package policy

import (
	"fmt"
	"testing"
)

// A key that was added passes, also through a sieve that has grown, and few others do.
func TestSieve(t *testing.T) {
	const keys = 10_000
	var p Policy
	for i := range keys {
		key := fmt.Sprint("key:", i)
		p.sift(key)
		p.keys.Store(key, &Plan{})
		p.keyCount.Add(1)
	}
	passed := 0
	for i := range keys {
		if !p.sieve.Load().mayHave(fmt.Sprint("key:", i)) {
			t.Fatalf("key:%d does not pass", i)
		}
		if p.sieve.Load().mayHave(fmt.Sprint("other:", i)) {
			passed++
		}
	}
	if passed > keys/50 {
		t.Errorf("%d of %d others pass", passed, keys)
	}
}
