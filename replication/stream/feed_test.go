package stream

import (
	"context"
	"errors"
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
	f = NewFeed(context.Background(), store, func() int64 {
		if within {
			within = false
			seen := make(chan struct{})
			go func() {
				_ = f.DumpBase(func(*engine.Change) error { close(seen); return nil })
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
