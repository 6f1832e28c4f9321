package stream

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
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
	return len(s) == IDBytes && strings.Trim(s, "0123456789abcdef") == ""
}

// A Position is a place in the stream: a history, and how many bytes of payload came before
// the place since the history began.
type Position struct {
	ID     string // 40 hexadecimal digits
	Offset int64
}
