package hashslot

import "testing"

// The check value of CRC-16/XMODEM is 0x31C3; the others are what Redis 7.0.15 answers to
// CLUSTER KEYSLOT.
func TestOf(t *testing.T) {
	for key, want := range map[string]int{
		"123456789": 0x31C3 % Count, "": 0, "foo": 12182, "{foo}": 12182, "a{foo}b{bar}": 12182, "foo{}": 5542,
		"{}foo": 9500, "foo{{bar}}": 4015, "rl:user:1000": 8215, "{user1000}.following": 3443,
	} {
		if got := Of(key); got != want {
			t.Errorf("%q is in slot %d; want %d", key, got, want)
		}
	}
}
