package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A noLog keeps nothing.
type noLog struct{}

func (noLog) Append([]byte, int64)     {}
func (noLog) ContinueAs(Position)      {}
func (noLog) Replace(Position, Dumper) {}

// A base that is written while a primary's frame is applied waits for that frame: when the base
// is done, what it may have seen is in the stream.
func TestBaseWaitsForTheFrame(t *testing.T) {
	store, err := engine.NewStore(engine.Options{})
	now := time.Now().UnixMicro()
	limit, errLimit := engine.NewLimit(10, time.Hour, 10)
	_, errCheck := store.Check("key", engine.TokenBucket, limit, 1, now)
	if err := errors.Join(err, errLimit, errCheck); err != nil {
		t.Fatal(err)
	}
	var f *Feed
	var within bool // the next reading of the clock is that of a frame that is being applied
	end := make(chan int64, 1)
	f = NewFeed(context.Background(), store, &setOfTexts{}, func() int64 {
		if within {
			within = false
			seen := make(chan struct{})
			go func() {
				_ = f.DumpBase(Changes(func(*engine.Change) error { close(seen); return nil }))
				end <- f.Offset()
			}()
			<-seen
		}
		return now
	}, noLog{})
	within = true
	payload := AppendChange(nil, &engine.Change{Key: "gone"})
	if err := f.Apply(Frame{Kind: FrameChanges, Payload: payload}); err != nil {
		t.Fatal(err)
	}
	if got := <-end; got != int64(len(payload)) {
		t.Errorf("the base was done at %d, before the frame was in the stream", got)
	}
}

// Units that are carried from one state to another, as the engine does it while a drain is under way,
// are in one of the two states at the end of each drain.
func TestDrainTellsOfBothSteps(t *testing.T) {
	const pairs, others = 200, 20_000
	s := newServed(t)
	between := false // the next reading of the clock comes in the middle of a drain
	s.packer.now = func() int64 {
		if between {
			between = false
			for i := range pairs {
				s.take(t, fmt.Sprint("new:", i))
				s.store.Reset(fmt.Sprint("old:", i), s.Now())
			}
		}
		return s.Now()
	}
	for i := range pairs {
		s.take(t, fmt.Sprint("old:", i))
	}
	s.Lock()
	defer s.Unlock()
	s.Track(true)
	for i := range others {
		s.take(t, fmt.Sprint("other:", i))
	}
	between = true
	s.Drain()
	told, cut := map[string]bool{}, 0
	for _, f := range s.told(t) {
		var names recorded
		if err := ReadRecords(f.Payload, &names); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			told[name] = true
		}
	}
	for i := range pairs {
		if told[fmt.Sprint("old:", i)] && !told[fmt.Sprint("new:", i)] {
			cut++
		}
	}
	if cut > 0 || between {
		t.Errorf("of %d pairs %d are told of by their second step alone", pairs, cut)
	}
}

// Whatever is added in whatever pieces, the stream is read on from any frame's begin that is
// kept, and from nowhere else; and what is kept is bounded.
func TestBacklog(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		b := backlog{limit: int64(200 + random.IntN(2000))}
		start := random.Int64N(1000)
		b.restart(start)
		var written []byte            // all frames since the start
		at := map[int64]int{start: 0} // where in written the frame at an offset begins
		end := start
		for range random.IntN(60) {
			var frames []byte
			for range 1 + random.IntN(4) {
				payload := bytes.Repeat([]byte{byte(random.IntN(256))}, 1+random.IntN(60))
				frames = AppendFrame(frames, FrameChanges, end, 0, payload)
				end += int64(len(payload))
				at[end] = len(written) + len(frames)
			}
			written = append(written, frames...)
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
			case err != nil || !bytes.Equal(got, written[from:]):
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
