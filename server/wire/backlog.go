package wire

// A backlog keeps the replies that a peer has not read yet, in pieces that are never moved. To grow
// one buffer would need twice the memory.
type backlog struct {
	pieces [][]byte
	bytes  int64
}

// backlogPiece is the least size of a piece, in bytes.
const backlogPiece = 4 << 10

func (b *backlog) add(out []byte) {
	b.bytes += int64(len(out))
	if last := len(b.pieces) - 1; last >= 0 {
		piece := b.pieces[last]
		n := min(cap(piece)-len(piece), len(out))
		b.pieces[last] = append(piece, out[:n]...)
		out = out[n:]
	}
	if len(out) > 0 {
		b.pieces = append(b.pieces, append(make([]byte, 0, max(len(out), backlogPiece)), out...))
	}
}

// send calls write, which writes what it can and returns the rest, until it cannot write all.
func (b *backlog) send(write func([]byte) (rest []byte, err error)) error {
	for len(b.pieces) > 0 {
		rest, err := write(b.pieces[0])
		if err != nil {
			return err
		}
		b.bytes -= int64(len(b.pieces[0]) - len(rest))
		if len(rest) > 0 {
			b.pieces[0] = rest
			return nil
		}
		b.pieces[0] = nil
		b.pieces = b.pieces[1:]
	}
	b.pieces = nil
	return nil
}
