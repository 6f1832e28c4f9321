package disk

import (
	"fmt"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// BenchmarkLoad reads a base of a million keys: what is left to do for a restart is to put
// them into the store.
func BenchmarkLoad(b *testing.B) {
	const keys = 1_000_000
	dir := b.TempDir()
	d := mustOpen(b, dir)
	must(b, d.Save(stream.Position{ID: testID(1), Offset: 0}, func(visit stream.Visitor) error {
		for i := range keys {
			if err := visit.Change(&engine.Change{Key: fmt.Sprint("user:", 10_000_000+i), Algorithm: engine.TokenBucket, Word: int64(i)}); err != nil {
				return err
			}
		}
		return nil
	}))
	b.SetBytes(d.stats().dumpBytes)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, _, err := d.Load(false, stream.Changes(func(*engine.Change) error { n++; return nil })); err != nil || n != keys {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
	must(b, d.Close())
}
