package resp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// encode is a command as clients send it.
func encode(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

// A command that differs from the one before it in its second word only is known as such, whatever
// that word is, up to the bound on its length and that on all others.
func TestFramerKnowsRepeats(t *testing.T) {
	rest := []string{"token_bucket", "100", "60"}
	question := func(key string, options ...string) string {
		return encode(append(append([]string{"RL.CHECK", key}, rest...), options...)...)
	}
	long := strings.Repeat("x", 999)
	for _, test := range []struct {
		why, before, command string
		want                 bool
	}{
		{"another key", question("a"), question("b"), true},
		{"the same key", question("a"), question("a"), true},
		{"no key", question("a"), question(""), true},
		{"a long key", question("a"), question(long), true},
		{"behind a long key", question(long), question("a"), true},
		{"a key that is too long", question("a"), question(long + "x"), false},
		{"behind a key that is too long", question(long + "x"), question("a"), false},
		{"the line's end in the key", question("\r\n$12\r\ntoken_bucket"), question("\r\n"), true},
		{"all options", question("a", "BURST", "1000000000", "COST", "1000000000"), question("b", "BURST", "1000000000", "COST", "1000000000"), true},
		{"more than there is room for", question("a", strings.Repeat("x", patternBytesMax)), question("b", strings.Repeat("x", patternBytesMax)), false},
		{"two words", encode("INCR", "a"), encode("INCR", "b"), true},
		{"one word", encode("PING"), encode("PING"), false},
		{"another command", question("a"), strings.Replace(question("a"), "CHECK", "RESET", 1), false},
		{"another limit", question("a"), strings.Replace(question("a"), "100", "101", 1), false},
		{"a word more", question("a"), question("a", "x"), false},
		{"another line's end", question("a"), strings.Replace(question("a"), "a\r\n", "axx", 1), false},
		{"as a line", "RL.CHECK a token_bucket 100 60\r\n", question("a"), false},
		{"a line of the same words", question("a"), "RL.CHECK a token_bucket 100 60\r\n", false},
		{"behind a line", question("a") + "PING\r\n", question("a"), false},
		{"behind PING", question("a") + encode("PING"), question("a"), false},
		{"behind many words", question("a") + encode(strings.Split("a b c d e f g h i j", " ")...), question("a"), false},
	} {
		f := Framer{Trusted: true}
		stream := test.before + test.command
		copy(f.Room(make([]byte, len(stream))), stream)
		f.Filled(len(stream))
		for f.Buffered() > 0 {
			if _, found, err := f.Next(); !found || err != nil {
				t.Fatalf("%s: found %v, error %v", test.why, found, err)
			}
		}
		if f.Repeats() != test.want {
			t.Errorf("%s: known as a repeat: %v", test.why, f.Repeats())
		}
		if f.Unread(); test.want {
			if _, found, err := f.Next(); !found || err != nil || !f.Repeats() {
				t.Errorf("%s: put back and read again: found %v, error %v, a repeat: %v", test.why, found, err, f.Repeats())
			}
		}
	}
}

// Streams of commands that repeat each other, and of what nearly does, are framed as by the naive
// framer, wherever they are cut.
func TestFramerOfRepeats(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		all := []byte(repeatedPieces(random, 12))
		if random.IntN(4) == 0 {
			all[random.IntN(len(all))] = "\r\n$*0 a"[random.IntN(7)]
		}
		trusted := random.IntN(2) == 0
		want, wantErr := naiveCommands(all, trusted)
		for _, lent := range [][]byte{nil, make([]byte, 4*lentRestMax)} {
			size := 1 + random.IntN(len(all))
			got, err := commandsIn(&cutReader{rest: all, size: size}, trusted, lent)
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("seed %d: %q, in pieces of %d, lent %v: got %q, %v; want %q, %v", seed, all, size, lent != nil, got, err, want, wantErr)
			}
		}
	}
}

// repeatedPieces is a stream of up to so many pieces.
func repeatedPieces(random *rand.Rand, most int) string {
	var stream strings.Builder
	for range 1 + random.IntN(most) {
		stream.WriteString(repeatedPiece(random))
	}
	return stream.String()
}

// repeatedPiece is a command like most others that it returns, or another one.
func repeatedPiece(random *rand.Rand) string {
	key := []string{"", "a", "user:123", "\r\n", "$3\r\n100\r\n", strings.Repeat("k", 98), strings.Repeat("k", 999), strings.Repeat("k", 1000)}[random.IntN(8)]
	question := encode("RL.CHECK", key, "token_bucket", "100", "60")
	switch random.IntN(12) {
	case 0:
		return encode("RL.CHECK", key, "token_bucket", "101", "60")
	case 1:
		return encode("INCR", key)
	case 2:
		return encode("PING")
	case 3:
		return "PING\r\n"
	case 4:
		return "*0\r\n"
	case 5:
		return strings.Replace(question, key+"\r\n$12", key+"xx$12", 1)
	case 6:
		return encode("RL.CHECK", key, "token_bucket", strings.Repeat("1", random.IntN(2*patternBytesMax)), "60")
	case 7:
		return question[:random.IntN(len(question))]
	}
	return question
}
