package resp

// A pattern is a command of the usual form without its second word, which is most likely a key. Most
// connections send the same command again and again with only the key changing. Such a command is
// framed by two comparisons.
//
// The words of the command handed out last, but for the second, stand in the pattern and not in the
// buffer, so they stay when the next command has the same.
type pattern struct {
	// bytes has the head, up to the $ of the second word's length, and the tail, from the second word's
	// end on.
	bytes [patternBytesMax]byte
	head  uint8 // its length; 0: there is no pattern
	end   uint8 // where the tail ends
}

// patternBytesMax has room for a question with all of its options.
const patternBytesMax = 118

func (p *pattern) forget() { p.head = 0 }

// remember makes a pattern of command, whose second word begins with its header at second and ends
// at tail, and has args point to it.
func (p *pattern) remember(command []byte, second, tail int, args [][]byte) {
	head, end := second+1, second+1+len(command)-tail
	if end > len(p.bytes) {
		p.forget()
		return
	}
	p.head, p.end = uint8(head), uint8(end)
	copy(p.bytes[:], command[:head])
	copy(p.bytes[head:], command[tail:])
	at := usualHeaderBytes
	for i, word := range args {
		if i == 1 {
			at = head + 2
			continue
		}
		at += usualLengthBytes(len(word))
		args[i] = p.bytes[at : at+len(word) : at+len(word)]
		at += len(word) + 2
	}
}

// usualLengthBytes is how many bytes the header of an argument of so many bytes takes, which are less than
// 1,000.
func usualLengthBytes(length int) int {
	switch {
	case length < 10:
		return len("$1\r\n")
	case length < 100:
		return len("$10\r\n")
	}
	return len("$100\r\n")
}

// second says where in b the second word is if b begins with the head; end is 0 if it does not.
func (p *pattern) second(b []byte) (start, end int) {
	head := int(p.head)
	if head == 0 || len(b) < head || string(b[:head]) != string(p.bytes[:head]) {
		return 0, 0
	}
	length, start := usualLength(b, head)
	if start == 0 || start+length > len(b) {
		return 0, 0
	}
	return start, start + length
}

// match says where in b the second word is and the command ends, if b begins with a command of the
// pattern.
func (p *pattern) match(b []byte) (start, end, next int, ok bool) {
	start, end = p.second(b)
	if end == 0 {
		return 0, 0, 0, false
	}
	tail := p.bytes[p.head:p.end]
	next = end + len(tail)
	return start, end, next, next <= len(b) && string(b[end:next]) == string(tail)
}

// usualLength reads a length of less than 1,000 and the line's end at b[at:], and returns what begins
// behind it; 0 if it is not of that form.
func usualLength(b []byte, at int) (length, start int) {
	if at+3 > len(b) {
		return 0, 0
	}
	for i, c := range b[at:min(at+4, len(b)-1)] {
		switch {
		case '0' <= c && c <= '9' && i < 3 && (i == 0 || length > 0):
			length = length*10 + int(c-'0')
		case c == '\r' && i > 0 && b[at+1+i] == '\n':
			return length, at + 2 + i
		default:
			return 0, 0
		}
	}
	return 0, 0
}
