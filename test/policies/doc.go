// Package policies looks at named limits from outside: calls over several of them at once, and limits
// that change while they are asked.
//
//   - setting_test.go: the policies and keys that workers ask, and the backends that they ask
//   - ledger_test.go: what all calls were answered, and what it says about a limiter
//   - together_test.go: connections ask at the same time, all or nothing
//   - force_test.go: they take by force, or ask of shadows
//   - crash_test.go: a server is killed while they do
//   - change_test.go: policies change while they do
//   - fleet_test.go: servers on one Redis see changes of each other
//   - calendar_test.go: windows of weeks, months and years, and clocks that step back
//   - badinput_test.go: what is refused, and that nothing has changed then
//
// # What is counted
//
// No unit of a limit here returns while a test runs. So what callers were admitted, less what they gave
// back, has to be what each limit says is taken, on every limit of a policy alike. RL.EXPLAIN tells
// what is taken.
//
// # When a denial is spurious
//
// A call that is denied takes nothing. In memory it may be denied although all limits have room, when
// it crosses another one, and such a denial is spurious. From outside each call has two instants, when
// it was sent and when its answer was read. Of a limit, at an instant, at most the units are taken of
// the calls sent before and admitted in the end, less what refunds gave back that were answered before.
// A denial is counted as spurious if by this bound every limit had room for it at every instant between
// its two: then there is no order of the calls in which it would be right. At least the units are taken
// of the admitted calls answered before, less the refunds sent before. A denial is right for certain
// if by that bound a limit had no room at some instant between. The others may be either.
package policies
