// Package race tells a test whether the race detector is on. With it everything takes several
// times as long and several times the memory, and sync.Pool drops items at random.
package race
