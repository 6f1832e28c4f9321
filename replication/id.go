package replication

import (
	"crypto/rand"
	"encoding/hex"
)

// idBytes is the length of a history's name on the wire: hexadecimal digits, as in Redis.
const idBytes = 40

// newID names a history of changes.
func newID() string {
	var id [idBytes / 2]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
