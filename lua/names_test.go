package lua

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/hashslot"
)

// suffixes are what policies put behind a key.
var suffixes = []string{
	"@api:t100/1s", "@api:l1/366d", "@a.b_c-9:w/15m", "@api:f/month", "@api:f/week", "@x:c/1500ms", "@" + strings.Repeat("p", 64) + ":t1000000000/1.000003ms",
}

func TestStateKey(t *testing.T) {
	for name, want := range map[string]string{
		"user:1":                  "rl:user:1",
		"user:1@api:t100/1s":      "rl:{user:1}@api:t100/1s",
		"a@b@api:f/month":         "rl:{a@b}@api:f/month",
		"{eu}:1@api:t100/1s":      "rl:{eu}:1@@api:t100/1s",
		"{user:1}@api:t100/1s":    "rl:{user:1}@@api:t100/1s",
		"a{b@api:w/1h":            "rl:{a{b}@api:w/1h",
		"{}@api:w/1h":             "rl:{{}}@api:w/1h",
		"}@api:w/1h":              "rl:{!}}!@api:w/1h",
		"bob@example.com":         "rl:bob@example.com",
		"bob@example.com:80/path": "rl:bob@example.com:80/path",
		"@api:t100/1s":            "rl:@api:t100/1s", // of no key
		"user@:t100/1s":           "rl:user@:t100/1s",
		"user@api:T100/1s":        "rl:user@api:T100/1s",
		"user@api:t10x0/1s":       "rl:user@api:t10x0/1s",
		"user@api:t100/":          "rl:user@api:t100/",
	} {
		if got := stateKey("rl:", name); got != want {
			t.Errorf("%q is %q in Redis, want %q", name, got, want)
		}
	}
}

// All states of a key share a slot, whatever bytes it has, and no two names share a key.
func TestStatesShareASlot(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	keys := []string{"}", "{", "{}", "}{", "}}", "{{", "a{b", "a}b", "{a", "}a{b}", "{}a", "{!}}", "!}", "{!}}!", "a@", "{a}@", "{a}", "a", "@", "\x00", "\xff{\xfe}"}
	for range 20_000 {
		key := make([]byte, 1+r.IntN(7))
		for i := range key {
			key[i] = "{}@!ab:"[r.IntN(7)]
		}
		keys = append(keys, string(key))
	}
	names := map[string]string{} // by the key in Redis
	for _, key := range keys {
		slot := hashslot.Of(stateKey("rl:", key+suffixes[0]))
		for _, suffix := range suffixes {
			name := key + suffix
			in := stateKey("rl:", name)
			if of := hashslot.Of(in); of != slot {
				t.Errorf("%q is in slot %d, and its other states are in %d", in, of, slot)
			}
			if hashslot.Tag(key) != "" && hashslot.Of(in) != hashslot.Of(key) {
				t.Errorf("%q is in another slot than its tag", in)
			}
			if other, taken := names[in]; taken && other != name {
				t.Errorf("%q and %q are both %q in Redis", name, other, in)
			}
			names[in] = name
		}
		if other, taken := names[stateKey("rl:", key)]; taken {
			t.Errorf("the key %q is that of %q", key, other)
		}
	}
}
