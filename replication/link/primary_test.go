package link

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// A noLog keeps nothing.
type noLog struct{}

func (noLog) Append([]byte, int64)                   {}
func (noLog) ContinueAs(stream.Position)             {}
func (noLog) Replace(stream.Position, stream.Dumper) {}

// startPrimary serves replicas of a new store with so many keys.
func startPrimary(t *testing.T, keys int) (*Primary, *engine.Store) {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	must(t, err)
	now := time.Now().UnixMicro()
	limit, err := engine.NewLimit(1000, time.Hour, 1000)
	must(t, err)
	for i := range keys {
		_, err := store.Check(fmt.Sprint(strings.Repeat("long ", 200), i), engine.TokenBucket, limit, 1, now)
		must(t, err)
	}
	feed := stream.NewFeed(t.Context(), store, nil, func() int64 { return now }, noLog{})
	feed.LimitBacklog(1 << 20)
	return NewPrimary(t.Context(), Options{Feed: feed, Logger: slog.New(slog.DiscardHandler),
		Tuning: func() Tuning { return Tuning{Timeout: time.Minute} }}, func() *Replica { return nil }), store
}

// A key that is flushed during a full sync does not come back on the replica, however slowly
// the replica reads.
func TestFlushDuringFullSync(t *testing.T) {
	for _, at := range []int{0, 12, 16, 28} { // but for 0 within a step of the dump
		flushDuringFullSync(t, at)
	}
}

// flushDuringFullSync flushes when the replica has so many frames.
func flushDuringFullSync(t *testing.T, at int) {
	t.Helper()
	p, primary := startPrimary(t, 2100)
	near, far := net.Pipe()
	go p.Serve(SyncRequest{Conn: far, IP: "127.0.0.1", Port: 1, Version: SyncVersion, ID: "?", Offset: -1})
	defer func() { _ = near.Close() }()
	for b := make([]byte, 1); b[0] != '\n'; {
		_, err := near.Read(b)
		must(t, err)
	}
	replica := map[string]bool{}
	frames, place, ended := stream.NewFrameReader(near), int64(0), false
	for i := 0; !ended || place < p.Feed.Drained(); i++ {
		f, err := frames.Next()
		must(t, err)
		if f.Kind != stream.FrameEnd {
			must(t, stream.ReadRecords(f.Payload, stream.Changes(func(c *engine.Change) error {
				switch {
				case c.Key == "":
					clear(replica)
				case c.Algorithm == 0:
					delete(replica, c.Key)
				default:
					replica[strings.Clone(c.Key)] = true
				}
				return nil
			})))
		}
		ended, place = ended || f.Kind == stream.FrameEnd, max(place, f.End())
		if i == at { // the primary may be in the middle of a step
			primary.Flush()
			p.Feed.Drained()
		}
	}
	if len(replica) > 0 || primary.Len() > 0 {
		t.Errorf("after %d frames: the replica has %d keys, and the primary %d", at, len(replica), primary.Len())
	}
}

// A WAIT that is abandoned ends, though there never are so many replicas.
func TestAbandonedWaitEnds(t *testing.T) {
	p, _ := startPrimary(t, 0)
	ended := make(chan int, 1)
	abandon := p.Wait(1, 0, func(acknowledged int) { ended <- acknowledged })
	if len(ended) > 0 {
		t.Fatal("it ended by itself")
	}
	abandon()
	if got := <-ended; got != 0 {
		t.Errorf("%d replicas, of none", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
