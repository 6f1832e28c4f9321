package replication

// diskStats is what is to be told about a disk.
type diskStats struct {
	on bool // the log
	// waiting says that what is appended counts only when the rewrite that runs is done.
	waiting bool
	trouble error // why what is appended would not be found after a crash
	// appendErr is the error of the last append, nil if it was well.
	appendErr error

	baseBytes      int64 // of the log's base
	incrementBytes int64 // of its increments
	closedBytes    int64 // of those that are not appended to any more
	unsynced       bool  // something was appended since the last sync
	cutBytes       int64 // of a torn tail, when it was loaded

	rewriting      bool
	rewrites       int64 // that ended, well or not
	rewriteErr     error // of the last
	rewriteSeconds int64 // that the last took
	rewriteSince   int64 // µs since the Unix epoch: when the one that runs began
	rewriteFails   int   // since one was well
	rewriteRetry   int64 // µs since the Unix epoch: when needsRewrite asks again

	saving      bool
	saved       int64 // s since the Unix epoch: when dump.rls was made; 0: never
	saveErr     error // of the last
	saveSeconds int64 // that the last took
	dumpBytes   int64 // of dump.rls
}

func (d *disk) stats() diskStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.record
	s.on, s.trouble, s.incrementBytes = d.on, d.failed, d.grown()
	if c := d.current; c != nil {
		s.waiting, s.unsynced = c.aside, c.unsynced
	}
	if d.job != nil {
		s.rewriting, s.rewriteSince = true, d.job.started
	}
	return s
}
