package bench

import (
	"bytes"
	"fmt"
	"strings"
)

// A request is the bytes of a command, ready to be sent but for the digits of its key.
type request struct {
	bytes  []byte
	digits int // where the digits of the key begin; −1: there is no key
}

// newRequest makes the request of a command in which keyMark stands for the key.
func newRequest(words []string, prefix string) request {
	probe := keyName(prefix, probeKey)
	full := make([]string, len(words))
	for i, word := range words {
		full[i] = strings.Replace(word, keyMark, probe, 1)
	}
	r := request{bytes: encode(full), digits: -1}
	if at := bytes.Index(r.bytes, []byte(probe)); at >= 0 {
		r.digits = at + len(prefix)
	}
	return r
}

// encode writes a command as an array of texts.
func encode(words []string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, word := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b
}
