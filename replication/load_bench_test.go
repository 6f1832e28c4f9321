package replication

import (
	"fmt"
	"testing"

	"github.com/rlserver/rlserver/engine"
)

// BenchmarkLoad reads a base of a million keys: what is left to do for a restart is to put
// them into the store.
func BenchmarkLoad(b *testing.B) {
	const keys = 1_000_000
	dir := b.TempDir()
	d := mustOpen(b, dir)
	must(b, d.save(position{testID(1), 0}, func(visit func(*engine.Change) error) error {
		for i := range keys {
			if err := visit(&engine.Change{Key: fmt.Sprint("user:", 10_000_000+i), Algorithm: engine.TokenBucket, Word: int64(i)}); err != nil {
				return err
			}
		}
		return nil
	}))
	b.SetBytes(d.stats().dumpBytes)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, _, err := d.load(false, func(*engine.Change) error { n++; return nil }); err != nil || n != keys {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
	must(b, d.close())
}

// BenchmarkAppend appends a frame of one change.
func BenchmarkAppend(b *testing.B) {
	for name, policy := range map[string]fsyncPolicy{"always": fsyncAlways, "everysec": fsyncEverySec} {
		b.Run(name, func(b *testing.B) {
			w := newWriter(b, mustOpen(b, b.TempDir()), newHistory(1, 1, "k"))
			w.d.setPolicy(policy)
			w.begin()
			payload := appendChange(nil, &engine.Change{Key: "user:12345678", Algorithm: engine.TokenBucket, Word: 1 << 60})
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = appendFrame(buf[:0], frameChanges, w.at.offset, payload)
				w.at.offset += int64(len(payload))
				must(b, w.d.append(buf, w.at.offset))
			}
			must(b, w.d.close())
		})
	}
}
