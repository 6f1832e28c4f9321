package server

import "github.com/rlserver/rlserver/engine"

// A Limiter is what the server needs of whoever decides and keeps the keys. engine.Store is
// one. now is in microseconds since the Unix epoch; keys may stand in a buffer that is
// reused after the call, so whoever keeps one copies it.
type Limiter interface {
	Ask(o engine.Op, key string, a engine.Algorithm, l *engine.Limit, cost, now int64, d *engine.Decision) error
	Reset(key string, now int64) bool

	Lookup(key string, now int64) (engine.KeyInfo, bool)
	Scan(cursor uint64, count int, now int64, visit func(engine.KeyInfo)) uint64
	Sweep(count int, now int64) int
	Flush()
	Len() int64
	Stats() engine.Stats
	SetMaxMemory(bytes int64)
}
