// Package load looks at `rlserver bench` from outside: that it passes servers that keep their
// limits, catches those that do not, and says in a line what is wrong with a target that fails.
//
//   - bench_test.go: a run of the command, and what came of it
//   - right_test.go: servers that are right: rlserver, and scripts on a Redis
//   - wrong_test.go: servers that are wrong, by a unit or by one request in ten thousand
//   - failing_test.go: targets that refuse, die, answer errors, or speak something else
//   - ways_test.go: every target, key space and way to reach a server; reports; Ctrl-C
//   - usage_test.go: flags that are wrong
package load
