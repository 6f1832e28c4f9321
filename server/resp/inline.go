package resp

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// inline reads an inline command: words on a line, as people type them into telnet. found is false
// when the line has not ended yet. An empty line is a command without words.
func (f *Framer) inline() (words [][]byte, found bool, err error) {
	line := f.buf[f.r:f.w]
	end := bytes.IndexByte(line, '\n')
	if end < 0 && len(line) <= lineBytesMax {
		return nil, false, nil
	}
	if end < 0 || end > lineBytesMax {
		return nil, false, ProtocolError("too big inline request")
	}
	f.r += end + 1
	f.pattern.forget()
	line = bytes.TrimSuffix(line[:end], []byte{'\r'})
	words, ok := splitWords(line)
	if !ok {
		return nil, false, ProtocolError("unbalanced quotes in request")
	}
	if len(words) > 0 && (isName(words[0], "post") || isName(words[0], "host:")) {
		return nil, false, ErrCrossProtocol
	}
	return words, true, nil
}

// isName compares a word with a name in lower case. With the length given no letter but those of
// ASCII folds to one of ASCII.
func isName(word []byte, name string) bool {
	return len(word) == len(name) && bytes.EqualFold(word, []byte(name))
}

// splitWords splits a line as a shell would: words between spaces, "…" with backslash
// escapes (\n \r \t \b \a \xHH), '…' with \' only. ok is false when a quote is not closed,
// or a closing quote is not followed by a space.
func splitWords(line []byte) (words [][]byte, ok bool) {
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return words, true
		}
		word := []byte{}
		for i < len(line) && !endsWord(line[i]) {
			if c := line[i]; c != '"' && c != '\'' {
				word = append(word, c)
				i++
				continue
			}
			if word, i, ok = quoted(word, line, i); !ok {
				return nil, false
			}
			break // a closing quote ends the word
		}
		words = append(words, word)
	}
}

// quoted appends to word the bytes between the quote at line[i] and the closing one, and returns the
// place behind that.
func quoted(word, line []byte, i int) ([]byte, int, bool) {
	quote := line[i]
	for i++; i < len(line); i++ {
		switch c := line[i]; {
		case c == quote:
			i++
			return word, i, i == len(line) || isSpace(line[i])
		case c == '\\' && i+1 < len(line) && (quote == '"' || line[i+1] == '\''):
			var used int
			word, used = escape(word, line[i+1:], quote)
			i += used
		default:
			word = append(word, c)
		}
	}
	return nil, i, false
}

// escape appends the byte that an escape stands for, and returns the length of the escape. rest
// begins behind the backslash.
func escape(word, rest []byte, quote byte) ([]byte, int) {
	if quote == '"' {
		if len(rest) >= 3 && rest[0] == 'x' {
			if c, err := hex.DecodeString(string(rest[1:3])); err == nil {
				return append(word, c...), 3
			}
		}
		if i := strings.IndexByte(EscapeLetters, rest[0]); i >= 0 {
			return append(word, Escaped[i]), 1
		}
	}
	return append(word, rest[0]), 1
}

// In quotes, a backslash and one of EscapeLetters stand for the byte of Escaped at the same place.
const (
	EscapeLetters = "nrtba"
	Escaped       = "\n\r\t\b\a"
)

// endsWord says whether a word ends before c. As in Redis, a vertical tab and a form feed are space
// between words, but part of a word that has begun.
func endsWord(c byte) bool { return isSpace(c) && c != '\v' && c != '\f' }

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' || c == 0 }
