package disk

import (
	"errors"
	"os"

	"github.com/rlserver/rlserver/replication/stream"
)

// snapshotSyncBytes is how much of a snapshot is written between two syncs. A single sync at
// the end would be long, and those of the log would wait behind it.
const snapshotSyncBytes = 32 << 20

// errAbandoned is that a snapshot is not wanted any more.
var errAbandoned = errors.New("replication: the snapshot was abandoned")

// writeSnapshot writes a dump to a new file and syncs it; the caller syncs the directory. The
// states may be younger than at: the changes in between are in the stream behind at, and when
// they are applied again each key ends in the same state. now is the clock that decides. wanted is called now and then, and the
// writing ends when it is false; nil is always wanted. After an error the file is gone.
func writeSnapshot(path string, at stream.Position, now func() int64, dump stream.Dumper, wanted func() bool) (bytes int64, err error) {
	err = writeFile(path, func(f *os.File) error {
		if err := writeHeader(f, fileHeader{fileSnapshot, at, now()}); err != nil {
			return err
		}
		bytes = fileHeaderBytes
		unsynced := 0
		p := stream.NewPacker(stream.FrameSnapshot, at.Offset, now, func(frames []byte, _ int64) error {
			if wanted != nil && !wanted() {
				return errAbandoned
			}
			n, err := f.Write(frames)
			bytes += int64(n)
			if unsynced += n; err == nil && unsynced >= snapshotSyncBytes {
				unsynced = 0
				return syncFile(f)
			}
			crashPoint("snapshot written in part")
			return diskError(err)
		})
		if err := dump(p); err != nil {
			return err
		}
		return p.End()
	})
	return bytes, err
}

// IsSaving says whether a snapshot is being written.
func (d *Disk) IsSaving() bool { return d.stats().saving }

// LastSave is when dump.rls was made, in seconds since the Unix epoch; 0: never.
func (d *Disk) LastSave() int64 { return d.stats().saved }

// Save writes dump.rls, and returns when it is on disk.
func (d *Disk) Save(at stream.Position, dump stream.Dumper) error {
	d.mu.Lock()
	if d.record.saving {
		d.mu.Unlock()
		return ErrAlreadyRunning
	}
	started, path := d.Now(), d.path(dumpName)
	d.record.saving, d.record.savingSince = true, started
	d.mu.Unlock()
	bytes, err := writeSnapshot(path+temporary, at, d.Now, dump, nil)
	if err == nil {
		err = putInPlace(path+temporary, path)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record.saving, d.record.saveErr = false, err
	d.record.saveSeconds = (d.Now() - started) / 1_000_000
	if err == nil {
		d.record.saves++
		d.record.saved, d.record.dumpBytes = d.Now()/1_000_000, bytes
	}
	return err
}

// linkOrCopy gives a file that is on disk a second name, or makes a second file where the
// file system has no such names. The name is not on disk yet.
func linkOrCopy(from, to string) error {
	if err := os.Link(from, to); err == nil {
		crashPoint("linked")
		return nil
	}
	return copyFile(from, to, 0)
}
