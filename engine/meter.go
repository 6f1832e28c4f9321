package engine

import "time"

// The meter is what token_bucket and leaky_bucket share: the Generic Cell Rate Algorithm
// (ITU-T I.371, in its virtual-scheduling form). Its state is one instant T, the
// theoretical arrival time: the bucket is full from T on, and T − now is the time that
// the bucket still needs to fill, its debt.

// meterStep takes one step on the state T = st.word at instant now (ns):
//
//	base = max(T, now), next = base + cost·E
//	admitted iff next − now ≤ burst·E, and then T = next
//
// It is written with differences: cost·E is formed only when cost ≤ burst, so it is at
// most FillMax, and next is formed only when admitted, so it is at most now + FillMax.
func meterStep(o op, st state, l Limit, now, cost int64) (state, Decision) {
	before := max(st.word-now, 0)
	switch {
	case o == opRefund:
		return meterRefund(before, l, now, cost)
	case cost > l.burst:
		return st, meterExplain(l, before, before, false, Never)
	}
	price := cost * l.unit
	if wait := before - (l.capacity - price); wait > 0 {
		return st, meterExplain(l, before, before, false, time.Duration(wait))
	}
	if o == opPeek {
		return st, meterExplain(l, before, before, true, 0)
	}
	after := before + price
	if checkInvariants && (after < 1 || after > l.capacity) {
		panic("engine: meter admitted beyond its capacity")
	}
	return state{word: now + after}, meterExplain(l, before, after, true, 0)
}

// meterRefund lowers the debt by cost·E, never below none. The product could overflow, so
// the comparison is by division. No debt left is the state at rest.
func meterRefund(before int64, l Limit, now, cost int64) (state, Decision) {
	if before == 0 || cost > before/l.unit {
		return state{}, refunded(meterExplain(l, before, 0, true, 0))
	}
	after := before - cost*l.unit
	d := refunded(meterExplain(l, before, after, true, 0))
	if after == 0 {
		return state{}, d
	}
	return state{word: now + after}, d
}

// refunded is a decision on a refund: nothing was admitted, so there is nothing to hold.
func refunded(d Decision) Decision {
	d.Delay = 0
	return d
}

// meterExplain is the one place where a meter's answer is computed, from the debt (ns)
// before and after the step. Delay is filled in for leaky_bucket to keep or drop.
func meterExplain(l Limit, before, after int64, allowed bool, retry time.Duration) Decision {
	d := Decision{
		Allowed:    allowed,
		Limit:      l.burst,
		Remaining:  max(l.capacity-after, 0) / l.unit,
		RetryAfter: retry,
		ResetAfter: time.Duration(after),
	}
	if allowed {
		d.Delay = time.Duration(before)
	}
	return d
}

// meterRest is the instant from which on the bucket is full.
func meterRest(st state) int64 { return st.word }
