package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// A badInput is what stands behind RL.CHECK, RL.PEEK or RL.REFUND, and the whole error it
// must get. KEY stands for a key, and %s in the text for the command's name.
type badInput struct {
	args []string
	want string
}

const (
	outOfUnits = "accepted is a whole number from 1 to 1000000000"
	arityText  = "ERR wrong number of arguments for '%s' command"
)

func notWhole(argument, value string) string {
	return "ERR " + argument + " '" + value + "' is not accepted: accepted is a whole number from 1 to 1000000000"
}

func unitsOut(argument, value string) string {
	return "ERR " + argument + " " + value + " is out of range: " + outOfUnits
}

func badPeriod(value string) string {
	return "ERR period '" + value + "' is not accepted: accepted is a whole number of seconds, or one with ms, s, m, h or d, from 1ms to 366d"
}

func unknownOption(value string) string {
	return "ERR option '" + value + "' is not known: accepted is BURST n and COST n"
}

// accepting is an error of unknownOption as a command has it: one of them takes FORCE as well.
func accepting(command, text string) string {
	if command == "RL.CHECK" {
		return strings.Replace(text, ": accepted is BURST n and COST n", ": accepted is BURST n, COST n and FORCE", 1)
	}
	return text
}

func unknownAlgorithm(quoted string) string {
	return "ERR algorithm " + quoted + " is not known: accepted is " + strings.Join(harness.Algorithms(), ", ")
}

// badUnits are wrong values for limit, burst and cost alike.
func badUnits(argument string, with func(value string) []string) (list []badInput) {
	for _, value := range []string{"0", "-1", "1000000001", "-1000000000", "4294967296", "999999999999999999"} {
		list = append(list, badInput{with(value), unitsOut(argument, value)})
	}
	for _, value := range []string{
		"1.5", "1.0", "1e3", "007", "00", "+5", "0x10", " 5", "5 ", "1 0", "", "NaN", "nan", "inf", "-inf", "Infinity", "-", "+", "--1", "5s",
		"1_000", "1,000", "９", "٣", "é", "5\x00", "\x005", "\x00", "\xff\xfe", "%d%s%n", "%!s",
		"9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551617", strings.Repeat("9", 30),
	} {
		list = append(list, badInput{with(value), notWhole(argument, value)})
	}
	list = append(list,
		badInput{with("5\r\n+OK"), notWhole(argument, "5  +OK")},
		badInput{with("\r\n"), notWhole(argument, "  ")},
		badInput{with("\n:1\n"), notWhole(argument, " :1 ")},
		badInput{with(strings.Repeat("x", 5000)), notWhole(argument, strings.Repeat("x", 128))})
	return list
}

func badPeriods() (list []badInput) {
	for _, value := range []string{
		"0", "0s", "0ms", "0d", "-1", "-1ms", "1us", "1µs", "1ns", "1S", "1MS", "1H", "1D", "1min", "1w", "ms", "s", "d", "",
		" 1", "1 ", "1 m", " 1m", "1m ", "1.5s", "1.5", ".5s", "1,5s", "1e3", "1e3s", "+1", "+1s", "01", "00s", "0x1", "1sm", "1d12h", "1s1",
		"367d", "8785h", "527041m", "31622401", "31622401s", "31622400001ms", "9999999999d", "213503982334602d", "999999999999999999d",
		"9223372036854775807", "9223372036854775808ms", "18446744073709551617s", "-9223372036854775808", strings.Repeat("9", 30) + "s",
		"NaN", "inf", "forever", "１s", "1ｓ", "1\x00", "1s\x00", "\x001s", "\xff", "%d",
	} {
		list = append(list, badInput{[]string{"KEY", "token_bucket", "10", value}, badPeriod(value)})
	}
	return append(list,
		badInput{[]string{"KEY", "token_bucket", "10", "1s\r\n"}, badPeriod("1s  ")},
		badInput{[]string{"KEY", "token_bucket", "10", "1\r\n+OK\r\n"}, badPeriod("1  +OK  ")},
		badInput{[]string{"KEY", "token_bucket", "10", strings.Repeat("1", 5000)}, badPeriod(strings.Repeat("1", 128))})
}

