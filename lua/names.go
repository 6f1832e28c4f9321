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
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return -1
	}
	policy, rest, _ := strings.Cut(name[at+1:], ":")
	rule, period, _ := strings.Cut(rest, "/")
	if policy == "" || rule == "" || period == "" || !isLower(rule[0]) || strings.Trim(rule[1:], "0123456789") != "" {
		return -1
	}
	for i := range len(period) {
		if c := period[i]; !isLower(c) && (c < '0' || c > '9') && c != '.' {
			return -1
		}
	}
	return at
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
