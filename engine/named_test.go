package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A named algorithm is the plain one in all but its kind.
func TestNamedIsThePlainAlgorithm(t *testing.T) {
	for _, a := range Algorithms() {
		named := a | Named
		if !named.Valid() || named.String() != a.String() || named.Shape() != a.Shape() || named.HasBurst() != a.HasBurst() ||
			named.Summary() != a.Summary() || named.State() != a.State() {
			t.Errorf("%v with Named is another algorithm", a)
		}
	}
	for _, a := range []Algorithm{0, Named, algorithmEnd, algorithmEnd | Named, 64, 65, 255} {
		if a.Valid() || a.String() != "none" {
			t.Errorf("%d is the algorithm %v", a, a)
		}
	}
}

// A named state answers every question as a plain one does, and neither answers to the other kind
// while it is live.
func TestNamedStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		name := rapid.SampledFrom([]string{"n", "user:0123456789", "user:1@api:t100/1s", strings.Repeat("n", StateBytesMax), strings.Repeat("\x00", StateBytesMax)}).Draw(t, "name")
		plain, s := mustStore(), mustStore()
		for _, q := range f.asked {
			d, err := ask(s, q.op, name, f.algorithm|Named, f.limit, q.cost, q.now)
			if want := f.ask(plain, q); err != nil || d != want {
				t.Fatalf("%+v: %+v, %v, want %+v", q, d, err, want)
			}
		}
		info, live := s.Lookup(name, f.now)
		if want, ok := plain.Lookup("key", f.now); ok != live || info.IdleMicros != want.IdleMicros {
			t.Fatalf("%+v, want %+v", info, want)
		}
		if !live {
			return
		}
		if info.Key != name || info.Algorithm != f.algorithm|Named {
			t.Fatalf("found %+v", info)
		}
		copied, err := NewStore(Options{LogLimitMax: LogLimitMax})
		if err != nil {
			t.Fatal(err)
		}
		s.Dump(0, 1<<20, f.now, func(c *Change) { err = errors.Join(err, copied.Apply(c, f.now)) })
		if there, ok := copied.Lookup(name, f.now); err != nil || !ok || there.Algorithm != info.Algorithm || there.IdleMicros != info.IdleMicros {
			t.Fatalf("copied: %+v, %v, %v", there, ok, err)
		}
		if !s.Reset(name, f.now) {
			t.Fatal("there was none to reset")
		}
	})
}

// A live state is of one kind, and the error names both.
func TestNamedAndPlainAreKindsOfTheirOwn(t *testing.T) {
	l := mustLimit(3, time.Minute, 0)
	for _, a := range Algorithms() {
		for _, owner := range []Algorithm{a, a | Named} {
			s, asked := mustStore(), owner^Named
			for _, key := range []string{"k", "0123456789", "user:1@api:t100/1s"} {
				if _, err := s.Check(key, owner, l, 1, noon); err != nil {
					t.Fatal(err)
				}
				var wrong *WrongTypeError
				if _, err := s.Check(key, asked, l, 1, noon); !errors.As(err, &wrong) || wrong.Owner != owner || wrong.Asked != asked {
					t.Errorf("%q of %d, asked for %d: %v", key, owner, asked, err)
				} else if !strings.Contains(wrong.Error(), a.String()+" of a policy") {
					t.Errorf("%v does not tell the two apart", wrong)
				}
				if _, err := s.Check(key, asked, l, 1, noon+120*sec); err != nil {
					t.Errorf("%q when idle: %v", key, err)
				}
			}
		}
	}
}

// Only names of states may be longer than a key.
func TestKeysOfUsersStayShort(t *testing.T) {
	s, l := mustStore(), mustLimit(3, time.Minute, 0)
	for _, c := range []struct {
		a     Algorithm
		bytes int
		want  string
	}{
		{TokenBucket, KeyBytesMax, ""},
		{TokenBucket, KeyBytesMax + 1, "key"},
		{TokenBucket | Named, KeyBytesMax + 1, ""},
		{TokenBucket | Named, StateBytesMax, ""},
		{TokenBucket | Named, StateBytesMax + 1, "key"},
		{TokenBucket | Named, 0, "key"},
	} {
		if _, err := s.Check(strings.Repeat("k", c.bytes), c.a, l, 1, noon); argumentOf(err) != c.want {
			t.Errorf("%d bytes of %v: %v", c.bytes, kindText(c.a), err)
		}
	}
}