func badInputs() []badInput {
	at := func(words string) []string { return strings.Fields(words) }
	with := func(words, last string) []string { return append(at(words), last) }
	list := []badInput{
		{nil, arityText},
		{at("KEY"), arityText},
		{at("KEY token_bucket"), arityText},
		{at("KEY token_bucket 10"), arityText},
		{[]string{""}, arityText},

		{[]string{"", "token_bucket", "10", "60"}, "ERR key is 0 bytes long: accepted is 1 to 1024 bytes"},
		{[]string{strings.Repeat("k", 1025), "token_bucket", "10", "60"}, "ERR key is 1025 bytes long: accepted is 1 to 1024 bytes"},
		{[]string{strings.Repeat("é", 513), "token_bucket", "10", "60"}, "ERR key is 1026 bytes long: accepted is 1 to 1024 bytes"},
		{[]string{strings.Repeat("\x00", 100_000), "token_bucket", "10", "60"}, "ERR key is 100000 bytes long: accepted is 1 to 1024 bytes"},

		{at("KEY any_window 10 60"), unknownAlgorithm(`"any_window"`)},
		{at("KEY token-bucket 10 60"), unknownAlgorithm(`"token-bucket"`)},
		{at("KEY token_bucket_ 10 60"), unknownAlgorithm(`"token_bucket_"`)},
		{at("KEY none 10 60"), unknownAlgorithm(`"none"`)},
		{at("KEY 1 10 60"), unknownAlgorithm(`"1"`)},
		{[]string{"KEY", "", "10", "60"}, unknownAlgorithm(`""`)},
		{[]string{"KEY", "token_bucket ", "10", "60"}, unknownAlgorithm(`"token_bucket "`)},
		{[]string{"KEY", "token_bucket\x00", "10", "60"}, unknownAlgorithm(`"token_bucket\x00"`)},
		{[]string{"KEY", "a\r\n+OK\r\n", "10", "60"}, unknownAlgorithm(`"a\r\n+OK\r\n"`)},
		{[]string{"KEY", strings.Repeat("x", 5000), "10", "60"}, unknownAlgorithm(`"` + strings.Repeat("x", 64) + `"`)},

		{at("KEY token_bucket 1000001 1ms"), "ERR limit 1000001 is more than one unit a nanosecond: accepted is 1 to 1000000 for this period"},
		{at("KEY leaky_bucket 1000000000 999ms"), "ERR limit 1000000000 is more than one unit a nanosecond: accepted is 1 to 999000000 for this period"},
		{at("KEY token_bucket 10 366d BURST 998"), "ERR burst 998 takes more than 100 years to fill at this rate: accepted is 1 to 997 for this limit and period"},
		{at("KEY leaky_bucket 1 366d BURST 1000000000"), "ERR burst 1000000000 takes more than 100 years to fill at this rate: accepted is 1 to 99 for this limit and period"},
		{at("KEY leaky_bucket 1 4s BURST 1000000000"), "ERR burst 1000000000 takes more than 100 years to fill at this rate: accepted is 1 to 788940000 for this limit and period"},

		{at("KEY sliding_window_log 10 60 BURST 10"), "ERR option BURST is not accepted by sliding_window_log: its limit is the most that it admits at once"},
		{at("KEY sliding_window_log 10 60 COST 2 BURST 20"), "ERR option BURST is not accepted by sliding_window_log: its limit is the most that it admits at once"},
		{at("KEY sliding_window_log 100001 60"), "ERR limit of sliding_window_log 100001 is out of range: accepted is a whole number from 1 to 100000"},
		{at("KEY sliding_window_log 1000000000 60"), "ERR limit of sliding_window_log 1000000000 is out of range: accepted is a whole number from 1 to 100000"},

		{at("KEY token_bucket 10 60 BURST"), "ERR option BURST needs a value"},
		{at("KEY token_bucket 10 60 cost"), "ERR option COST needs a value"},
		{at("KEY token_bucket 10 60 BURST 5 COST"), "ERR option COST needs a value"},
		{at("KEY token_bucket 10 60 COST 5 BURST"), "ERR option BURST needs a value"},
		{at("KEY token_bucket 10 60 BURST 5 BURST 5"), "ERR option BURST is given twice"},
		{at("KEY token_bucket 10 60 COST 5 COST 6"), "ERR option COST is given twice"},
		{at("KEY token_bucket 10 60 cost 5 BURST 5 CoSt 6"), "ERR option COST is given twice"},
		{at("KEY token_bucket 10 60 COST 1 COST"), "ERR option COST is given twice"},
		{at("KEY token_bucket 10 60 LIMIT"), unknownOption("LIMIT")},
		{at("KEY token_bucket 10 60 5"), unknownOption("5")},
		{at("KEY token_bucket 10 60 5 COST"), unknownOption("5")},
		{at("KEY token_bucket 10 60 COST 1 NX 1"), unknownOption("NX")},
		{at("KEY token_bucket 10 60 COSTS 1"), unknownOption("COSTS")},
		{with("KEY token_bucket 10 60", ""), unknownOption("")},
		{with("KEY token_bucket 10 60", "COST\x00"), unknownOption("COST\x00")},
		{with("KEY token_bucket 10 60", "COST\r\n+OK"), unknownOption("COST  +OK")},
		{with("KEY token_bucket 10 60", strings.Repeat("x", 5000)), unknownOption(strings.Repeat("x", 128))},
	}
	for _, a := range engine.Algorithms() {
		list = append(list, badUnits("limit", func(v string) []string { return []string{"KEY", a.String(), v, "60"} })...)
		list = append(list, badUnits("cost", func(v string) []string { return []string{"KEY", a.String(), "10", "60", "COST", v} })...)
	}
	list = append(list, badUnits("burst", func(v string) []string { return []string{"KEY", "token_bucket", "10", "60", "BURST", v} })...)
	list = append(list, badUnits("burst", func(v string) []string { return []string{"KEY", "token_bucket", "10", "60", "cost", "1", "burst", v} })...)
	return append(list, badPeriods()...)
}

