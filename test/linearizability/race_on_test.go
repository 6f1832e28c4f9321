//go:build race

package linearizability

// raceEnabled says that the tests run with the race detector.
const raceEnabled = true
