package replication

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A noLog keeps nothing.
type noLog struct{}

func (noLog) append([]byte, int64)     {}
func (noLog) continueAs(position)      {}
func (noLog) replace(position, dumper) {}

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
	var f *feed
	var within bool // the next reading of the clock is that of a frame that is being applied
	end := make(chan int64, 1)
	f = newFeed(context.Background(), store, func() int64 {
		if within {
			within = false
			seen := make(chan struct{})
			go func() {
				_ = f.dumpBase(func(*engine.Change) error { close(seen); return nil })
				end <- f.offset()
			}()
			<-seen
		}
		return now
	}, noLog{})
	within = true
	payload := appendChange(nil, &engine.Change{Key: "gone"})
	if err := f.apply(frame{kind: frameChanges, payload: payload}); err != nil {
		t.Fatal(err)
	}
	if got := <-end; got != int64(len(payload)) {
		t.Errorf("the base was done at %d, before the frame was in the stream", got)
	}
}
