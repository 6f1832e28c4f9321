package policy

import (
	"fmt"
	"strings"
	"testing"
)

// A clock is set by hand, in µs.
type clock int64

const second = 1_000_000

func newSet(at *clock) *Set { return NewSet(func() int64 { return int64(*at) }, 100_000) }

// must parses a definition.
func must(t *testing.T, text string) Definition {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// put puts a change in force, and checks that the set can be made of its entries.
func put(t *testing.T, s *Set, entries []Entry, err error) {
	t.Helper()
	if err == nil {
		err = s.Apply(entries)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := newSet(new(clock))
	if err := other.Replace(all(s)); err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprint(all(s)), fmt.Sprint(all(other)); a != b {
		t.Fatalf("a set of the same entries is\n%s\nand not\n%s", b, a)
	}
}

func all(s *Set) (all []Entry) {
	s.Entries(func(e Entry) { all = append(all, e) })
	return all
}

// show is a plan with its suffixes and formers.
func show(p *Plan) string {
	if p == nil {
		return "none"
	}
	text := p.Verdict.String()
	if p.Verdict == Ask {
		text = ""
		for _, l := range p.Limits {
			text += l.Suffix
			for _, f := range l.Formers {
				text += " <" + f.Suffix + fmt.Sprintf(" %d", f.Until/second)
			}
			text += " "
		}
	}
	return strings.TrimSpace(text)
}

func TestSetHasPolicies(t *testing.T) {
	at := new(clock)
	s := newSet(at)
	if s.Find("api") != nil || s.Find("api").For("k") != nil {
		t.Fatal("an empty set has a policy")
	}
	entries, err := s.Put("api", must(t, "token_bucket 100 1s"))
	put(t, s, entries, err)
	if got := show(s.Find("api").For("k")); got != "@api:t100/1s" {
		t.Fatalf("plan is %s", got)
	}
	entries, err = s.Override("api", "k", must(t, "token_bucket 200 1s"))
	put(t, s, entries, err)
	if got := show(s.Find("api").For("k")); got != "@api:t200/1s <@api:t100/1s 1" {
		t.Fatalf("plan is %s", got)
	}
	if got := show(s.Find("api").For("other")); got != "@api:t100/1s" {
		t.Fatalf("plan is %s", got)
	}
	entries, err = s.Unset("api", "k")
	put(t, s, entries, err)
	if got := show(s.Find("api").For("k")); got != "@api:t100/1s <@api:t200/1s 1" {
		t.Fatalf("plan is %s", got)
	}
}
