package server

import "testing"

func TestFold(t *testing.T) {
	word := []byte("BuRsT")
	if !equalFold(word, "BURST") || equalFold(word, "BURS") || equalFold("co\u017ft", "cost") || equalFold("\u212aeys", "keys") {
		t.Error("names are ASCII, in any case")
	}
	if got := lower(word); got != "burst" || string(word) != "BuRsT" {
		t.Errorf("lower is %q and leaves %q", got, word)
	}
}
