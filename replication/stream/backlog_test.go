package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// Whatever is added in whatever pieces, the stream is read on from any frame's begin that is
// kept, and from nowhere else; and what is kept is bounded.
func TestBacklog(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		b := backlog{limit: int64(200 + random.IntN(2000))}
		start := random.Int64N(1000)
		b.restart(start)
		var whole []byte              // all frames since the start
		at := map[int64]int{start: 0} // where in whole the frame at an offset begins
		end := start
		for range random.IntN(60) {
			var frames []byte
			for range 1 + random.IntN(4) {
				payload := bytes.Repeat([]byte{byte(random.IntN(256))}, 1+random.IntN(60))
				frames = AppendFrame(frames, FrameChanges, end, payload)
				end += int64(len(payload))
				at[end] = len(whole) + len(frames)
			}
			whole = append(whole, frames...)
			b.add(frames, end)
			if most := b.limit + int64(len(frames)); b.bytes > most {
				t.Fatalf("%d bytes are kept, of %d", b.bytes, most)
			}
		}
		for offset := start - 5; offset <= end+5; offset++ {
			got, err := readOn(&b, offset)
			from, isFrame := at[offset]
			switch {
			case offset < b.begin || offset > end || !isFrame:
				if err == nil {
					t.Fatalf("something is read at %d, of %d to %d", offset, b.begin, end)
				}
			case err != nil || !bytes.Equal(got, whole[from:]):
				t.Fatalf("at %d, of %d to %d: %v", offset, b.begin, end, err)
			}
		}
	}
}

// readOn reads all from an offset on.
func readOn(b *backlog, offset int64) (all []byte, err error) {
	for {
		frames, end, ok := b.from(offset)
		switch {
		case !ok:
			return nil, fmt.Errorf("no frame at %d", offset)
		case len(frames) == 0:
			return all, nil
		}
		all, offset = append(all, frames...), end
	}
}
