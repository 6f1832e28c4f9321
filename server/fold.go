package server

// Names on the wire are ASCII and case-insensitive. Unicode's folding would take the Kelvin
// sign for a k and the long s for an s, so names are compared and lowered byte by byte.

// equalFold compares a word of the wire with a name.
func equalFold[T string | []byte](word T, name string) bool {
	if len(word) != len(name) {
		return false
	}
	for i := range len(name) {
		if lowerByte(word[i]) != lowerByte(name[i]) {
			return false
		}
	}
	return true
}

// lower is a word of the wire in lower case.
func lower[T string | []byte](word T) string {
	b := append([]byte(nil), word...) // a conversion would not copy a []byte
	for i, c := range b {
		b[i] = lowerByte(c)
	}
	return string(b)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
