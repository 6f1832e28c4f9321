package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAOF(t *testing.T) {
	dir := t.TempDir()
	expect := func(args string, code int, words ...string) {
		t.Helper()
		got := call(nil, append([]string{"aof"}, strings.Fields(args)...)...)
		if got.code != code {
			t.Errorf("aof %s: exit %d, want %d\n%s%s", args, got.code, code, got.stdout, got.stderr)
		}
		for _, word := range words {
			if !strings.Contains(got.stdout+got.stderr, word) {
				t.Errorf("aof %s: no %q in\n%s%s", args, word, got.stdout, got.stderr)
			}
		}
		if (got.stderr != "") != (code == 2) {
			t.Errorf("aof %s: stderr %q", args, got.stderr)
		}
	}
	expect("check "+dir, 0, "has no append-only file")
	expect("repair --yes "+dir, 0, "has no append-only file")

	// A snapshot of no keys, as the format is described, and of it without its end.
	snapshot, err := os.ReadFile("testdata/dump.rls")
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "dump.rls"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(snapshot)
	expect("check "+dir, 0, "dump.rls", "snapshot", "good", "2 ", "0123abcd", "4711")
	write(snapshot[:len(snapshot)-1])
	expect("check "+dir, 1, "dump.rls: damaged at byte 142: it ends within a frame.", "rlserver aof repair "+dir)
	expect("repair "+dir, 1, "would be cut from byte 142 on, 39 bytes", "--yes")
	expect("check "+dir, 1)
	expect("repair "+dir+" --yes", 0, "was cut from byte 142 on, 39 bytes, kept as dump.rls.cut-from-142")
	expect("check "+dir, 0, "good")
	if b, err := os.ReadFile(filepath.Join(dir, "dump.rls")); err != nil || string(b) != string(snapshot) {
		t.Errorf("the repair made %q, %v", b, err)
	}

	expect("check "+filepath.Join(dir, "none"), 2, "there is no directory")
	expect("check", 2, "check takes one argument, DIR, but was given 0 (see rlserver aof check --help)")
	expect("repair a b", 2, "repair takes one argument, DIR, but was given 2")
	expect("repiar "+dir, 2, `unknown command "repiar": did you mean repair?`)
	expect("", 0, "Examples:")
}
