// Package linearizability looks at what engine.Store answers to callers that ask at the
// same time: there has to be an order of their calls, one that keeps what was over before
// something else began, in which package model, asked one question after the other, gives
// every one of those answers, whole. porcupine searches for that order.
//
// # What is recorded
//
// An episode is a store, some workers, and rounds. In each round the workers ask about a
// few fresh keys; the history of a key in one round is what is checked, so it stays short.
// Between their calls the workers give the store every reason to move its keys around:
// they insert fillers by the thousands, so that tables grow; the clock jumps, so that
// fillers and the keys under test are idle; they sweep, so that tables shrink and keys
// are reclaimed; in a bounded store keys are evicted. That they do it themselves, and no
// goroutine of its own does, keeps two processors busy with what may collide. The
// histories are judged however the workers met. TestSoak fails unless the store's own counts say
// that all of this happened while histories were recorded.
//
// # Clocks
//
// Each worker reads a shared clock before it asks and is slow now and then, so readings of
// calls that overlap may be out of order, and the model gets each call's own. They are
// published while they are in flight: a sweep stays behind the oldest, and the clock
// does not go so far ahead of it that a table under replacement could drop a key that a
// reading in flight still finds alive.
//
// # What may be forgotten
//
// A key that one algorithm asks about has to be answered exactly as the model does. One
// that two share may, besides, be dropped once it is idle by any reading that was
// taken before the answer came: a caller of the other algorithm does that before it takes the
// key over. In a bounded store any key may be forgotten between any two calls, but
// only whole.
//
// Besides, goroutines that spend one key's limit while time stands still have to be
// admitted exactly as often as it says; see stress_test.go. TestSoak goes on with all of it
// for as long as -soak says.
package linearizability
