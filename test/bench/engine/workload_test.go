package engine_test

import "github.com/rlserver/rlserver/engine"

// A workload is which keys are asked for, and where they come from.
type workload struct {
	name string
	keys int
	held []string // nil where they are received
}

// workloads are what contestants are compared in. There is one with a hot key only, because
// that key is in the cache wherever it comes from.
func workloads() []workload {
	return []workload{
		{"received keys", spreadKeys, nil},
		{"held keys", spreadKeys, heldKeys(spreadKeys)},
		{"hot key", 1, nil},
	}
}

// has says whether a contestant runs here: plain mutex and map are the hot key's baseline.
func (w workload) has(c contestant) bool { return c.name != nameMutex || w.keys == 1 }

// touch asks for every key once, all at the first instant, so that none is new later.
func touch(check checkFunc, keys int) {
	var s scratch
	var d engine.Decision
	for i := range keys {
		check(s.key(uint64(i)), firstNow, &d)
	}
}
