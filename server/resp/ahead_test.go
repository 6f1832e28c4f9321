package resp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The keys that are ahead are the second words of the commands that come next, each told once and in
// order, wherever the stream is cut and whatever stands between.
func TestFramerAhead(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		f, stream, keys := Framer{Trusted: true}, repeatedPieces(random, 40), []string(nil)
		size := 1 + random.IntN(len(stream))
		for len(stream) > 0 {
			n := copy(f.Room(make([]byte, 4*lentRestMax)), stream[:min(size, len(stream))])
			f.Filled(n)
			stream = stream[n:]
			for {
				for key := f.Ahead(); key != nil; key = f.Ahead() {
					keys = append(keys, string(key))
				}
				looked := f.ahead.commands
				if looked > aheadMax || len(keys) > looked {
					t.Fatalf("seed %d: %d keys of %d commands are ahead", seed, len(keys), looked)
				}
				args, found, err := f.Next()
				if err != nil {
					stream = ""
				}
				if !found {
					break
				}
				if random.IntN(16) == 0 {
					f.Unread() // all is told again
					keys = nil
				} else if looked > 0 && len(args) > 1 {
					if string(args[1]) != keys[0] {
						t.Fatalf("seed %d: %q was ahead, and %q came", seed, keys[0], args)
					}
					keys = keys[1:]
				}
			}
			f.Park()
		}
	}
}

// A pipeline's keys are known before their commands, as many as there may be, whether the commands
// repeat each other or take turns.
func TestFramerAheadOfPipelines(t *testing.T) {
	for _, limits := range []int{1, 3} {
		var stream strings.Builder
		var want []string
		for i := range 3 * aheadMax {
			want = append(want, fmt.Sprintf("user:%d", i))
			stream.WriteString(encode("RL.CHECK", want[i], "token_bucket", fmt.Sprint(100+i%limits), "60"))
		}
		f := Framer{}
		f.Filled(copy(f.Room(make([]byte, stream.Len())), stream.String()))
		var keys []string
		for i := range want {
			for key := f.Ahead(); key != nil; key = f.Ahead() {
				keys = append(keys, string(key))
			}
			if n := min(i+aheadMax, len(want)); !slices.Equal(keys, want[:n]) {
				t.Fatalf("%d limits: before command %d the keys ahead were %q", limits, i, keys)
			}
			if args, found, err := f.Next(); !found || err != nil || string(args[1]) != want[i] {
				t.Fatalf("%d limits: command %d is %q, %v", limits, i, args, err)
			}
		}
	}
}
