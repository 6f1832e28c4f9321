package server

import (
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/resp"
)

// The words of a command: names, patterns and numbers.

// Names on the wire are ASCII and case-insensitive. Unicode folds the Kelvin sign to a k and the long
// s to an s, so names are compared and lowered byte by byte.

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

// globMatch says whether s matches a pattern of Redis: * any bytes, ? one byte, [abc],
// [a-c] and [^a] one byte of a class, \x the byte x itself.
//
// It never recurses. When a byte does not match, it goes back to the last *, which then matches a
// byte more. To go back to an earlier * could not help. So the time is at most the product of the two
// lengths, whatever the pattern.
func globMatch(pattern, s string) bool {
	p, i := 0, 0
	star, retry := -1, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, retry = p, i
			p++
			continue
		}
		if width, ok := matchOne(pattern[p:], s[i]); ok {
			p += width
			i++
			continue
		}
		if star < 0 {
			return false
		}
		retry++
		p, i = star+1, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches c against the first element of a pattern, and says how long that is.
func matchOne(pattern string, c byte) (width int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, c)
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	}
	return 1, pattern[0] == c
}

// matchClass matches c against the class at the start of a pattern. A class that is not
// closed ends with the pattern, as in Redis.
func matchClass(pattern string, c byte) (width int, ok bool) {
	i := 1
	negated := i < len(pattern) && pattern[i] == '^'
	if negated {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || pattern[i] == c
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
			ok = ok || low <= c && c <= high
			i += 2
		default:
			ok = ok || pattern[i] == c
		}
	}
	return min(i+1, len(pattern)), ok != negated
}

// wholeNumber is policy.Number of a word of the wire.
func wholeNumber(value []byte) (int64, bool) {
	return policy.Number(resp.View(value))
}
