package engine_test

import (
	"math/bits"
	"testing"
	"time"
)

// A histogram counts spans in buckets that are at most a 32nd of their spans wide, so that
// to record one costs no memory, and the longest as it is.
type histogram struct {
	counts [bucketsMax]uint64
	total  uint64
	max    time.Duration
}

const (
	bucketBits = 5 // of a span's leading ones that tell buckets apart
	bucketsMax = (64 - bucketBits) << bucketBits
)

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

// merge adds what another histogram has counted.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// bucketOf is exact below 64 ns; from there on a bucket is a power of two and the five bits
// behind it.
func bucketOf(d time.Duration) int {
	shift := max(bits.Len64(uint64(d))-bucketBits-1, 0)
	return shift<<bucketBits + int(uint64(d)>>shift)
}

// bucketEnd is the longest span in a bucket.
func bucketEnd(bucket int) time.Duration {
	shift := max(bucket>>bucketBits-1, 0)
	return time.Duration((bucket-shift<<bucketBits+1)<<shift - 1)
}

// quantile is a span that this share of all, 0 … 1, do not exceed.
func (h *histogram) quantile(share float64) time.Duration {
	left := uint64(share * float64(h.total))
	for i, n := range h.counts {
		if left < n {
			return min(bucketEnd(i), h.max)
		}
		left -= n
	}
	return h.max
}

func TestHistogram(t *testing.T) {
	var h histogram
	for d := range time.Duration(1_000_000) {
		if end := bucketEnd(bucketOf(d)); end < d || end > d+d/32 {
			t.Fatalf("%d is in the bucket that ends with %d", d, end)
		}
		h.add(d)
	}
	for share, want := range map[float64]time.Duration{0: 0, 0.5: 500_000, 0.999: 999_000, 1: 999_999} {
		if got := h.quantile(share); got < want || got > want+want/32 {
			t.Errorf("quantile %v is %d, not %d", share, got, want)
		}
	}
	if longest := bucketOf(1<<63 - 1); longest >= bucketsMax {
		t.Errorf("the longest span is in bucket %d of %d", longest, bucketsMax)
	}
}
