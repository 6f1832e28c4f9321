package engine

// A Change is what a key's state has become: all that another store has to be told for the key
// to be the same there. It is state and not a request, and its instants are absolute, so it can
// be applied late, and twice.
type Change struct {
	Key       string    // "": every key was dropped
	Algorithm Algorithm // 0: the key has no state any more
	Word      int64     // of algorithms whose state is one word: that word
	Log       LogChange // of algorithms whose state is a log or a counter
}

// A LogChange is what a log or a counter has become, given what it was before.
type LogChange struct {
	Period int64 // ns: a unit that old has left
	Oldest int64 // µs since the Unix epoch; units admitted before have left
	// From (µs) is from when on the log's units are Entries, whatever was known of them;
	// math.MinInt64 where they are all. What was known of older units is still so.
	From    int64
	Entries []LogEntry // in the order of time
}

// A LogEntry is units that were admitted at one instant, or of a counter until that instant in its
// slice, of which it is the last.
type LogEntry struct {
	At    int64 // µs since the Unix epoch
	Units int64
}
