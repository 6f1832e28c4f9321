package stream

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// IDBytes is the length of a history's id: hexadecimal digits, as in Redis.
const IDBytes = 40

// NewID makes the id of a new history of changes.
func NewID() string {
	var id [IDBytes / 2]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// IsID says whether s can be the id of a history.
func IsID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == IDBytes
}

// A Position is a place in the stream: a history, and how many bytes of payload came before
// the place since the history began.
type Position struct {
	ID     string // 40 hexadecimal digits
	Offset int64
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.ID, p.Offset) }
