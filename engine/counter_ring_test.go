package engine

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// The counts start over at 2^30: units pass by the billion through a counter of a billion in 64 s.
func TestCounterCountsPastItsBits(t *testing.T) {
	s, l := mustStore(), mustLimit(UnitsMax, 64*time.Second, 0)
	var slice [1000]int64
	passed, over := int64(0), 0
	for i := range slice {
		used := int64(0)
		for _, units := range slice[max(i-CounterSlices, 0):i] {
			used += units
		}
		cost := 20_000_000 + int64(i)*7_919_933%9_000_000
		d := mustCheck(s, "key", SlidingWindowCounter, l, cost, noon+int64(i)*sec)
		if d.Allowed != (used+cost <= UnitsMax) {
			t.Fatalf("slice %d: %d after %d: %+v", i, cost, used, d)
		}
		if d.Allowed {
			slice[i] = cost
			passed += cost
			used += cost
		}
		if d.Remaining != UnitsMax-used {
			t.Fatalf("slice %d: %d are used: %+v", i, used, d)
		}
		if v := ringOf(s).counter(); v.entry(v.last()-1)&counterUnitsMask > v.head&counterUnitsMask {
			over++
		}
	}
	if passed < 4<<counterUnitsBits || over == 0 {
		t.Fatalf("%d units passed, and the count started over %d times: this run proves nothing", passed, over)
	}
}

// A ring is replaced before its slices are too far from its base, and nothing is lost by that.
func TestCounterRingsGetANewBase(t *testing.T) {
	s, l := mustStore(), mustLimit(2, time.Millisecond, 0)
	now := noon
	mustCheck(s, "key", SlidingWindowCounter, l, 1, now)
	base, rebased := ringOf(s).base, 0
	for i := range 1_200_000 { // each while the one before counts: 72 million slices
		now += 950
		if d := mustCheck(s, "key", SlidingWindowCounter, l, 1, now); !d.Allowed || d.Remaining != 0 {
			t.Fatalf("unit %d: %+v", i, d)
		}
		if i%1000 == 0 && ringOf(s).base != base {
			base = ringOf(s).base
			rebased++
		}
	}
	if rebased != 1 {
		t.Fatalf("%d new bases", rebased)
	}
}

// A ring has room for all slices that may come, is never much larger, and shrinks when less comes; and
// how often it is replaced does not depend on how many units come.
func TestCounterRingSizes(t *testing.T) {
	s, l := mustStore(), mustLimit(1_000_000, 64*time.Millisecond, 0)
	replaced, last := 0, (*ring)(nil)
	for i := range int64(40_000) { // in every slice, and then in every tenth
		now := noon + i*100
		if i > 20_000 {
			now = noon + 2*sec + (i-20_000)*10*ms
		}
		if !mustCheck(s, "key", SlidingWindowCounter, l, 1, now).Allowed {
			t.Fatalf("unit %d was denied", i)
		}
		r := ringOf(s)
		if r != last {
			replaced, last = replaced+1, r
		}
		if v := r.counter(); v.places() > counterPlacesMax || i > 21_000 && v.places() > ringSparse*9 {
			t.Fatalf("after %d units there are %d places", i, v.places())
		}
	}
	if replaced > 20 {
		t.Errorf("40,000 units took %d rings", replaced)
	}
	if r := ringOf(s); len(slicesOf(r)) < 7 {
		t.Errorf("%d slices", len(slicesOf(r)))
	}
}

