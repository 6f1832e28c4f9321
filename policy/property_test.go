package policy

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever changes are made, a set and one that is told its entries say the same; so does one that is
// told each change; formers are bounded, and no rules.
func TestAnyChanges(t *testing.T) {
	names, keys := []string{"a", "b"}, []string{"k", "l m", "\x00"}
	texts := []string{
		"token_bucket 1 1s", "token_bucket 2 1s", "token_bucket 2 1s BURST 9", "token_bucket 2 1m + leaky_bucket 3 1s", "leaky_bucket 3 1s + token_bucket 2 1m", "sliding_window_log 5 1s SHADOW",
		"fixed_window 5 month + sliding_window_counter 5 1s + token_bucket 1 1s", "deny", "allow",
	}
	rapid.Check(t, func(t *rapid.T) {
		at := new(clock)
		s, told := newSet(at), newSet(new(clock))
		name := func() string { return rapid.SampledFrom(names).Draw(t, "name") }
		key := func() string { return rapid.SampledFrom(keys).Draw(t, "key") }
		definition := func() Definition {
			d, err := Parse(rapid.SampledFrom(texts).Draw(t, "definition"))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		file := func() (defs []FileDefinition) {
			for _, n := range names {
				if rapid.Bool().Draw(t, "in file") {
					d := FileDefinition{Name: n, Definition: definition(), Overrides: map[string]Definition{}}
					for range rapid.IntRange(0, 2).Draw(t, "overrides") {
						d.Overrides[key()] = definition()
					}
					defs = append(defs, d)
				}
			}
			return defs
		}
		for range rapid.IntRange(1, 30).Draw(t, "changes") {
			*at += clock(rapid.SampledFrom([]int{0, second / 2, 90 * second}).Draw(t, "time"))
			var entries []Entry
			var err error
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				entries, err = s.Put(name(), definition())
			case 1:
				entries, err = s.Delete(name())
			case 2:
				entries, err = s.Override(name(), key(), definition())
			case 3:
				entries, err = s.Unset(name(), key())
			case 4:
				entries, err = s.File(file())
			}
			if err != nil {
				continue // which changes nothing
			}
			if err := s.Apply(entries); err != nil {
				t.Fatal(err)
			}
			for _, e := range entries { // as a replica is told, one by one
				if err := told.Apply([]Entry{e}); err != nil {
					t.Fatal(err)
				}
			}
			checkSet(t, s)
			other := newSet(new(clock))
			shuffled := rapid.Permutation(all(s)).Draw(t, "entries")
			if err := other.Replace(shuffled); err != nil {
				t.Fatal(err)
			}
			for _, o := range []*Set{other, told} {
				if want, got := describe(s, names, keys), describe(o, names, keys); want != got {
					t.Fatalf("the set is\n%s\nand the one that was told is\n%s", want, got)
				}
			}
		}
	})
}

// describe is all there is to know of a set.
func describe(s *Set, names, keys []string) string {
	text := fmt.Sprintln(s.Policies(), s.Overrides(), all(s))
	for _, name := range names {
		for _, key := range append(keys, "none") {
			text += fmt.Sprintln(name, key, show(s.Find(name).For(key)))
		}
	}
	return text
}

// checkSet holds a set against its invariants.
func checkSet(t *rapid.T, s *Set) {
	rested := 0
	for _, p := range s.sorted() {
		rested += len(p.rests)
	}
	if rested != s.rested {
		t.Fatalf("%d rests, counted are %d", rested, s.rested)
	}
	for _, e := range all(s) {
		name, key := e.split()
		plan := s.Find(name).For(key)
		for i := range plan.Limits {
			l := &plan.Limits[i]
			if len(l.Formers) > formersMax {
				t.Fatalf("%d formers", len(l.Formers))
			}
			for _, f := range l.Formers {
				if slices.ContainsFunc(plan.Limits, func(r Limit) bool { return r.Suffix == f.Suffix }) || f.Formers != nil || f.Until <= 0 {
					t.Fatalf("%v has the former %+v", e, f)
				}
			}
		}
		if plan.Replaced.Load() || plan.after.Load() != nil || plan.rest && plan.Override {
			t.Fatalf("the plan of %v is not as it must be", e)
		}
		if plan.Override != (key != "" && !plan.rest) {
			t.Fatalf("the plan of %v is of %q", e, key)
		}
	}
}
