package engine

import "time"

// The meter is what token_bucket and leaky_bucket share: the Generic Cell Rate Algorithm
// (ITU-T I.371, in its virtual-scheduling form). Its state is one instant T, the
// theoretical arrival time: the bucket is full from T on, and T − now is the time that
// the bucket still needs to fill, its debt.

// meterIdleAt is the instant (ns) from which on the bucket is full: the state itself.
func meterIdleAt(t int64) int64 { return t }

// meterStep takes one step on the state T at instant now (ns):
//
//	base = max(T, now), next = base + price(cost)
//	admitted iff next − now ≤ capacity, and then T = next
//
// By force T = next in any case, but for a debt of FillMax at most, or of what it was.
//
// The outcome's extra is the debt before the step; of a refund, 0.
//
// It is written with differences: the price is formed only when cost ≤ burst, so it is at
// most the capacity, and next is formed only when admitted, so it is at most now + FillMax.
func meterStep(o Op, t int64, l *Limit, now, cost int64) outcome {
	before := max(t-now, 0)
	switch {
	case o == OpRefund:
		return meterRefund(before, l, now, cost)
	case cost > l.burst:
		return meterDenied(o, t, before, int64(Never), l, now, cost)
	}
	price := l.unit // most often
	if cost != 1 {
		price = l.price(cost)
	}
	if wait := before - (l.capacity - price); wait > 0 {
		return meterDenied(o, t, before, wait, l, now, cost)
	}
	if o == OpPeek {
		return outcome{t, before, before, 0}
	}
	after := before + price
	if checkInvariants && (after < 1 || after > l.capacity) {
		panic("engine: meter admitted beyond its capacity")
	}
	return outcome{now + after, before, after, 0}
}

// meterDenied denies for a span of wait, and by force takes all the same.
func meterDenied(o Op, t, before, wait int64, l *Limit, now, cost int64) outcome {
	if o != OpForce {
		return outcome{t, before, before, wait}
	}
	after := before
	if room := int64(FillMax) - before; room > 0 {
		after += min(l.Price(cost), room)
	}
	return outcome{now + after, before, after, wait}
}

// meterRefund lowers the debt, never below none. Without a debt the key is idle.
func meterRefund(before int64, l *Limit, now, cost int64) outcome {
	after := before - l.Price(cost)
	if after <= 0 {
		return outcome{0, 0, 0, 0}
	}
	return outcome{now + after, 0, after, 0}
}

// meterExplain is the one place where a meter's answer is computed.
func meterExplain(l *Limit, x outcome, d *Decision) {
	d.Allowed = x.wait == 0
	d.Limit = l.burst
	d.Remaining = l.units(max(l.capacity-x.after, 0))
	d.RetryAfter = time.Duration(x.wait)
	d.ResetAfter = time.Duration(x.after)
	d.Delay = 0
}
