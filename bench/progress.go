package bench

import "time"

// A Progress is how far a run is.
type Progress struct {
	Target, Address   string
	Turn, Turns       int // from 1, of all targets together
	Round, Rounds     int // from 1, of this target; 0 while it is prepared
	Elapsed, Duration time.Duration
	Requests, Wanted  int64 // in this turn; Wanted is 0 where its Duration is given, and the other way round
	Last              Point // the last span that is over, if any
	Done              bool  // this turn is over
}