// A witness is a key with a known state, one for every algorithm, whose units do not come
// back while a test runs: one takes 36 days.
type witness struct {
	t    *testing.T
	c    *harness.Conn
	name string    // the algorithm's and the key's
	from time.Time // before it was written
	idle int64     // in how many ms it was idle then
}

const witnessLimit, witnessPeriod = "10", "366d"

func newWitness(t *testing.T, c *harness.Conn, a engine.Algorithm) *witness {
	t.Helper()
	w := &witness{t: t, c: c, name: a.String(), from: time.Now()}
	got, err := c.Ask("RL.CHECK", w.name, w.name, witnessLimit, witnessPeriod, "COST", "4").Integers()
	if err != nil || len(got) != 6 || got[0] != 1 || got[1] != 10 || got[2] != 6 {
		t.Fatalf("the witness %s was answered %d (%v)", w.name, got, err)
	}
	w.idle = got[4]
	return w
}

func (w *witness) question() string {
	return harness.Command("RL.PEEK", w.name, w.name, witnessLimit, witnessPeriod, "COST", "7")
}

// unchanged reads the reply to question: still four units taken, and the time until the
// key is idle shorter by no more than has passed.
func (w *witness) unchanged(after string) {
	w.t.Helper()
	reply := strings.Split(strings.TrimSpace(w.c.Reply()), "\r\n")
	if len(reply) != 7 || reply[1] != ":0" || reply[3] != ":6" {
		w.t.Fatalf("after %s the witness %s replies %v", after, w.name, reply)
	}
	reset, _ := strconv.ParseInt(reply[5][1:], 10, 64)
	if reset > w.idle || reset < w.idle-time.Since(w.from).Milliseconds()-1 {
		w.t.Fatalf("after %s the witness %s is idle in %d ms; want %d less the time that has passed", after, w.name, reset, w.idle)
	}
}

