package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rlserver/rlserver/replication/stream"
)

// A file of the stream is a header and frames:
//
//	"RLSTREAM" | version u32 | kind u32 | id 40 bytes | offset i64 | created i64 | crc32c of the above u32
//
// The id and the offset say where in the stream the file begins; created is in µs since the
// Unix epoch.
const (
	fileMagic       = "RLSTREAM"
	fileVersion     = 1
	fileHeaderBytes = 8 + 4 + 4 + stream.IDBytes + 8 + 8 + 4
	filePermissions = 0o640
)

type fileKind uint32

const (
	// fileSnapshot has the states of a dump: frames of snapshot, and one of end.
	fileSnapshot fileKind = iota + 1
	// fileIncrement has frames of changes, and follows what comes before it in the manifest.
	fileIncrement
	// fileFirst is a fileIncrement that follows nothing but the base of its own number.
	fileFirst
)

type fileHeader struct {
	kind    fileKind
	at      stream.Position
	created int64 // µs since the Unix epoch
}

func (h fileHeader) encode() []byte {
	if len(h.at.ID) != stream.IDBytes {
		panic("replication: an id that has not 40 digits")
	}
	b := make([]byte, 0, fileHeaderBytes)
	b = append(b, fileMagic...)
	b = binary.LittleEndian.AppendUint32(b, fileVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.kind))
	b = append(b, h.at.ID...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.at.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.created))
	return binary.LittleEndian.AppendUint32(b, stream.Checksum(b))
}

// errHeader is what a header that cannot be right is refused with.
var errHeader = errors.New("bad header")

// parseFileHeader reads a header from its fileHeaderBytes. Every version has this header, so
// that an older program can say that a file is newer, and not that it is damaged.
func parseFileHeader(b []byte) (h fileHeader, err error) {
	number := binary.LittleEndian
	if string(b[:8]) != fileMagic {
		return h, fmt.Errorf("%w: it does not begin with %q", errHeader, fileMagic)
	}
	if number.Uint32(b[fileHeaderBytes-4:]) != stream.Checksum(b[:fileHeaderBytes-4]) {
		return h, fmt.Errorf("%w: its checksum is wrong", errHeader)
	}
	if v := number.Uint32(b[8:]); v != fileVersion {
		return h, fmt.Errorf("%w: a file of version %d", stream.ErrNewer, v)
	}
	h = fileHeader{fileKind(number.Uint32(b[12:])), stream.Position{ID: string(b[16:56]), Offset: int64(number.Uint64(b[56:]))}, int64(number.Uint64(b[64:]))}
	switch {
	case h.kind < fileSnapshot || h.kind > fileFirst:
		err = fmt.Errorf("%w: a kind of %d", errHeader, uint32(h.kind))
	case !stream.IsID(h.at.ID):
		err = fmt.Errorf("%w: the id %q", errHeader, h.at.ID)
	case h.at.Offset < 0:
		err = fmt.Errorf("%w: the offset %d", errHeader, h.at.Offset)
	case !stream.IsReading(h.created):
		err = fmt.Errorf("%w: created at %d µs", errHeader, h.created)
	}
	return h, err
}

// errDisk is what every error of the file system is wrapped in.
var errDisk = errors.New("replication: disk")

// diskError wraps an error of the package os, which names the path; nil stays nil.
func diskError(err error) error {
	if err == nil || errors.Is(err, errDisk) {
		return err
	}
	return fmt.Errorf("%w: %w", errDisk, err)
}

// crashPoint is called at each step between which a crash makes a difference. Tests crash
// there; no other code sets it.
var crashPoint = func(string) {}

// writeHeader begins a new file.
func writeHeader(f *os.File, h fileHeader) error {
	crashPoint("created")
	_, err := f.Write(h.encode())
	crashPoint("header written")
	return diskError(err)
}

// writeFile makes a file, or replaces one, and has what fill writes on disk. Its name is not on
// disk yet. After an error the file is gone.
func writeFile(path string, fill func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePermissions)
	if err != nil {
		return diskError(err)
	}
	err = fill(f)
	crashPoint("file written")
	if err == nil {
		err = syncFile(f)
	}
	crashPoint("synced " + filepath.Base(path))
	if failed := f.Close(); err == nil {
		err = diskError(failed)
	}
	if err != nil {
		err = errors.Join(err, diskError(os.Remove(path)))
	}
	return err
}

// cutFile cuts a file at an offset, writes its new end, and has it on disk.
func cutFile(path string, offset int64, end []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return diskError(err)
	}
	defer func() { _ = f.Close() }()
	crashPoint("before the cut")
	if err := f.Truncate(offset); err != nil {
		return diskError(err)
	}
	crashPoint("cut")
	if _, err := f.WriteAt(end, offset); err != nil {
		return diskError(err)
	}
	return diskError(f.Sync())
}

// copyFile copies a file, from an offset on, to a new one.
func copyFile(from, to string, offset int64) error {
	in, err := os.Open(from)
	if err != nil {
		return diskError(err)
	}
	defer func() { _ = in.Close() }()
	return writeFile(to, func(out *os.File) error {
		_, err := io.Copy(out, io.NewSectionReader(in, offset, math.MaxInt64-offset))
		return diskError(err)
	})
}

// syncDir has the directory's entries on disk: files that were created, renamed and removed.
// Windows has no such call; NTFS keeps its entries in a journal.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return diskError(err)
	}
	defer func() { _ = d.Close() }()
	return diskError(d.Sync())
}

// errUncertain is that a new file stands at its name, but that it may not stand there after
// a crash.
var errUncertain = errors.New("replication: the directory could not be synced")

// putInPlace renames a file that is on disk, and has its new name on disk.
func putInPlace(from, to string) error {
	crashPoint("before rename")
	if err := os.Rename(from, to); err != nil {
		return diskError(err)
	}
	crashPoint("renamed")
	if err := syncDir(filepath.Dir(to)); err != nil {
		return fmt.Errorf("%w: %w", errUncertain, err)
	}
	crashPoint("directory synced")
	return nil
}

// removeFile removes a file that may not be there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(err)
	}
	return nil
}

// readHeader reads a header from the begin of a file.
func readHeader(f io.Reader) (h fileHeader, err error) {
	var head [fileHeaderBytes]byte
	if _, err := io.ReadFull(f, head[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return h, fmt.Errorf("%w: the file ends within it", errHeader)
	} else if err != nil {
		return h, diskError(err)
	}
	return parseFileHeader(head[:])
}
