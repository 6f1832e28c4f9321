package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The bytes that go in come out in order, however many the peer reads at a time, and none is counted
// twice.
func TestBacklog(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b backlog
	var in, out []byte
	for i := range 10_000 {
		if random.IntN(3) > 0 {
			reply := bytes.Repeat([]byte{byte(i)}, random.IntN(3*backlogPiece))
			in = append(in, reply...)
			b.add(reply)
			clear(reply) // it is the caller's again
		} else if err := b.send(func(p []byte) ([]byte, error) {
			n := random.IntN(len(p) + 1)
			out = append(out, p[:n]...)
			return p[n:], nil
		}); err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, piece := range b.pieces {
			size += len(piece)
		}
		if int64(size) != b.bytes || int(b.bytes) != len(in)-len(out) {
			t.Fatalf("step %d: %d bytes said to be kept, %d kept, %d not sent", i, b.bytes, size, len(in)-len(out))
		}
	}
	for b.bytes > 0 {
		_ = b.send(func(p []byte) ([]byte, error) { out = append(out, p...); return nil, nil })
	}
	if !bytes.Equal(in, out) || b.pieces != nil {
		t.Fatal("other bytes came out than went in, or pieces are left")
	}
}
