// Package judge says whether a server has admitted more than its limit allows, from what its clients
// saw: for each request that was admitted, when it was sent and when its reply had been received.
//
//	judge.go    a judge, and the rule that it judges by
//	witness.go  what client threads saw, put in order
//	meter.go    token_bucket, leaky_bucket, and all that is a GCRA elsewhere
//	log.go      sliding_window_log
//	window.go   fixed_window
//
// # Sound
//
// A server that keeps its limit is never accused. All that is assumed of it is that it decides each
// request by a reading of its clock that it takes between the instants sent and received, and that
// its clock runs as the client's does, or on another machine at most 1/2048 faster. So what is
// known of the decisions on some requests is that they were made in the span from the first that was
// sent to the last that was received. Whatever the set of requests, a limit says how much it
// can admit in a span of that length. A judge looks for a set of requests that were admitted on one
// key and are more than that. Any set will do, so neither the order in which replies come in, nor
// replies that get lost, nor a thread that tells late what it saw can make it accuse wrongly.
// They only make it find less, because it does not try all sets, but those that are contiguous
// in the order of receipt or nearly so.
// (TestRightLimitersAreNotAccused, TestSetsAreTruthful)
//
// # Sharp
//
// What exceeds the limit is found if it exceeds it by more than what can be admitted during the
// shortest latencies at the begin and at the end of a set: a key that is asked for all the time is
// the subject of one set that grows, so single units that were admitted wrongly add up.
// (TestWrongLimitersAreCaught, TestNothingIsMissedInOrder)
//
// Not seen is what is admitted wrongly on a key that is not pushed to its limit, for the units could
// have been had rightly; and what is wrong by less than a latency's worth of units.
//
// # Bounds
//
// A judge takes 32 bytes a key, of logs 40 and 8 for each request that is admitted in a period. It
// takes cellBytesMax for keys and logBytesMax for logs at most, and does not judge the keys that have
// no room (Unjudged). A witness has 3 KiB.
package judge
