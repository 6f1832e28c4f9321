package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

func (k fileKind) String() string {
	if k == fileSnapshot {
		return "snapshot"
	}
	return "increment"
}

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

// createFile makes a file that begins with a header. It is not on disk yet.
func createFile(path string, h fileHeader) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePermissions)
	if err != nil {
		return nil, diskError(err)
	}
	crashPoint("created")
	if _, err := f.Write(h.encode()); err != nil {
		_ = f.Close()
		return nil, diskError(errors.Join(err, os.Remove(path)))
	}
	crashPoint("header written")
	return f, nil
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

// readHeader reads the header of a snapshot or increment.
func readHeader(path string) (h fileHeader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, diskError(err)
	}
	defer func() { _ = f.Close() }()
	var head [fileHeaderBytes]byte
	_, err = io.ReadFull(f, head[:])
	if err == nil {
		h, err = parseFileHeader(head[:])
	}
	if errors.Is(err, errHeader) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return h, &DamageError{Dir: filepath.Dir(path), File: filepath.Base(path), Problem: err.Error()}
	}
	return h, err
}
