package disk

// diskStats are what the disk tells of itself.
type diskStats struct {
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
	rewritingSince int64 // µs since the Unix epoch
	rewrites       int64 // that ended, well or not
	rewriteErr     error // of the last
	rewriteSeconds int64 // that the last took
	rewriteFails   int   // since one was well
	rewriteRetry   int64 // µs since the Unix epoch: when needsRewrite asks again

	saving      bool
	savingSince int64 // µs since the Unix epoch
	saves       int64 // that were well, since the start
	saved       int64 // s since the Unix epoch: when dump.rls was made; 0: never
	saveErr     error // of the last
	saveSeconds int64 // that the last took
	dumpBytes   int64 // of dump.rls
}

func (d *Disk) stats() diskStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.record
	s.trouble, s.incrementBytes = d.failed, d.grown()
	if c := d.current; c != nil {
		s.waiting, s.unsynced = c.aside, c.unsynced
	}
	if job := d.job.Load(); job != nil {
		s.rewriting, s.rewritingSince = true, job.started
	}
	return s
}

// Info tells what INFO shows of the log and of snapshots, by Redis's names. changes is how many
// there were since the last snapshot, and saved is when that was made.
func (w *Writer) Info(changes, saved int64, add func(name string, value any)) {
	var s diskStats
	if w.Disk != nil {
		s = w.Disk.stats()
	}
	seconds := func(done bool, seconds int64) int64 {
		if !done {
			return -1
		}
		return seconds
	}
	sinceStart := func(running bool, started int64) int64 {
		if !running {
			return -1
		}
		return max(w.Disk.Now()-started, 0) / 1_000_000
	}
	trouble := w.Trouble()
	add("loading", 0)
	add("rdb_changes_since_last_save", changes)
	add("rdb_bgsave_in_progress", bit(s.saving))
	add("rdb_last_save_time", saved)
	add("rdb_last_bgsave_status", status(s.saveErr))
	add("rdb_last_bgsave_time_sec", seconds(s.saves > 0 || s.saveErr != nil, s.saveSeconds))
	add("rdb_current_bgsave_time_sec", sinceStart(s.saving, s.savingSince))
	add("rdb_saves", s.saves)
	add("aof_enabled", bit(w.on))
	add("aof_rewrite_in_progress", bit(s.rewriting))
	add("aof_rewrite_scheduled", 0)
	add("aof_rewrites", s.rewrites)
	add("aof_rewrites_consecutive_failures", s.rewriteFails)
	add("aof_last_rewrite_time_sec", seconds(s.rewrites > 0, s.rewriteSeconds))
	add("aof_current_rewrite_time_sec", sinceStart(s.rewriting, s.rewritingSince))
	add("aof_last_bgrewrite_status", status(s.rewriteErr))
	add("aof_last_write_status", status(trouble))
	if trouble != nil {
		add("aof_last_write_error", trouble)
	}
	if w.on {
		add("aof_current_size", s.baseBytes+s.incrementBytes)
		add("aof_base_size", s.baseBytes)
		add("aof_unsynced", bit(s.unsynced))
		add("aof_truncated_bytes", s.cutBytes)
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func status(err error) string {
	if err != nil {
		return "err"
	}
	return "ok"
}
