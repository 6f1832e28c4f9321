package lua

import (
	"strings"

	"github.com/rlserver/rlserver/hashslot"
)

// stateKey is the key that a state has in Redis, given its name here: the prefix and the name. The
// states of one key's policies must share a slot of a cluster, and be no others'. So where a name is a
// key with what policies put behind it (user:1@api:t100/1s), the key becomes a hash tag:
//
//	user:1   {user:1}@api:t100/1s
//	{eu}:1   {eu}:1@@api:t100/1s     has one of its own
//	}1       {!}}1!@api:t100/1s      would end one
//
// The byte before the last @ tells the three apart. Who asks does not matter, so that a question
// without Named meets the state too.
func stateKey(prefix, name string) string {
	at := suffixAt(name)
	if at <= 0 {
		return prefix + name
	}
	key, suffix := name[:at], name[at:]
	switch {
	case hashslot.Tag(key) != "":
		return prefix + key + "@" + suffix
	case key[0] == '}':
		return prefix + "{!}" + key + "!" + suffix
	}
	return prefix + "{" + key + "}" + suffix
}

// suffixAt is where in a name begins what a policy puts behind a key, or −1:
//
//	@ policy : letter [limit] / period
func suffixAt(name string) int {
	period := runBefore(name, len(name), isPeriod)
	if period == len(name) || period == 0 || name[period-1] != '/' {
		return -1
	}
	limit := runBefore(name, period-1, isDigit)
	if limit < 2 || !isLower(name[limit-1]) || name[limit-2] != ':' {
		return -1
	}
	at := strings.LastIndexByte(name[:limit-2], '@')
	if at == limit-3 { // a policy without a name
		return -1
	}
	return at
}

// runBefore is where the bytes of a kind begin that end at an index.
func runBefore(text string, end int, is func(byte) bool) int {
	for end > 0 && is(text[end-1]) {
		end--
	}
	return end
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isPeriod(c byte) bool { return isLower(c) || isDigit(c) || c == '.' }
