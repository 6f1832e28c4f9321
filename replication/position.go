package replication

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// idBytes is the length of a history's id: hexadecimal digits, as in Redis.
const idBytes = 40

// newID makes the id of a new history of changes.
func newID() string {
	var id [idBytes / 2]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// isID says whether s can be the id of a history.
func isID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == idBytes
}

// A position is a place in the stream: a history, and how many bytes of payload came before
// the place since the history began.
type position struct {
	id     string // 40 hexadecimal digits
	offset int64
}

func (p position) String() string { return fmt.Sprintf("%s:%d", p.id, p.offset) }
