package main

import "testing"

func TestFill(t *testing.T) {
	const text = "# T\n\n<!-- begin a -->\nold\n<!-- end a -->\n\nprose\n\n<!-- begin b-2 -->\nkept\n<!-- end b-2 -->\n"
	filled, kept := fill(text, map[string]string{"a": "\n| 1 |\n$1\n\n"})
	const want = "# T\n\n<!-- begin a -->\n\n| 1 |\n$1\n\n<!-- end a -->\n\nprose\n\n<!-- begin b-2 -->\nkept\n<!-- end b-2 -->\n"
	if filled != want || len(kept) != 1 || kept[0] != "b-2" {
		t.Errorf("got %q, kept %q", filled, kept)
	}
}

func TestNoise(t *testing.T) {
	const text = "goos: linux\npkg: x/y\ncpu: AMD\nBenchmarkWire \ntitle\n\n| a |\n|---|\n\n\n\nBenchmarkWire-2   \t       1\t360 ns/op\nPASS\nok  \tx/y\t3.2s\n"
	if got := blanks.ReplaceAllString(noise.ReplaceAllString(text, ""), "\n\n"); got != "title\n\n| a |\n|---|\n\n" {
		t.Errorf("got %q", got)
	}
}
