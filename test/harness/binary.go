package harness

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness/race"
)

// Repository is the folder of the clone. A test runs in the folder of its package, which may be in a
// module of its own.
var Repository = sync.OnceValue(func() string {
	dir, _ := os.Getwd()
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "rlserver")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	panic("there is no cmd/rlserver above the tests")
})

// Binary is the path of the rlserver under test: with the race detector and the costly checks
// of invariants if the tests run with the detector.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("cannot build rlserver: %v", err)
	}
	return path
}

// build builds the server once for each process of tests. All processes share the file: the
// first one links it, and for the others the go command finds that it is up to date. A lock
// keeps them apart meanwhile.
var build = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(Repository(), "build", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path, args := filepath.Join(dir, "rlserver"), []string{"build"}
	if race.Enabled {
		path += "-race"
		args = append(args, "-race", "-tags", "invariants")
	}
	command := exec.Command("go", append(args, "-o", path, "./cmd/rlserver")...)
	command.Dir = Repository()
	if out, err := command.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(strings.TrimSpace(string(out))))
	}
	return path, nil
})
