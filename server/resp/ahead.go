package resp

// aheadMax is how many commands a Framer looks ahead. A key that is not in the processor's caches
// takes a fraction of a microsecond to come, which is less than as many commands take.
const aheadMax = 8

// ahead is what a Framer has looked at: commands that have been read and not been handed out.
type ahead struct {
	commands int
	bytes    int // that they take, from r on
}

// passed takes note that a command of so many bytes has been handed out.
func (a *ahead) passed(bytes int) {
	if a.commands > 0 {
		a.commands--
		a.bytes -= bytes
	}
}

// Ahead looks at the next of the commands that have been read, and returns its second word, most
// likely a key. It returns each once, and nil when it has looked at aheadMax commands, or comes to
// one that is not complete or not of the usual form, until Next hands out another command. It
// changes nothing of what Next hands out.
func (f *Framer) Ahead() (key []byte) {
	for f.parsed == 0 && f.ahead.commands < aheadMax {
		b := f.buf[f.r+f.ahead.bytes : f.w]
		start, end, next, ok := f.pattern.match(b)
		if !ok {
			start, end, next, ok = skim(b)
		}
		if !ok {
			return nil
		}
		f.ahead.commands++
		f.ahead.bytes += next
		if start > 0 {
			return b[start:end:end]
		}
	}
	return nil
}

// skim says where in b the second word is and the command ends, if b begins with a command of the
// usual form. start is 0 if the command has one word.
func skim(b []byte) (start, end, next int, ok bool) {
	words := usualHeader(b)
	next = usualHeaderBytes
	for i := range words {
		from, to := usualArgument(b, next)
		if from == 0 {
			return 0, 0, 0, false
		}
		if i == 1 {
			start, end = from, to
		}
		next = to + 2
	}
	return start, end, next, words > 0
}
