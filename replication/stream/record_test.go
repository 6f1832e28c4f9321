package stream

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness/race"
)

// keep is a change that outlives the visit.
func keep(c *engine.Change) engine.Change {
	kept := *c
	kept.Key = strings.Clone(c.Key)
	kept.Log.Entries = slices.Clone(c.Log.Entries)
	return kept
}

func readAll(payload []byte) ([]engine.Change, error) {
	var all []engine.Change
	err := ReadRecords(payload, Changes(func(c *engine.Change) error {
		all = append(all, keep(c))
		return nil
	}))
	return all, err
}

func sameChange(a, b engine.Change) bool {
	if len(a.Log.Entries) == 0 && len(b.Log.Entries) == 0 {
		a.Log.Entries, b.Log.Entries = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func logOf(key string, from, oldest int64, entries ...engine.LogEntry) engine.Change {
	return engine.Change{Key: key, Algorithm: engine.SlidingWindowLog, Log: engine.LogChange{
		Period: 60e9, Oldest: oldest, From: from, Entries: entries}}
}

func wordOf(key string, rest int64) engine.Change {
	return engine.Change{Key: key, Algorithm: engine.TokenBucket, Word: rest}
}

// What is written to disk outlives the table of algorithms, so their numbers may not change.
func TestAlgorithmNumbers(t *testing.T) {
	if engine.TokenBucket != 1 || engine.LeakyBucket != 2 || engine.SlidingWindowLog != 3 ||
		engine.FixedWindow != 4 || engine.SlidingWindowCounter != 5 {
		t.Error("an algorithm has another number than in files that were written before")
	}
}

func TestRecordsComeBack(t *testing.T) {
	const now = 1_700_000_000_000_000
	want := []engine.Change{
		{},
		{Key: "a"},
		{Key: strings.Repeat("k", engine.StateBytesMax)},
		{Key: "user:1@api:t100/1s", Algorithm: engine.TokenBucket | engine.Named, Word: now},
		wordOf("user:1", now*1000), wordOf("\x00", math.MaxInt64), wordOf(strings.Repeat("k", 200), math.MinInt64),
		{Key: "leaky", Algorithm: engine.LeakyBucket, Word: 1},
		logOf("log", math.MinInt64, now-60e6),
		logOf("log", math.MinInt64, now-60e6, engine.LogEntry{At: now, Units: 1}),
		logOf("log", now, now, engine.LogEntry{At: now, Units: 1}, engine.LogEntry{At: now, Units: 500_000}, engine.LogEntry{At: now + 1, Units: 3}),
		logOf("log", now-5, now+7, engine.LogEntry{At: now - 5, Units: 1}),
		logOf("log", math.MaxInt64, math.MinInt64),
		logOf("log", math.MinInt64+1, math.MaxInt64, engine.LogEntry{At: math.MinInt64, Units: 0}, engine.LogEntry{At: math.MaxInt64, Units: math.MaxInt64}),
	}
	var payload []byte
	for i := range want {
		payload = AppendChange(payload, &want[i])
	}
	got, err := readAll(payload)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i := range want {
		if !sameChange(got[i], want[i]) {
			t.Errorf("record %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	stop := errors.New("stop")
	visits := 0
	if err := ReadRecords(payload, Changes(func(*engine.Change) error { visits++; return stop })); !errors.Is(err, stop) || visits != 1 {
		t.Errorf("%v after %d visits", err, visits)
	}
}

// A payload that ends anywhere but between two records is refused after the records before.
func TestRecordsCut(t *testing.T) {
	want := []engine.Change{wordOf("user:1", 5), logOf("l", 1<<50, 1<<50-3, engine.LogEntry{At: 1 << 50, Units: 300}, engine.LogEntry{At: 1<<50 + 200, Units: 1}), {Key: "gone"}, {}, wordOf("x", 1)}
	var payload []byte
	ends := map[int]int{0: 0}
	for i := range want {
		payload = AppendChange(payload, &want[i])
		ends[len(payload)] = i + 1
	}
	for n := range len(payload) + 1 {
		got, err := readAll(payload[:n])
		if whole, ok := ends[n]; ok != (err == nil) || ok && len(got) != whole {
			t.Errorf("%d bytes: %d records, %v", n, len(got), err)
		}
		if err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%d bytes: %v", n, err)
		}
		for i := range got {
			if !sameChange(got[i], want[i]) {
				t.Errorf("%d bytes: record %d is %+v", n, i, got[i])
			}
		}
	}
}

func TestRecordsThatCannotBe(t *testing.T) {
	l := string([]byte{recordLog, byte(engine.SlidingWindowLog), 1, 'k', 1, 0, 0, 0, 0, 0, 0, 0, 0})
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"type 0":              {"\x00", ErrNewer},
		"later type":          {"\x07", ErrNewer},
		"no field":            {"\x06\x00\x01v", ErrRecord},
		"field above most":    {"\x06\x81\x10" + strings.Repeat("k", 2049) + "\x00", ErrRecord},
		"value above most":    {"\x06\x01k\x81\x80\x04" + strings.Repeat("v", 65537), ErrRecord},
		"no value":            {"\x06\x01k", ErrRecord},
		"endless value":       {"\x06\x01k\xff\xff\x03v", ErrRecord},
		"no algorithm":        {"\x01\x00\x01k12345678", ErrRecord},
		"later algorithm":     {"\x01\x09\x01k12345678", ErrNewer},
		"word of a log":       {"\x01\x03\x01k12345678", ErrRecord},
		"log of a word":       {"\x02\x01" + l[2:] + "\x00", ErrRecord},
		"no key":              {"\x04\x00", ErrRecord},
		"key above the most":  {"\x04\x81\x09" + strings.Repeat("k", 1153), ErrRecord},
		"no algorithm, named": {"\x01\x20\x01k12345678", ErrRecord},
		"endless number":      {"\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ErrRecord},
		"many entries":        {l + "\xff\xff\xff\xff\x0f", ErrRecord},
		"out of order":        {l + "\x02\x04\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", ErrRecord},
		"units":               {l + "\x01\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ErrRecord},
	} {
		if got, err := readAll([]byte(c.payload)); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// unpack reads frames back.
func unpack(t *testing.T, frames []byte) (all []engine.Change, largest int) {
	t.Helper()
	r := NewFrameReader(bytes.NewReader(frames))
	for r.At < int64(len(frames)) {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind == FrameEnd {
			continue
		}
		largest = max(largest, len(f.Payload))
		some, err := readAll(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all, largest
}

func TestPacker(t *testing.T) {
	const start = 1 << 33
	var frames []byte
	emits, end := 0, int64(0)
	p := NewPacker(FrameChanges, start, noClock, func(b []byte, e int64) error {
		frames = append(frames, b...)
		emits++
		end = e
		return nil
	})
	random := rand.New(rand.NewPCG(3, 4))
	var want []engine.Change
	for i := range 50_000 {
		c := wordOf(strings.Repeat("k", 1+random.IntN(100)), int64(i))
		want = append(want, c)
		if err := p.Change(&c); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	got, _ := unpack(t, frames)
	if !reflect.DeepEqual(got, want) {
		t.Error("what was packed is not what came out")
	}
	if emits < 2 || emits > 1+len(frames)/emitBytes || end != p.offset {
		t.Errorf("%d emits of %d bytes, end %d of %d", emits, len(frames), end, p.offset)
	}
	offset := int64(start)
	for r := NewFrameReader(bytes.NewReader(frames)); r.At < int64(len(frames)); {
		f, err := r.Next()
		if err != nil || f.Offset != offset {
			t.Fatalf("offset %d, want %d: %v", f.Offset, offset, err)
		}
		offset = f.End()
	}
	if offset != end {
		t.Errorf("the last frame ends at %d, want %d", offset, end)
	}
	if n := emits; p.Flush() != nil || emits != n {
		t.Error("a flush of nothing emitted something")
	}
}

// A log of any size comes out whole when its records are applied one behind the other, and no
// frame is above the bound.
func TestPackerSplitsLogs(t *testing.T) {
	const most = 500_000
	random := rand.New(rand.NewPCG(5, 6))
	for name, step := range map[string]func() int64{
		"one instant":     func() int64 { return 0 },
		"a few instants":  func() int64 { return int64(random.IntN(10_000) / 9_999) },
		"many instants":   func() int64 { return int64(random.IntN(3)) },
		"far from others": func() int64 { return 1 << 43 },
	} {
		t.Run(name, func(t *testing.T) {
			c := logOf(strings.Repeat("k", engine.KeyBytesMax), math.MinInt64, 1<<50)
			at := int64(1 << 50)
			for range most {
				at += step()
				c.Log.Entries = append(c.Log.Entries, engine.LogEntry{At: at, Units: 1})
			}
			for _, from := range []int64{math.MinInt64, 1 << 50} {
				c.Log.From = from
				var frames []byte
				p := NewPacker(FrameSnapshot, 1, noClock, func(b []byte, _ int64) error { frames = append(frames, b...); return nil })
				before := wordOf(strings.Repeat("k", 1000), 1)
				for range 65 { // nearly a payload, so that the log's first record begins late
					if err := p.Change(&before); err != nil {
						t.Fatal(err)
					}
				}
				if err := p.Change(&c); err != nil {
					t.Fatal(err)
				}
				if err := p.End(); err != nil {
					t.Fatal(err)
				}
				all, _ := unpack(t, frames)
				var entries []engine.LogEntry
				for _, part := range all[65:] {
					if len(entries) == 0 && part.Log.From != from || part.Log.Oldest != c.Log.Oldest || part.Log.Period != c.Log.Period {
						t.Fatalf("a part is %+v", part)
					}
					for len(entries) > 0 && entries[len(entries)-1].At >= part.Log.From {
						entries = entries[:len(entries)-1]
					}
					entries = append(entries, part.Log.Entries...)
				}
				if !slices.Equal(entries, c.Log.Entries) {
					t.Errorf("from %d: %d entries came out of %d", from, len(entries), len(c.Log.Entries))
				}
			}
		})
	}
}

func TestRecordsTakeNoMemory(t *testing.T) {
	changes := []engine.Change{wordOf("user:123456", 1<<60), {Key: "gone"},
		logOf("l", 1<<50, 1<<50, engine.LogEntry{At: 1 << 50, Units: 1}, engine.LogEntry{At: 1<<50 + 9, Units: 1})}
	p := NewPacker(FrameChanges, 0, noClock, func([]byte, int64) error { return nil })
	var payload []byte
	for i := range changes {
		payload = AppendChange(payload, &changes[i])
	}
	seen := 0
	visit := Changes(func(*engine.Change) error { seen++; return nil })
	if n := testing.AllocsPerRun(1000, func() {
		for i := range changes {
			if p.Change(&changes[i]) != nil {
				t.Fatal("add")
			}
		}
		if ReadRecords(payload, visit) != nil || p.Flush() != nil {
			t.Fatal("read")
		}
	}); n >= 1 && !race.Enabled {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReadRecords(b *testing.B) {
	var payload []byte
	c := wordOf("user:12345678", 1<<60)
	for range 1000 {
		payload = AppendChange(payload, &c)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ReadRecords(payload, Changes(func(*engine.Change) error { return nil })); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever can be read can be written, and reads the same again.
func FuzzRecords(f *testing.F) {
	for _, c := range []engine.Change{{}, {Key: "a"}, wordOf("user:1", 5), logOf("l", 7, 3, engine.LogEntry{At: 8, Units: 1}, engine.LogEntry{At: 9, Units: 1})} {
		f.Add(AppendChange(nil, &c))
	}
	f.Add(AppendEntry(AppendEntry(nil, Entry{"api", "token_bucket 100 1s"}), Entry{"api user:1", ""}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var first, second rewriter
		if err := ReadRecords(payload, &first); err != nil && !errors.Is(err, ErrRecord) && !errors.Is(err, ErrNewer) {
			t.Fatal(err)
		}
		if err := ReadRecords(first, &second); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%q became %q: %v", []byte(first), []byte(second), err)
		}
	})
}

// A rewriter writes the records that it is told.
type rewriter []byte

func (r *rewriter) Change(c *engine.Change) error { *r = AppendChange(*r, c); return nil }
func (r *rewriter) Entry(e Entry) error           { *r = AppendEntry(*r, e); return nil }

// noClock is the clock of frames of which the reading says nothing.
func noClock() int64 { return 0 }