// refuses sends a command and, in the same packet, PING and questions: the command gets
// this one-line error, the connection goes on, and nothing has been stored or changed.
func refuses(t *testing.T, c *harness.Conn, witnesses []*witness, keys int, want string, words ...string) {
	t.Helper()
	packet := harness.Command(words...) + harness.Command("PING") + harness.Command("DBSIZE")
	for _, w := range witnesses {
		packet += w.question()
	}
	c.Send(packet)
	name := fmt.Sprintf("%.200q", words)
	if got := c.Reply(); got != "-"+want+"\r\n" {
		t.Errorf("%s\n got %q\nwant %q", name, got, "-"+want+"\r\n")
	}
	if !strings.HasPrefix(want, "ERR ") && !strings.HasPrefix(want, "WRONGTYPE ") || strings.ContainsAny(want, "\r\n") {
		t.Errorf("%s: %q is no text for an error", name, want)
	}
	if got := c.Reply(); got != "+PONG\r\n" {
		t.Fatalf("%s: PING was answered %q", name, got)
	}
	if got := c.Reply(); got != ":"+strconv.Itoa(keys)+"\r\n" {
		t.Errorf("%s: DBSIZE is %q; want %d", name, got, keys)
	}
	for _, w := range witnesses {
		w.unchanged(name)
	}
}

// Whatever is wrong with an argument, RL.CHECK, RL.PEEK and RL.REFUND name it and what is
// accepted, and nothing happens: not to a key that is there, nor to one that is not.
func TestBadInput(t *testing.T) {
	for _, name := range []string{"RL.CHECK", "RL.PEEK", "RL.REFUND"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.StartServer(t).Dial()
			var witnesses []*witness
			for _, a := range engine.Algorithms() {
				witnesses = append(witnesses, newWitness(t, c, a))
			}
			for _, bad := range badInputs() {
				want := accepting(name, strings.Replace(bad.want, "'%s'", "'"+strings.ToLower(name)+"'", 1))
				for _, key := range []string{"absent", "token_bucket", "leaky_bucket", "sliding_window_log"} {
					words := append([]string{name}, bad.args...)
					at := slices.Index(words, "KEY")
					if at > 0 {
						words[at] = key
					}
					refuses(t, c, witnesses, len(witnesses), want, words...)
					if at < 0 {
						break
					}
				}
			}
		})
	}
}

// A key that is not idle belongs to the algorithm that wrote it.
func TestBadInputWrongType(t *testing.T) {
	c := harness.StartServer(t).Dial()
	var witnesses []*witness
	for _, a := range engine.Algorithms() {
		witnesses = append(witnesses, newWitness(t, c, a))
	}
	for _, owner := range engine.Algorithms() {
		for _, asked := range engine.Algorithms() {
			if owner == asked {
				continue
			}
			want := fmt.Sprintf("WRONGTYPE Operation against a key holding the wrong kind of value: it is held by %v until it is at rest, and %v was asked for; RL.RESET frees it", owner, asked)
			for _, name := range []string{"RL.CHECK", "RL.PEEK", "RL.REFUND"} {
				refuses(t, c, witnesses, len(witnesses), want, name, owner.String(), asked.String(), witnessLimit, witnessPeriod)
				refuses(t, c, witnesses, len(witnesses), want, name, owner.String(), asked.String(), "1", "1ms", "COST", "1000000000")
			}
		}
	}
	c.Send(harness.Command("RL.RESET", "token_bucket") + harness.Command("RL.CHECK", "token_bucket", "leaky_bucket", "10", "60"))
	if got := c.Reply() + c.Reply(); got != ":1\r\n*6\r\n:1\r\n:10\r\n:9\r\n:0\r\n:6000\r\n:0\r\n" {
		t.Errorf("after RL.RESET another algorithm on the key was answered %q", got)
	}
}

// Names are case-insensitive as in Redis, in ASCII. To Unicode's case folding the Kelvin
// sign is a k and the long s an s; they are no letters of any name here.
func TestBadInputFoldsASCIIOnly(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, name := range []string{"RL.CHECK", "RL.PEEK", "RL.REFUND"} {
		refuses(t, c, nil, 0, unknownAlgorithm("\"to\u212aen_bucket\""), name, "absent", "to\u212aen_bucket", "10", "60")
		refuses(t, c, nil, 0, accepting(name, unknownOption("co\u017ft")), name, "absent", "token_bucket", "10", "60", "co\u017ft", "2")
		refuses(t, c, nil, 0, accepting(name, unknownOption("bur\u017ft")), name, "absent", "token_bucket", "10", "60", "bur\u017ft", "2")
		c.Send(harness.Command("FLUSHALL"))
		c.Reply()
	}
}

