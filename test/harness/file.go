package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// WriteFile writes a file in a folder of the test's own and returns its path.
func WriteFile(t testing.TB, name string, text []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bytes.TrimSpace(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}
