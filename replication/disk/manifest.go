package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rlserver/rlserver/replication/stream"
)

// Names of files.
const (
	manifestName = "appendonly.manifest"
	dumpName     = "dump.rls"
	lockName     = "rlserver.lock"
	temporary    = ".tmp"
)

func baseName(n int) string      { return fmt.Sprintf("appendonly.%d.base", n) }
func incrementName(n int) string { return fmt.Sprintf("appendonly.%d.incr", n) }

// A manifest says which files are the log: a base and the increments that follow it. It is
// written beside the one before and replaces it by a rename, so that there is always one that is
// right. Files that it does not name are leftovers. Files are made only when there is a manifest,
// which may be empty; so a directory that has files and no manifest has lost it.
//
//	rlserver manifest 1
//	last 4
//	base 3
//	increment 3 120040
//	increment 4 -
//	crc32c 89abcdef
type manifest struct {
	last       int // the highest number that a file has had
	base       int // 0: the log began with no keys
	increments []incrementEntry
	// stopped is when (µs since the Unix epoch) appending ended although the server went on;
	// 0: it did not. A snapshot that is younger goes before the log.
	stopped int64
}

type incrementEntry struct {
	number int
	end    int64 // the offset behind it; openEnd of the last, which may have grown
}

const (
	openEnd = -1
	// manifestBytesMax bounds a manifest.
	manifestBytesMax = 1 << 20
	manifestTitle    = "rlserver manifest "
	manifestVersion  = 1
	checksumTitle    = "crc32c "
)

// empty says whether the manifest names no files.
func (m *manifest) empty() bool { return m.base == 0 && len(m.increments) == 0 }

// files lists the names of the files of the log.
func (m *manifest) files() []string {
	var names []string
	if m.base != 0 {
		names = append(names, baseName(m.base))
	}
	for _, i := range m.increments {
		names = append(names, incrementName(i.number))
	}
	return names
}

func (m *manifest) encode() []byte {
	b := fmt.Appendf(nil, "%s%d\nlast %d\n", manifestTitle, manifestVersion, m.last)
	if m.base != 0 {
		b = fmt.Appendf(b, "base %d\n", m.base)
	}
	for _, i := range m.increments {
		end := "-"
		if i.end != openEnd {
			end = strconv.FormatInt(i.end, 10)
		}
		b = fmt.Appendf(b, "increment %d %s\n", i.number, end)
	}
	if m.stopped != 0 {
		b = fmt.Appendf(b, "stopped %d\n", m.stopped)
	}
	return append(b, checksumLine(b)...)
}

func checksumLine(b []byte) string { return fmt.Sprintf("%s%08x\n", checksumTitle, stream.Checksum(b)) }

// errManifest is what a manifest that cannot be right is refused with.
var errManifest = errors.New("bad manifest")

func parseManifest(b []byte) (m manifest, err error) {
	at := bytes.LastIndex(b, []byte("\n"+checksumTitle)) + 1
	if at == 0 || string(b[at:]) != checksumLine(b[:at]) {
		return m, fmt.Errorf("%w: its checksum is missing or wrong", errManifest)
	}
	lines := strings.Split(strings.TrimSuffix(string(b[:at]), "\n"), "\n")
	if version, ok := strings.CutPrefix(lines[0], manifestTitle); !ok {
		return m, fmt.Errorf("%w: it does not begin with %q", errManifest, manifestTitle)
	} else if version != strconv.Itoa(manifestVersion) {
		return m, fmt.Errorf("%w: a manifest of version %.20q", stream.ErrNewer, version)
	}
	for _, line := range lines[1:] {
		if err := m.line(line); err != nil {
			return m, err
		}
	}
	// What was read is what would be written, or a line was repeated, misplaced or not
	// spelt as it should be.
	if !bytes.Equal(m.encode(), b) {
		return m, fmt.Errorf("%w: its lines are not in order", errManifest)
	}
	return m, nil
}

func (m *manifest) line(line string) error {
	bad := fmt.Errorf("%w: the line %.80q", errManifest, line)
	name, value, _ := strings.Cut(line, " ")
	value, end, _ := strings.Cut(value, " ")
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || !stream.IsReading(n) || name != "stopped" && n > math.MaxInt32 {
		return bad
	}
	switch name {
	case "last":
		m.last = int(n)
	case "base":
		m.base = int(n)
	case "stopped":
		m.stopped = n
	case "increment":
		i := incrementEntry{int(n), openEnd}
		if end != "-" {
			if i.end, err = strconv.ParseInt(end, 10, 64); err != nil || i.end < 0 {
				return bad
			}
		}
		if k := len(m.increments); k > 0 && (m.increments[k-1].number >= i.number || m.increments[k-1].end == openEnd) {
			return bad
		}
		m.increments = append(m.increments, i)
	default:
		return bad
	}
	return nil
}

// readManifest reads the manifest of a directory; found is false if there is none and
// nothing that needs one.
func readManifest(dir string) (m manifest, found bool, err error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		names, err := logFiles(dir)
		if err == nil && len(names) > 0 {
			err = &DamageError{Dir: dir, File: manifestName, Problem: "it is missing, but " + names[0] + " is there"}
		}
		return m, false, err
	}
	if err != nil {
		return m, false, diskError(err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, manifestBytesMax+1))
	if err != nil {
		return m, false, diskError(err)
	}
	if len(b) > manifestBytesMax {
		err = fmt.Errorf("%w: it is longer than %d bytes", errManifest, manifestBytesMax)
	} else {
		m, err = parseManifest(b)
	}
	if errors.Is(err, errManifest) {
		return m, false, &DamageError{Dir: dir, File: manifestName, Problem: err.Error()}
	}
	if err != nil {
		return m, false, fmt.Errorf("%w, in %s", err, filepath.Join(dir, manifestName))
	}
	return m, true, nil
}

// writeManifest puts m in force. After errUncertain m may be in force or not.
func writeManifest(dir string, m *manifest) error {
	b := m.encode()
	if len(b) > manifestBytesMax {
		return fmt.Errorf("%w: it would be longer than %d bytes", errManifest, manifestBytesMax)
	}
	path := filepath.Join(dir, manifestName)
	err := writeFile(path+temporary, func(f *os.File) error {
		crashPoint("manifest created")
		_, err := f.Write(b)
		return diskError(err)
	})
	if err != nil {
		return err
	}
	return putInPlace(path+temporary, path)
}

// logFiles lists the files in a directory that a manifest would name, if they were not
// leftovers.
func logFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, diskError(err)
	}
	var names []string
	for _, e := range entries {
		if _, _, ok := parseName(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// parseName parses the name of a base or increment.
func parseName(name string) (number int, base, ok bool) {
	digits, kind, _ := strings.Cut(strings.TrimPrefix(name, "appendonly."), ".")
	number, err := strconv.Atoi(digits)
	return number, kind == "base", err == nil && (name == incrementName(number) || name == baseName(number))
}