// RL.RESET with one key that cannot be forgets none of the others.
func TestBadInputReset(t *testing.T) {
	c := harness.StartServer(t).Dial()
	w := []*witness{newWitness(t, c, engine.TokenBucket), newWitness(t, c, engine.SlidingWindowLog)}
	empty, long := "ERR key is 0 bytes long: accepted is 1 to 1024 bytes", "ERR key is 1153 bytes long: accepted is 1 to 1024 bytes"
	refuses(t, c, w, 2, "ERR wrong number of arguments for 'rl.reset' command", "RL.RESET")
	for _, name := range []string{"RL.RESET", "DEL", "UNLINK"} {
		refuses(t, c, w, 2, empty, name, "")
		refuses(t, c, w, 2, empty, name, "token_bucket", "sliding_window_log", "")
		refuses(t, c, w, 2, empty, name, "", "token_bucket")
		refuses(t, c, w, 2, long, name, "token_bucket", strings.Repeat("k", engine.StateBytesMax+1), "sliding_window_log")
	}
}

// --max-log-limit bounds the limit of a log, and of nothing else.
func TestBadInputMaxLogLimit(t *testing.T) {
	c := harness.StartServer(t, "--max-log-limit", "50").Dial()
	w := []*witness{newWitness(t, c, engine.SlidingWindowLog)}
	for _, name := range []string{"RL.CHECK", "RL.PEEK", "RL.REFUND"} {
		for _, limit := range []string{"51", "100000", "1000000000"} {
			want := "ERR limit of sliding_window_log " + limit + " is out of range: accepted is a whole number from 1 to 50"
			refuses(t, c, w, 1, want, name, "absent", "sliding_window_log", limit, "60")
			refuses(t, c, w, 1, want, name, "sliding_window_log", "sliding_window_log", limit, "60")
		}
	}
	c.Send(harness.Command("RL.CHECK", "a", "sliding_window_log", "50", "60", "COST", "50") + harness.Command("RL.CHECK", "b", "token_bucket", "51", "60"))
	if got := c.Reply() + c.Reply(); got != "*6\r\n:1\r\n:50\r\n:0\r\n:0\r\n:60000\r\n:0\r\n*6\r\n:1\r\n:51\r\n:50\r\n:0\r\n:1177\r\n:0\r\n" {
		t.Errorf("limits at and beside --max-log-limit were answered %q", got)
	}
}

// What stands just inside every bound is accepted.
func TestInputAtTheBounds(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for i, words := range []string{
		"1 1", "10 366d", "10 8784h", "10 527040m", "10 31622400", "10 31622400s", "10 31622400000ms", "10 1ms", "10 1m",
		"1000000 1ms", "1000000000 1s", "1000000000 366d", "10 1s BURST 1000000000", "10 366d BURST 997", "10 60 COST 1000000000",
		"10 60 burst 5 cost 5", "10 60 Cost 1 bURST 1",
	} {
		for _, a := range []string{"token_bucket", "LEAKY_bucket"} {
			c.Send(harness.Command(append([]string{"RL.PEEK", strconv.Itoa(i), a}, strings.Fields(words)...)...))
			if got := c.Reply(); !strings.HasPrefix(got, "*6\r\n") {
				t.Errorf("%s %s: %q", a, words, got)
			}
		}
	}
	longest := strings.Repeat("\x00", 1023) + "\xff"
	c.Send(harness.Command("RL.CHECK", longest, "sliding_window_log", "100000", "366d", "COST", "1") + harness.Command("EXISTS", longest, longest[1:]))
	if got := c.Reply() + c.Reply(); !strings.HasPrefix(got, "*6\r\n:1\r\n:100000\r\n:99999\r\n") || !strings.HasSuffix(got, "\r\n:1\r\n") {
		t.Errorf("a key of 1024 bytes was answered %q", got)
	}
}
