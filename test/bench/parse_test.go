package bench

import (
	"testing"
	"time"
)

func TestParseBenchmarkCSV(t *testing.T) {
	const names = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"
	const values = `"INCR n:__rand_int__","639727.06","4.773","0.504","4.751","7.263","8.135","9.767"` + "\n"
	got, err := parseBenchmarkCSV(names + values)
	if want := (Report{639727.06, 4.751, 7.263, 8.135, 9.767}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for what, text := range map[string]string{
		"nothing":             "",
		"no values":           names,
		"two tests":           names + values + values,
		"too few columns":     "\"test\",\"rps\"\n\"PING\",\"12.5\"\n",
		"words for a number":  names + `"PING","fast","1","1","1","1","1","1"` + "\n",
		"no requests":         names + `"PING","0.00","1","1","1","1","1","1"` + "\n",
		"a message before it": "WARNING: Could not fetch server CONFIG\n" + names + values,
	} {
		if got, err := parseBenchmarkCSV(text); err == nil {
			t.Errorf("%s: got %+v, want an error", what, got)
		}
	}
}

func TestParseBusy(t *testing.T) {
	const stat = "cpu  100 20 3 5000 600 4 5 700 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
	got, err := parseBusy(stat)
	if want := 1320 * time.Millisecond; err != nil || got != want {
		t.Errorf("got %v, %v, want %v: neither idle nor stolen time is busy", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		if got, err := parseBusy(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
