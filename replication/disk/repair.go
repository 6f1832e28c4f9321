package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rlserver/rlserver/replication/stream"
)

// copiesMax bounds how many copies of what was cut at one place of a file are kept.
const copiesMax = 1000

// errCopies is that there are copiesMax copies.
var errCopies = errors.New("replication: too many copies of what was cut")

// Repair cuts what Check reports, so that the rest can be read. It keeps a copy of each cut
// beside the file, and reports what it found and did. If it is stopped midway it can be called
// again. No server may be using the directory.
func Repair(dir string) (*Report, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unlockFile(lock) }() // the lock ends with the process at the latest
	r, err := check(dir)
	if err != nil {
		return nil, err
	}
	for i := range r.Cuts {
		if err := r.keep(&r.Cuts[i]); err != nil {
			return r, err
		}
	}
	// All copies are on disk, with their names, before anything is cut.
	if err := syncDir(dir); err != nil {
		return r, err
	}
	for i := range r.Cuts {
		if err := r.apply(&r.Cuts[i]); err != nil {
			return r, err
		}
	}
	if r.NewManifest {
		if err := r.replaceManifest(); err != nil {
			return r, err
		}
	}
	return r, syncDir(dir)
}

// keep copies the bytes that are to be cut from a file. If all of the file goes, nothing is
// copied here: apply gives the file another name.
func (r *Report) keep(c *Cut) error {
	if c.Bytes == 0 {
		return nil
	}
	name, err := freeName(r.Dir, fmt.Sprintf("%s.cut-from-%d", c.File, c.Offset))
	if err != nil {
		return err
	}
	c.Copy = name
	if c.Offset == 0 {
		return nil
	}
	return copyFile(filepath.Join(r.Dir, c.File), filepath.Join(r.Dir, name), c.Offset)
}

// freeName is a name in the directory that no file has.
func freeName(dir, name string) (string, error) {
	for i := range copiesMax {
		free := name
		if i > 0 {
			free = fmt.Sprintf("%s.%d", name, i+1)
		}
		if _, err := os.Lstat(filepath.Join(dir, free)); errors.Is(err, fs.ErrNotExist) {
			return free, nil
		} else if err != nil {
			return "", diskError(err)
		}
	}
	return "", fmt.Errorf("%w: %s", errCopies, filepath.Join(dir, name))
}

// apply cuts. A snapshot that was cut ends with the number of records that it has left.
func (r *Report) apply(c *Cut) error {
	path := filepath.Join(r.Dir, c.File)
	if c.Offset == 0 {
		if c.Copy == "" { // the file is not there, or has nothing to keep
			return removeFile(path)
		}
		return diskError(os.Rename(path, filepath.Join(r.Dir, c.Copy)))
	}
	if c.end < 0 {
		return cutFile(path, c.Offset, nil)
	}
	return cutFile(path, c.Offset, stream.AppendFrame(nil, stream.FrameEnd, c.from, c.reading, binary.LittleEndian.AppendUint64(nil, uint64(c.end))))
}

// replaceManifest writes the new manifest. If there was one it is copied first.
func (r *Report) replaceManifest() error {
	name, err := freeName(r.Dir, manifestName+".replaced")
	if err == nil {
		err = copyFile(filepath.Join(r.Dir, manifestName), filepath.Join(r.Dir, name), 0)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeManifest(r.Dir, &r.manifest)
}
