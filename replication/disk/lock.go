package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errInUse is that another process holds the lock of the directory.
var errInUse = errors.New("replication: the directory is in use by another process")

// lockDir keeps other processes away from a directory until the file is closed. The error that
// they get names the process that holds the lock.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := lockFile(path)
	if errors.Is(err, errInUse) {
		holder := ""
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 && len(b) < 32 {
			holder = ", process " + strings.TrimSpace(string(b))
		}
		return nil, fmt.Errorf("%w%s: %s", errInUse, holder, path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: this user must be able to write in the directory; choose another with dir", err)
	}
	if err != nil {
		return nil, err
	}
	// The number is for people to read. It is not what locks.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintln(f, os.Getpid())
	return f, nil
}
