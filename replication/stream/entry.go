package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rlserver/rlserver/engine"
)

// An Entry is a policy, or an override of one, as a text by its name. The stream does not know what
// the text says. All entries together are a set: see Entries.
type Entry struct {
	Field string
	Value string // empty: there is none any more
}

// Entries is the set of policies that is in force. The feed calls Apply and Replace one after the
// other, and Each not meanwhile.
type Entries interface {
	// Apply puts entries in force, in order.
	Apply([]Entry) error
	// Replace puts another set in place of the whole one.
	Replace([]Entry) error
	// Each visits all entries in force.
	Each(visit func(Entry))
}

// none is the set of a server without policies.
type none struct{}

var errNone = errors.New("replication: this server has no policies")

func (none) Apply(entries []Entry) error { return none{}.Replace(entries) }
func (none) Each(func(Entry))            {}
func (none) Replace(entries []Entry) error {
	if len(entries) > 0 {
		return errNone
	}
	return nil
}

// The bounds of an entry, in bytes. A name and a key fit in a field.
const (
	fieldBytesMax = 2 << 10
	valueBytesMax = 64 << 10
)

// CheckEntry is the error for an entry that no record holds.
func CheckEntry(e Entry) error {
	switch {
	case e.Field == "" || len(e.Field) > fieldBytesMax:
		return fmt.Errorf("%w: a name of %d bytes for a policy, and 1 to %d are accepted", ErrRecord, len(e.Field), fieldBytesMax)
	case len(e.Value) > valueBytesMax:
		return fmt.Errorf("%w: a policy of %d bytes, and %d are the most", ErrRecord, len(e.Value), valueBytesMax)
	}
	return nil
}

// entry reads what stands behind the kind of an entry.
func (r *recordReader) entry() (e Entry, err error) {
	if e.Field, err = r.text(); err == nil {
		e.Value, err = r.text()
	}
	if err == nil && CheckEntry(e) != nil {
		err = r.bad("an entry out of bounds")
	}
	return e, err
}

// text reads a text of its own memory.
func (r *recordReader) text() (string, error) {
	var n uint64
	if err := r.uvarint(&n); err != nil {
		return "", err
	}
	if n > uint64(len(r.in)) {
		return "", r.bad("it ends within a text")
	}
	text := string(r.in[:n])
	r.in = r.in[n:]
	return text, nil
}

// Texts are the entries of a set that is being read.
type Texts map[string]string

// Entry takes in what a record tells.
func (t Texts) Entry(e Entry) error {
	if t[e.Field] = e.Value; e.Value == "" {
		delete(t, e.Field)
	}
	return nil
}

// List lists them by their fields, so that a policy comes before its overrides.
func (t Texts) List() []Entry {
	list := make([]Entry, 0, len(t))
	for field, value := range t {
		list = append(list, Entry{field, value})
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Field, b.Field) })
	return list
}

// Enter appends entries to the stream and then puts them in force, so that the stream tells of a
// policy before it tells of any state that was decided under it. compute is called with no entry
// entering meanwhile, and tells them; its error is returned, and nothing has changed then. Locked.
func (f *Feed) Enter(compute func() ([]Entry, error)) error {
	f.Drain() // what was decided under the policies before comes before
	entries, err := compute()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := CheckEntry(e); err != nil {
			return err
		}
	}
	if f.tracking {
		for _, e := range entries {
			_ = f.packer.Entry(e) // publish has no errors
		}
		f.changes += int64(len(entries))
		_ = f.packer.Flush()
	}
	return f.entries.Apply(entries)
}

// dumpEntries visits all entries as they are at one moment. What the stream has told of before is
// in force by then.
func (f *Feed) dumpEntries(visit Visitor, generation uint64) error {
	all, replaced := f.allEntries(generation)
	if replaced {
		return ErrReplaced
	}
	for _, e := range all {
		if err := visit.Entry(e); err != nil {
			return err
		}
	}
	return nil
}

// allEntries are the entries in force. replaced says that the generation is over.
func (f *Feed) allEntries(generation uint64) (all []Entry, replaced bool) {
	f.applying.Lock()
	defer f.applying.Unlock()
	f.Lock()
	defer f.Unlock()
	f.entries.Each(func(e Entry) { all = append(all, e) })
	return all, f.generation.Load() != generation
}

// Loading is another state beside that of the store and the set in force, which Install puts in
// place of these.
type Loading struct {
	Records uint64 // that were taken in
	feed    *Feed
	store   *engine.Loader
	stale   int64 // µs: what was idle then is left out
	entries Texts
}

// Load begins to load another state.
func (f *Feed) Load() *Loading {
	return &Loading{feed: f, store: f.store.Load(), stale: f.StaleAt(), entries: Texts{}}
}

// Change takes in what a record tells.
func (l *Loading) Change(c *engine.Change) error {
	l.Records++
	return l.store.Apply(c, l.stale)
}

// Done puts what was loaded in place. After an error nothing has changed. A server that serves
// replicas, or keeps a log, has Feed.Install do that.
func (l *Loading) Done() error {
	if err := l.feed.entries.Replace(l.entries.List()); err != nil {
		return err
	}
	l.store.Done()
	return nil
}

// Entry takes in what a record tells.
func (l *Loading) Entry(e Entry) error {
	l.Records++
	return l.entries.Entry(e)
}

// applied applies the records of a frame: states at once, and entries together when all are read.
type applied struct {
	feed    *Feed
	stale   int64
	entries []Entry
	records int64
}

func (a *applied) Change(c *engine.Change) error {
	a.records++
	return a.feed.store.Apply(c, a.stale)
}

func (a *applied) Entry(e Entry) error {
	a.records++
	a.entries = append(a.entries, e)
	return nil
}
