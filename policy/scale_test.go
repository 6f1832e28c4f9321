package policy

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// large is a file of so many policies and overrides.
func large(tb testing.TB, policies, overrides int) []FileDefinition {
	defs := make([]FileDefinition, policies)
	for i := range defs {
		d, err := Parse(fmt.Sprintf("token_bucket %d 1s BURST 5000 + fixed_window 100000 month", i+1))
		if err != nil {
			tb.Fatal(err)
		}
		defs[i] = FileDefinition{Name: fmt.Sprintf("policy-%d", i), Definition: d, Overrides: map[string]Definition{}}
	}
	for i := range overrides {
		d, err := Parse(fmt.Sprintf("token_bucket %d 1s", i%1000+1))
		if err != nil {
			tb.Fatal(err)
		}
		defs[i*7%policies].Overrides[fmt.Sprintf("customer:%d", i)] = d
	}
	return defs
}

func loaded(tb testing.TB, policies, overrides int) *Set {
	s := newSet(new(clock))
	entries, err := s.File(large(tb, policies, overrides))
	if err == nil {
		err = s.Apply(entries)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// A large set takes a bounded memory for each override, and a question for a plan allocates nothing.
func TestALargeSet(t *testing.T) {
	const policies, overrides = nearLooked, 10_000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	s := loaded(t, policies, overrides)
	s.file = nil
	each := (heap() - before) / (policies + overrides)
	t.Logf("%d bytes for each policy and override", each)
	if s.Policies() != policies || s.Overrides() != overrides {
		t.Errorf("%d policies, %d overrides", s.Policies(), s.Overrides())
	}
	if each > 2000 {
		t.Errorf("%d bytes for each policy and override", each)
	}
	if n := testing.AllocsPerRun(100, func() {
		if s.Find("policy-7").For("customer:1").Override != true || s.Find("policy-7").For("nobody").Override {
			t.Error("another plan")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if near := strings.Join(s.Near("policy-77x"), " "); near != "policy-77 policy-770 policy-771" {
		t.Error(near)
	}
}

func BenchmarkUnknown(b *testing.B) {
	for _, again := range []bool{true, false} {
		b.Run(fmt.Sprintf("again=%v", again), func(b *testing.B) {
			s, i := loaded(b, 10_000, 0), 0
			for b.Loop() {
				if !again {
					i++
				}
				if s.Unknown(fmt.Sprintf("policy-%dx", i)) == nil {
					b.Fatal("it is known")
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	defs := large(b, 10_000, 100_000)
	for b.Loop() {
		s := newSet(new(clock))
		entries, err := s.File(defs)
		if err == nil {
			err = s.Apply(entries)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, i := loaded(b, size, 10*size), 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				entries, err := s.Put("policy-0", Definition{Rules: []Rule{large(b, 1, 0)[0].Rules[0]}})
				if err == nil {
					err = s.Apply(entries)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFor(b *testing.B) {
	for _, size := range []int{1, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := loaded(b, size, 10*size)
			b.ReportAllocs()
			for b.Loop() {
				if s.Find("policy-0").For("customer:0") == nil {
					b.Fatal("none")
				}
			}
		})
	}
}
