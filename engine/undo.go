package engine

import "slices"

// What a call has taken from one state is taken out again when another state refuses, or when its limit
// was replaced meanwhile. That is no refund, which gives units back and asks not which: to undo is to
// make the state what it would be had nothing been taken, whatever others took since.

// taken is what a step has taken: of a word, the word before the step, 0 for an idle one, and the word
// after it; of a log, the instant (µs) of its units and their number.
type taken struct{ before, after int64 }

// note notes what a step takes, where that is asked for.
func (t *taken) note(before, after int64) {
	if t != nil {
		*t = taken{before, after}
	}
}

// noteWord is note for a word: one that is idle at instant now counts as 0.
func (t *taken) noteWord(a Algorithm, before, after, now int64) {
	if before != 0 && a.row().idleAt(before) <= now {
		before = 0
	}
	*t = taken{before, after}
}

// A withdrawal is what is to be taken out of a state.
type withdrawal struct {
	algorithm Algorithm  // with Named
	taken     taken      // of a word; of a log or a counter see entries
	entries   []LogEntry // of a log or a counter: in the order of time, and of a slice one instant
	// older: where units of entries are missing, older ones go in their place. A refund takes the newest,
	// and would have taken these, had what is to be undone not been there.
	older bool
	now   int64 // ns: no earlier than any reading with which the state was asked
}

// withdraw takes out of a state what a call has taken from it, or carried over, as far as it is there. What
// is missing, in units or for a meter in ns, somebody else has taken out.
func (s *Store) withdraw(name string, w *withdrawal) (missing int64) {
	p, sp := newProbe(s.hasher.hash(name), name), s.space.Load()
	for t := sp.first(&p); t != nil; {
		var slot *slot
		var st int64
		var what finding
		// The instant may be ahead of the clock, and no other key is to be dropped on the way by that.
		t, slot, st, what = sp.locate(&p, t, w.now-idleLag)
		if what == absent || !held(st) || !slot.is(w.algorithm) {
			break
		}
		var done bool
		switch w.algorithm.Shape() {
		case ShapeWord:
			missing, done = sp.withdrawWord(t, slot, st, w)
		case ShapeLog:
			missing, done = s.withdrawEntries(sp, t, slot, st, w)
		case ShapeCounter:
			missing, done = sp.withdrawSlices(t, slot, st, w)
		}
		if done {
			return missing
		}
	}
	return w.size()
}

// undoTaken takes out of a state what a step has taken from it, and says whether something of it was there.
func (s *Store) undoTaken(name string, w *withdrawal) bool {
	if w.algorithm.Shape() != ShapeWord {
		w.entries, w.older = []LogEntry{{w.taken.before, w.taken.after}}, true
	}
	missing := s.withdraw(name, w)
	return missing == 0 || missing < w.size()
}

// size is how much a withdrawal is of.
func (w *withdrawal) size() (n int64) {
	switch {
	case w.entries != nil:
		for _, e := range w.entries {
			n += e.Units
		}
	case w.algorithm.plain() == FixedWindow:
		n = w.taken.counted()
	default:
		n = max(w.taken.after-max(w.taken.before, w.now), 0)
	}
	return n
}

// withdrawWord is withdraw for a slot with a word. It returns false when that has changed meanwhile.
func (sp *space) withdrawWord(t *table, slot *slot, st int64, w *withdrawal) (missing int64, done bool) {
	next, missing := w.algorithm.without(st, w.taken, w.now)
	if next == st {
		return missing, true
	}
	if next == 0 {
		next = stateIdle
	}
	if !t.swap(slot, st, next) {
		return 0, false
	}
	sp.mark(t, slot)
	return missing, true
}

// without is what a word would be without what a step has taken, and how much of that is missing: units,
// or of a meter ns.
func (a Algorithm) without(word int64, took taken, now int64) (next, missing int64) {
	if word == took.after {
		return took.before, 0
	}
	if a.plain() == FixedWindow {
		return windowWithout(word, took)
	}
	return meterWithout(word, took, now)
}

// meterWithout is a meter at instant now without what a step has taken. That would have decayed by now
// but for the debt before it, and a request since then may have begun from there. What has decayed so is
// no longer to be taken out.
func meterWithout(t int64, took taken, now int64) (next, missing int64) {
	back := max(took.after-max(took.before, now), 0)
	if next = t - back; next <= now {
		return 0, max(now-next, 0)
	}
	return next, 0
}

