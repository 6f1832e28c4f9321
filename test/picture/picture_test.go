// Package picture draws docs/algorithms.svg: the same requests, asked of every algorithm. The engine
// decides on them, so the picture shows what it does and not what somebody remembers.
package picture

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rlserver/rlserver/bench/chart"
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

var update = flag.Bool("update", false, "write docs/algorithms.svg anew")

const (
	limit  = 10
	minute = 60.0 // seconds
)

// requests are seconds: twelve before the end of a window, twelve behind it, and six when the first
// have been a minute ago.
func requests() (all []float64) {
	for _, burst := range []struct{ from, to float64 }{{48, 59}, {61, 72}, {106, 111}} {
		for at := burst.from; at <= burst.to; at++ {
			all = append(all, at)
		}
	}
	return all
}

// ask puts all requests to a fresh key of an algorithm.
func ask(t *testing.T, a engine.Algorithm) (events []chart.Event) {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := engine.NewLimit(limit, time.Minute, 0)
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, at := range requests() {
		d, err := store.Check("user:1", a, l, 1, midnight.Add(time.Duration(at*float64(time.Second))).UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, chart.Event{At: at, Leaves: at + d.Delay.Seconds(), Taken: d.Allowed})
	}
	return events
}

// most is the most units that leave in any minute.
func most(events []chart.Event) (units int) {
	for _, first := range events {
		within := 0
		for _, e := range events {
			if e.Taken && first.Taken && e.Leaves >= first.Leaves && e.Leaves < first.Leaves+minute {
				within++
			}
		}
		units = max(units, within)
	}
	return units
}

// lanes are the algorithms from top to bottom, and what the picture shows of each, before the most
// that it admits in a minute.
var lanes = []struct {
	algorithm engine.Algorithm
	says      string
}{
	{engine.TokenBucket, "a burst of 10, then one every 6 s"},
	{engine.LeakyBucket, "admits the same, and holds each until its turn, 6 s apart"},
	{engine.SlidingWindowLog, "each unit is free again exactly a minute after it was taken"},
	{engine.SlidingWindowCounter, "as the log, and free again up to 1/64 of a minute later"},
	{engine.FixedWindow, "10 before a boundary and 10 behind it, then none until the next"},
}

func TestPicture(t *testing.T) {
	line := chart.Timeline{
		Title: "10 requests a minute, around the end of a window",
		Note:  "each algorithm is asked by the same 30 requests",
		From:  42,
		Marks: []float64{minute, 2 * minute}, MarkName: "a window ends",
		Text: func(s float64) string { return fmt.Sprintf("%d:%02d", int(s)/60, int(s)%60) },
	}
	for i, l := range lanes {
		events := ask(t, l.algorithm)
		line.To = max(line.To, events[len(events)-1].Leaves+2)
		line.Lanes = append(line.Lanes, chart.Lane{
			Name: l.algorithm.String(), Color: i, Events: events,
			Says: fmt.Sprintf("%s: at most %d in a minute", l.says, most(events)),
		})
	}
	if len(lanes) != len(engine.Algorithms()) {
		t.Errorf("the picture shows %d of %d algorithms", len(lanes), len(engine.Algorithms()))
	}
	for at := 50.0; at < line.To; at += 10 {
		line.Ticks = append(line.Ticks, at)
	}
	file := filepath.Join(harness.Repository(), "docs", "algorithms.svg")
	drawn := line.Draw().File()
	if *update {
		if err := os.WriteFile(file, drawn, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, drawn) {
		t.Errorf("docs/algorithms.svg is not what the algorithms do (%v): make docs writes it anew", err)
	}
}