// A caller that stalls between its view and its step does nothing, whatever has become of the ring, also
// where it stalls before it notes the slice that is over.
func TestCounterLateSteps(t *testing.T) {
	l := mustLimit(100, 64*time.Millisecond, 0)
	list := counterList{period: wholeMicros(l.period)}
	list.add(1000, 5)
	list.add(1001, 5)
	r := list.ring(1, 8)
	step := func(slice, units int64) logChange { return logChange{kind: logAppend, at: slice, units: units} }
	late := r.counter()
	v := r.counter()
	if !v.append(step(1001, 2)) {
		t.Fatal("nothing else is done")
	}
	noted := r.counter()
	// Another caller has seen fewer units of the slice that is over, and noted them.
	v.place(v.placeNext()).Store(late.noted())
	if late.append(step(1002, 1)) || late.append(step(1001, 1)) || late.seal() {
		t.Error("a late step was made")
	}
	if !noted.append(step(1003, 1)) {
		t.Error("a step was not made")
	}
	if noted.append(step(1003, 1)) || noted.append(step(1004, 1)) {
		t.Error("a step was made twice")
	}
	want := []sliceUnits{{1000, 5}, {1001, 7}, {1003, 1}}
	if got := slicesOf(r); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What has left and is kept for its count alone is never found, wherever a late caller's hint points.
func TestCounterHintsPointAnywhere(t *testing.T) {
	l := mustLimit(100, 64*time.Millisecond, 0)
	first := counterList{period: wholeMicros(l.period)}
	first.add(1000, 1)
	r := first.ring(1, 4)
	for slice := int64(1001); slice < 1003; slice++ {
		v := r.counter()
		if !v.append(logChange{kind: logAppend, first: 0, at: slice, units: 1}) {
			t.Fatal("nothing else is done")
		}
	}
	v := r.counter()
	if !v.append(logChange{kind: logAppend, first: 1, at: 1003, units: 1}) {
		t.Fatal("nothing else is done")
	}
	v = r.counter()
	for hint := range v.places() {
		r.oldest.Store(hint)
		for from := v.slice(0) - 3; from <= v.newest()+1; from++ {
			if i := v.firstFrom(from); i < 0 || i > 0 && i <= v.last() && v.slice(i-1) >= from {
				t.Errorf("hint %d: the first from slice %d is entry %d", hint, from, i)
			}
		}
	}
}

// A view that still holds after it was read is of one instant, with everything in it, while others admit,
// give units back, and change the period, so that rings are sealed and replaced all the time.
func TestCounterViewsThatHoldAreWhole(t *testing.T) {
	collide(t)
	const limit = 50
	s, whole, torn, several := mustStore(), 0, 0, 0
	var clock atomic.Int64
	clock.Store(noon)
	limits := []Limit{mustLimit(limit, time.Millisecond, 0), mustLimit(limit, 3*time.Millisecond, 0)}
	ringNow := busyKey(s, SlidingWindowCounter, limits[0])
	stop := besides(func() {
		now := clock.Add(7)
		if now/7%500 == 0 {
			now = clock.Add(5000) // the counter is idle, and begins with the period that comes first
		}
		mustCheck(s, "key", SlidingWindowCounter, limits[now/7%200/199], 1, now)
		if now/7%11 == 0 {
			if _, err := s.Refund("key", SlidingWindowCounter, limits[0], 1+now/7%4, now); err != nil {
				t.Error(err)
			}
		}
	})
	for range rounds(t, fewer(100_000), func() bool { return whole > 0 && torn > 0 && several > 0 }) {
		r := ringNow()
		if r == nil {
			continue
		}
		v := r.counter()
		first := v.firstFrom(v.newest() - (CounterSlices*1000+v.period-1)/v.period) // of the shorter one
		used, sum := v.unitsFrom(first), int64(0)
		var read []int64
		for i := first; i <= v.last(); i++ {
			read = append(read, v.slice(i))
			sum += v.units(i)
		}
		if !v.holds() {
			torn++
			continue
		}
		whole++
		if len(read) > 3 {
			several++
		}
		if used < 1 || used > limit || used != sum || !slices.IsSorted(read) || len(slices.Compact(read)) > CounterSlices+1 ||
			read[len(read)-1] != v.newest() || sliceStart(v.newest(), v.period) > clock.Load()+r.period {
			t.Fatalf("%d units, or %d, at %v, newest at %d, sealed %v", used, sum, read, v.newest(), v.sealed())
		}
	}
	stop()
	auditCells(t, s)
}

// A store that is told of a counter that forgets its oldest units forgets them too.
func TestMirrorOfACutCounter(t *testing.T) {
	s, l := mustStore(), mustLimit(10, 64*time.Second, 0)
	m := newMirror(t, s, noon)
	for i, units := range []int64{5, 6, UnitsMax - 8, 1, 4, 1, UnitsMax} {
		now := noon + int64(i)*sec
		if _, err := ask(s, OpForce, "counter", SlidingWindowCounter, l, units, now); err != nil {
			t.Fatal(err)
		}
		m.follow(now)
		if of, to := slicesOf(ringOf(s)), slicesOf(ringOf(m.to)); !slices.Equal(of, to) {
			t.Fatalf("%v, and the mirror has %v", of, to)
		}
	}
}