// windowWithout is a window without what a step has taken, if it is the same window still.
func windowWithout(word int64, took taken) (next, missing int64) {
	end, count := windowOf(word)
	ended, _ := windowOf(took.after)
	units := took.counted()
	if end != ended && end != (ended+999)/1000*1000 { // a window that counts too much ends with its second
		return word, units
	}
	if count <= units {
		return 0, units - count
	}
	return WindowWord(end, count-units), 0
}

// counted is how many units a step has taken from a window.
func (t taken) counted() int64 {
	_, before := windowOf(t.before)
	_, after := windowOf(t.after)
	return after - before
}

// withdrawEntries is withdraw for a slot with a log. It returns false when something has changed
// meanwhile.
func (s *Store) withdrawEntries(sp *space, t *table, slot *slot, st int64, w *withdrawal) (missing int64, done bool) {
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateIdle)
		return 0, false
	}
	v := r.view()
	rest, missing := withoutEntries(v.entries(), w.entries, w.older, s.logLimitMax)
	if missing == w.size() {
		return missing, v.holds()
	}
	if !v.seal() {
		return 0, false
	}
	var next *ring
	if len(rest) > 0 { // never more memory than before; all of it is told again
		next = newRing(v.ref, rest[0].At, v.period, max(min(len(rest)+len(rest)/2+1, int(v.n)), len(rest)+1, ringSlotsMin))
		for _, e := range rest {
			next.push(logChange{at: e.At, units: e.Units})
		}
	}
	return missing, sp.follow(t, slot, st, r, next)
}

// follow puts what is left of a sealed ring in its place, nil if that is nothing.
func (sp *space) follow(t *table, slot *slot, st int64, r, next *ring) bool {
	if !sp.logs.swap(r, next) {
		return false
	}
	if next == nil {
		sp.release(t, slot, st, stateIdle)
	}
	sp.mark(t, slot)
	return true
}

// withdrawSlices is withdrawEntries for a counter.
func (sp *space) withdrawSlices(t *table, slot *slot, st int64, w *withdrawal) (missing int64, done bool) {
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateIdle)
		return 0, false
	}
	v := r.counter()
	var list, out []LogEntry
	for i := v.firstFrom(v.newest() - CounterSlices); i <= v.last(); i++ {
		list = append(list, LogEntry{v.slice(i), v.units(i)})
	}
	for _, e := range w.entries {
		out = append(out, LogEntry{sliceOf(e.At, v.period), e.Units})
	}
	rest, missing := withoutEntries(list, out, w.older, UnitsMax)
	if missing == w.size() {
		return missing, v.holds()
	}
	if !v.holds() || !v.seal() {
		return 0, false
	}
	var next *ring
	if len(rest) > 0 {
		left := counterList{period: v.period}
		for _, e := range rest {
			left.add(e.At, e.Units)
		}
		next = left.ring(v.ref, min(counterPlaces(len(left.slices)), int(v.places())))
	}
	return missing, sp.follow(t, slot, st, r, next)
}

// entries are the entries that had not left when the newest came.
func (v *logView) entries() (list []LogEntry) {
	for i := v.firstAfter(v.newestAt() - wholeMicros(v.period)); i < v.size(); i++ {
		if units := v.units(i, i); units > 0 {
			list = append(list, LogEntry{v.at(i), units})
		}
	}
	return list
}

// withoutEntries is what is left of a log without the units of others, or older ones in their place, and
// how many of these are missing. Where the log had more units than the highest limit, most, it keeps as many and one, as after a refund:
// the oldest entry makes good for what is taken out.
func withoutEntries(list, out []LogEntry, older bool, most int64) (rest []LogEntry, missing int64) {
	full := int64(0)
	for _, e := range list {
		full += e.Units
	}
	rest = slices.Clone(list)
	i := len(rest) - 1
	for _, o := range slices.Backward(out) {
		for o.Units > 0 {
			for i >= 0 && (rest[i].At > o.At || rest[i].Units == 0) {
				i--
			}
			if i < 0 || rest[i].At < o.At && !older {
				break
			}
			back := min(o.Units, rest[i].Units)
			rest[i].Units -= back
			o.Units -= back
		}
		missing += o.Units
	}
	rest = slices.DeleteFunc(rest, func(e LogEntry) bool { return e.Units == 0 })
	if full > most && len(rest) > 0 {
		rest = newestEntries(rest, most+1)
	}
	return rest, missing
}

// newestEntries are the newest entries, made to have so many units.
func newestEntries(list []LogEntry, units int64) []LogEntry {
	for i := len(list) - 1; i > 0; i-- {
		if units -= list[i].Units; units <= 0 {
			list[i].Units += units
			return list[i:]
		}
	}
	list[0].Units = units
	return list
}
