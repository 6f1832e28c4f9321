// Package model is the limiter's contract written as plainly as possible: what package
// engine has to answer to any question about a key, whatever it does with its memory and
// however many callers ask at the same time. Tests compare the two; nothing else imports it.
//
// A [Key] is what a limiter remembers of one key, and asking it a [Question] gives the
// [Answer] and the next Key. It is a value that no call changes, so that a search for an
// order of concurrent calls can go back to it. A [Limiter] holds many keys and is asked
// one question after the other.
//
// # The contract
//
// Instants and spans are whole nanoseconds, now is whole microseconds, and a request costs
//
//	price(cost) = ceil(cost·period / limit) ns
//
// token_bucket and leaky_bucket keep one instant T, from which on the bucket is full:
//
//	base = max(T, now), next = base + price(cost)
//	admitted iff next − now ≤ capacity, and then T = next
//	capacity = min(burst·price(1), price(burst + 1) − 1 ns, 100 years)
//
// The capacity is the burst's price and what rounding adds to it when it is asked for unit by
// unit, but less than the price of one unit more. A refund takes price(cost) off.
//
// sliding_window_log keeps every admitted unit. One admitted at s counts while
// now − s < period, and a request is admitted iff the units that count and its cost are at
// most limit. These rules make that an answer to every question:
//
//   - A log has a period: the longest that has written to it since it was empty last. A unit
//     that is as old as that has left, for questions with a longer period too. So a log is
//     empty, and its key idle, when its newest unit has left.
//   - A check that is admitted and a refund that takes units back, but not all, write. A refund
//     takes the newest of those that count for it.
//   - A log of more units than the highest limit knows of so many and one more. A refund leaves it
//     that many (see refunded).
//   - A reading of the clock older than the newest unit counts as that unit's.
//
// fixed_window counts until its window ends: at a multiple of its period since the Unix epoch, or, of a
// week, month or year, at the next boundary of the calendar in UTC.
//
// sliding_window_counter is the log with time cut into slices, ⌊64·t/period⌋: what was admitted in slice k
// counts while now is in slice k + 64 or before. Periods are as the log's: slices are those of the longest
// that has written, a shorter one counts ⌈64·period/longest⌉ slices, and where a longer one writes each
// slice is taken to the one in which its last µs is. At most UnitsMax units are known, the newest.
//
// By force units are taken whether or not they fit; the answer's allowed and retry_after are those of a
// check. A bucket owes FillMax at most by that, a window or a counter has UnitsMax units, and a log gets as
// many as it keeps.
//
// An idle key is answered as if it were absent. It is remembered all the same, because a
// question with an older reading may come later and find it not idle; a limiter is free
// to drop it as soon as no such question can come.
//
// All this is of a limiter whose clock never runs backwards, while callers may hold older readings of
// it. That of a [Backend] may step back, and then a key's instants step back with it.
//
// A key that is not idle belongs to the algorithm that wrote it; another one is told
// which one has it. An idle key is dropped when another asks, even if that one writes nothing.
package model
