// Package hashslot knows the slots of Redis Cluster. It imports only the standard library.
package hashslot

import "strings"

// Count is how many slots a Redis Cluster has.
const Count = 16384

// Of is the slot of a key in a Redis Cluster: the CRC-16 of the key, or of what stands
// between its first { and the next }, if anything does. See the Redis Cluster specification.
func Of(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
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
