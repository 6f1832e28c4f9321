// Package hashslot knows the slots of Redis Cluster. It imports only the standard library.
package hashslot

import "strings"

// Count is how many slots a Redis Cluster has.
const Count = 16384

// Tag is the hash tag of a key: what stands between its first { and the next }. Empty: it has none.
func Tag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, closed := strings.Cut(rest, "}")
	if !closed {
		return ""
	}
	return tag
}

// Of is the slot of a key in a Redis Cluster: the CRC-16 of its hash tag, or if it has none of the
// whole key. See the Redis Cluster specification.
func Of(key string) int {
	if tag := Tag(key); tag != "" {
		key = tag
	}
	crc := uint16(0)
	for i := range len(key) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^key[i]]
	}
	return int(crc) % Count
}

// crcTable is of CRC-16/XMODEM: polynomial 0x1021, not reflected, beginning with 0.
var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
