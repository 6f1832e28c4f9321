// Package lua will hold the same limits decided by a Redis: one script a decision, beside
// the Go that embeds and runs it. A script decides and stores, atomically, and returns the
// instants that it saw; the answer is computed from them by the engine's own functions, so
// that each formula lives in one place.
//
// It may import engine and nothing else of this module. It is empty so far.
package lua
