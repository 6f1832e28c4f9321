package stream

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A setOfTexts is a set of policies that understands any text, but for one.
type setOfTexts struct{ Texts }

var errText = errors.New("a text that is not understood")

func (s *setOfTexts) Apply(entries []Entry) error {
	if s.Texts == nil {
		s.Texts = Texts{}
	}
	for _, e := range entries {
		if e.Value == "bad" {
			return errText
		}
		_ = s.Entry(e)
	}
	return nil
}

func (s *setOfTexts) Replace(entries []Entry) error {
	other := setOfTexts{}
	if err := other.Apply(entries); err != nil {
		return err
	}
	*s = other
	return nil
}

func (s *setOfTexts) Each(visit func(Entry)) {
	for _, e := range s.List() {
		visit(e)
	}
}

// A framesLog keeps the frames.
type framesLog struct {
	noLog
	frames []byte
}

func (l *framesLog) Append(frames []byte, _ int64) { l.frames = append(l.frames, frames...) }

// A served is a server as its stream sees it.
type served struct {
	*Feed
	store *engine.Store
	set   *setOfTexts
	log   *framesLog
}

func newServed(t *testing.T) *served {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{store: store, set: &setOfTexts{}, log: &framesLog{}}
	s.Feed = NewFeed(context.Background(), store, s.set, func() int64 { return time.Now().UnixMicro() }, s.log)
	return s
}

// enter enters entries.
func (s *served) enter(entries ...Entry) error {
	s.Lock()
	defer s.Unlock()
	return s.Enter(func() ([]Entry, error) { return entries, nil })
}

// take takes a unit from a key.
func (s *served) take(t *testing.T, key string) {
	t.Helper()
	limit, err := engine.NewLimit(1000, time.Hour, 1000)
	if err == nil {
		_, err = s.store.Check(key, engine.TokenBucket, limit, 1, s.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// frames are what the stream has told.
func (s *served) told(t *testing.T) (all []Frame) {
	t.Helper()
	for r := NewFrameReader(strings.NewReader(string(s.log.frames))); r.At < int64(len(s.log.frames)); {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		f.Payload = append([]byte(nil), f.Payload...)
		all = append(all, f)
	}
	return all
}

// What was decided before a policy changes comes before the change, and what is decided under it
// comes behind.
func TestEntryStandsBeforeItsStates(t *testing.T) {
	s := newServed(t)
	s.Lock()
	s.Track(true)
	s.Unlock()
	s.take(t, "before")
	if err := s.enter(Entry{"api", "one"}, Entry{"api key", "two"}); err != nil {
		t.Fatal(err)
	}
	s.take(t, "behind")
	s.Drained()
	var order recorded
	for _, f := range s.told(t) {
		if err := ReadRecords(f.Payload, &order); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(order, " | "), "before | api=one | api key=two | behind"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	if s.Unsaved() != 4 {
		t.Errorf("%d changes to save, of 4", s.Unsaved())
	}
}

// A recorded is the names of what records tell.
type recorded []string

func (r *recorded) Change(c *engine.Change) error {
	*r = append(*r, strings.Clone(c.Key))
	return nil
}

func (r *recorded) Entry(e Entry) error {
	*r = append(*r, e.Field+"="+e.Value)
	return nil
}

// A change that cannot be computed, or be told, changes nothing; without a reader of the stream it
// is in force, and not told.
func TestEntriesThatDoNotEnter(t *testing.T) {
	s := newServed(t)
	if err := s.enter(Entry{"api", "one"}); err != nil || s.set.Texts["api"] != "one" || len(s.log.frames) > 0 {
		t.Fatal(err, s.set, s.log.frames)
	}
	s.Lock()
	s.Track(true)
	refused := errors.New("refused")
	if err := s.Enter(func() ([]Entry, error) { return []Entry{{"api", "two"}}, refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	s.Unlock()
	for _, e := range []Entry{{"", "x"}, {strings.Repeat("k", fieldBytesMax+1), "x"}, {"k", strings.Repeat("v", valueBytesMax+1)}} {
		if err := s.enter(Entry{"api", "two"}, e); !errors.Is(err, ErrRecord) {
			t.Error(err)
		}
	}
	if s.set.Texts["api"] != "one" || len(s.log.frames) > 0 {
		t.Error(s.set, s.log.frames)
	}
}

// A replica has the policies of the stream, and all of a full sync in place of its own. Without
// keys the primary still has policies.
func TestEntriesReachReplicas(t *testing.T) {
	primary, replica := newServed(t), newServed(t)
	_ = primary.set.Apply([]Entry{{"old", "1"}, {"old key", "2"}})
	_ = replica.set.Apply([]Entry{{"own", "3"}})
	primary.take(t, "key")
	loading := replica.Load()
	if err := primary.Dump(loading); err != nil || loading.Records != 3 {
		t.Fatal(err, loading.Records)
	}
	if err := replica.Install(loading, primary.Place()); err != nil {
		t.Fatal(err)
	}
	same := func() {
		t.Helper()
		if !maps.Equal(primary.set.Texts, replica.set.Texts) || replica.store.Len() != primary.store.Len() {
			t.Errorf("the replica has %d keys and %v, the primary %d and %v", replica.store.Len(), replica.set, primary.store.Len(), primary.set)
		}
	}
	same()
	primary.Lock()
	primary.Track(true)
	primary.Unlock()
	primary.store.Flush()
	if err := primary.enter(Entry{"new", "4"}, Entry{"old key", ""}, Entry{"old", "5"}); err != nil {
		t.Fatal(err)
	}
	for _, f := range primary.told(t) {
		if err := replica.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	same()
	// What the replica does not understand it does not take over.
	bad := replica.Load()
	_ = bad.Entry(Entry{"api", "bad"})
	if err := replica.Install(bad, primary.Place()); !errors.Is(err, errText) {
		t.Error(err)
	}
	if err := replica.Apply(Frame{Kind: FrameChanges, Offset: primary.Offset(), Payload: AppendEntry(nil, Entry{"api", "bad"})}); !errors.Is(err, errText) {
		t.Error(err)
	}
	same()
}
