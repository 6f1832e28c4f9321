package server

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/server/resp"
)

const setAPI = "RL.POLICY SET api LIMIT token_bucket 10 1h"

// longKey is the longest key. The names of its states are longer.
var longKey = strings.Repeat("k", engine.KeyBytesMax)

// A policy is asked, changed, overridden and forgotten.
func TestPolicies(t *testing.T) {
	c := startServed(t, 1, nil, nil).dial()
	for _, step := range [][2]string{
		{setAPI, "+OK"},
		{"RL.CHECK u @api", "[:1 :10 :9 :0 :360000 :0]"},
		{"RL.CHECK u @api COST 9", "[:1 :10 :0 :0 …"},
		{"RL.CHECK u @api", "[:0 :10 :0 :3…"},
		{"RL.CHECK u token_bucket 10 1h", "[:1 :10 :9 …"}, // another state
		{"RL.PEEK u @api", "[:0 :10 :0 :3…"},
		{"RL.REFUND u @api COST 4", "[:1 :10 :4 :0 …"},
		{"RL.CHECK u @api COST 9 FORCE", "[:0 :10 :0 :1…"},
		{"RL.CHECK u @api FORCE", "[:0 :10 :0 :2…"},
		{"RL.CHECK u@api:t10/1h token_bucket 10 1h", "-WRONGTYPE Operation against a key holding the wrong kind of value: it is held by a policy (token_bucket) until it is at rest, and token_bucket was asked for; RL.RESET frees it"},
		{"RL.RESET u@api:t10/1h", ":1"},
		{"RL.CHECK " + longKey + " @api", "[:1 :10 :9 :0 :360000 :0]"},
		{"RL.RESET " + longKey + "@api:t10/1h", ":1"},
		{"DBSIZE", ":1"}, // u
		{"RL.CHECK u @api COST 10", "[:1 :10 :0 …"},
		{"RL.POLICY SET api LIMIT token_bucket 20 1h", "+OK"},
		{"RL.CHECK u @api", "[:1 :20 :9 …"}, // units are carried over
		{"RL.POLICY OVERRIDE api bad DENY", "+OK"},
		{"RL.CHECK bad @api", "[:0 :0 :0 :-1 :0 :0]"},
		{"RL.REFUND bad @api", "[:1 :0 :0 :0 :0 :0]"},
		{"RL.POLICY OVERRIDE api vip ALLOW", "+OK"},
		{"RL.CHECK vip @api", "[:1 :1000000000 :-1 :0 :0 :0]"},
		{"RL.POLICY OVERRIDE api u LIMIT fixed_window 100 1d SHADOW", "+OK"},
		{"RL.POLICY OVERRIDES api", "[bad deny u fixed_window 100 1d SHADOW vip allow]"},
		{"RL.CHECK u @api COST 101", "[:1 :100 …"},
		{"RL.POLICY GET api", "[name api definition token_bucket 20 1h source set version :5 overrides :3 denied_shadow :1]"},
		{"RL.POLICY UNSET api bad", "+OK"},
		{"RL.CHECK bad @api", "[:1 :20 :19 …"},
		{"RL.POLICY SET two LIMIT fixed_window 5 1d LIMIT leaky_bucket 100 1s BURST 200", "+OK"},
		{"RL.CHECK u @two", "[:1 :5 :4 …"},
		{"RL.POLICY LIST", "[api token_bucket 20 1h two fixed_window 5 1d + leaky_bucket 100 1s BURST 200]"},
		{"RL.MCHECK 2 m @api n @two", "[:1 :5 :4 …"},
		{"RL.MCHECK 2 m @api n @two COST 5", "[:0 :5 :4 …"}, // and nothing is taken
		{"RL.PEEK m @api", "[:1 :20 :19 …"},
		{"RL.MCHECK 1 n @two FORCE COST 5", "[:0 :5 :0 …"},
		{"RL.MCHECK 2 vip @api n @api", "[:1 :20 :19 …"},
		{"RL.MCHECK 1 vip @api", "[:1 :1000000000 :-1 :0 :0 :0]"},
		{"RL.POLICY DEL api", "+OK"},
		{"RL.CHECK u @api", "-ERR unknown policy 'api': RL.POLICY LIST shows all"},
	} {
		c.ask(step[0], step[1])
	}
}

// Whatever is wrong has an error that says what is right, and changes nothing.
func TestPolicyErrors(t *testing.T) {
	c := startServed(t, 1, nil, nil).dial()
	c.ask(setAPI, "+OK")
	c.ask("RL.POLICY SET log LIMIT sliding_window_log 10 1h", "+OK")
	version := "version :2"
	many := strings.Repeat(" LIMIT token_bucket 1 1s", policy.LimitsMax+1)
	for line, want := range map[string]string{
		"RL.CHECK u @apl":                                    "unknown policy 'apl': did you mean api? RL.POLICY LIST shows all",
		"RL.CHECK u @":                                       "unknown policy ''…",
		"RL.CHECK u api":                                     "wrong number of arguments for 'rl.check' command: did you mean @api?",
		"RL.CHECK u apl":                                     "wrong number of arguments for 'rl.check' command",
		"RL.CHECK u api COST 2":                              `algorithm "api" is not known: accepted is token_bucket, leaky_bucket, sliding_window_log, fixed_window, sliding_window_counter: did you mean @api?`,
		"RL.EXPLAIN u api":                                   "wrong number of arguments for 'rl.explain' command: did you mean @api?",
		"RL.CHECK u @api COST":                               "option COST needs a value",
		"RL.CHECK u @api COST 0":                             "cost 0 is out of range: accepted is a whole number from 1 to 1000000000",
		"RL.CHECK u @api FORCE FORCE":                        "option FORCE is given twice",
		"RL.CHECK u @api BURST 1":                            "option BURST is not accepted with a policy…",
		"RL.CHECK u @api x":                                  "option 'x' is not known: accepted is COST n and FORCE",
		"RL.CHECK u token_bucket 1 1s x":                     "option 'x' is not known: accepted is BURST n, COST n and FORCE",
		"RL.PEEK u token_bucket 1 1s x":                      "option 'x' is not known: accepted is BURST n and COST n",
		"RL.PEEK u @api FORCE":                               "option FORCE is not accepted by RL.PEEK…",
		"RL.REFUND u @api FORCE":                             "option FORCE is not accepted by RL.REFUND…",
		"RL.REFUND u token_bucket 1 1s FORCE":                "option FORCE is not accepted by RL.REFUND…",
		"RL.EXPLAIN u @api FORCE":                            "option FORCE is not accepted by RL.EXPLAIN…",
		"RL.EXPLAIN u @apx":                                  "unknown policy 'apx': did you mean api? RL.POLICY LIST shows all",
		"RL.EXPLAIN u":                                       "wrong number of arguments for 'rl.explain' command",
		"RL.CHECK u token_bucket 1 month":                    "period month is not accepted by token_bucket…",
		"RL.MCHECK 1 u":                                      "wrong number of arguments for 'rl.mcheck' command",
		"RL.MCHECK 2 u @api":                                 "numkeys is 2, and 2 words follow: accepted is key @policy so many times, and then COST n and FORCE",
		"RL.MCHECK 1 u @api v @api":                          "numkeys is 1, and behind so many pairs of key and @policy stands 'v': accepted there is COST n and FORCE",
		"RL.MCHECK 1 u @api v":                               "option 'v' is not known: accepted is COST n and FORCE",
		"RL.MCHECK 0 u @api":                                 "numkeys '0' is not accepted: accepted is a whole number from 1 to 16, how many pairs of key and @policy follow",
		"RL.MCHECK 17 u @api":                                "numkeys '17' is not accepted…",
		"RL.MCHECK x u @api":                                 "numkeys 'x' is not accepted…",
		"RL.MCHECK 1 u api":                                  "policy 'api' is not accepted: accepted behind each key is @ and the name of a policy",
		"RL.MCHECK 2 u @api v @apl":                          "unknown policy 'apl': did you mean api? RL.POLICY LIST shows all",
		"RL.MCHECK 3 u @api v @api u @api":                   "key 'u' with @api is given twice",
		"RL.POLICY SET api":                                  "wrong number of arguments for 'rl.policy|set' command",
		"RL.POLICY SET a/b DENY":                             "policy name \"a/b\" is not accepted: accepted is 1 to 64 letters, digits, _ . and -",
		"RL.POLICY SET " + strings.Repeat("x", 65) + " DENY": "policy name …",
		"RL.POLICY SET api LIMIT":                            "…",
		"RL.POLICY SET api LIMIT token_bucket 0 1s":          "rule 1: limit 0 is out of range…",
		"RL.POLICY SET api token_bucket 1 1s":                "'token_bucket' is not accepted…",
		"RL.POLICY SET api" + many:                           "more than 8 limits: accepted is 1 to 8",
		"RL.POLICY SET api LIMIT token_bucket 1 1s LIMIT token_bucket 1 1000ms": "…",
		"RL.POLICY SET api LIMIT sliding_window_log 100001 1d":                  "…",
		"RL.POLICY DEL apl":             "unknown policy 'apl'…",
		"RL.POLICY GET apl":             "unknown policy 'apl'…",
		"RL.POLICY OVERRIDES apl":       "unknown policy 'apl'…",
		"RL.POLICY OVERRIDE apl u DENY": "unknown policy 'apl'…",
		"RL.POLICY OVERRIDE api " + strings.Repeat("k", 1025) + " DENY": "key is 1025 bytes long…",
		"RL.POLICY UNSET apl u":                 "unknown policy 'apl'…",
		"RL.POLICY UNSET api u":                 "policy 'api' has no override for the key 'u'…",
		"RL.POLICY RELOAD":                      "The server is running without a config file",
		"RL.POLICY X":                           "unknown subcommand 'X'. Try RL.POLICY HELP.",
		"COMMAND GETKEYS RL.MCHECK 3 a @p b @q": "Invalid arguments specified for command",
	} {
		c.ask(line, "-ERR "+want)
	}
	c.ask("RL.CHECK u log 1 1", "-ERR algorithm …")
	c.ask("RL.POLICY GET log", "[name log definition sliding_window_log 10 1h source set "+version+" …")
	c.ask("RL.POLICY LIST", "[api token_bucket 10 1h log sliding_window_log 10 1h]")
	c.ask("DBSIZE", ":0")
}

// A connection that repeats itself sees each change of the policy that it asks.
func TestRepeatedQuestionSeesChanges(t *testing.T) {
	s := startServed(t, 1, nil, nil)
	c, admin := s.dial(), s.dial()
	admin.ask(setAPI, "+OK")
	c.ask("RL.CHECK a @api", "[:1 :10 :9 …")
	c.ask("RL.CHECK a @api", "[:1 :10 :8 …")
	admin.ask("RL.POLICY SET api LIMIT token_bucket 20 1h", "+OK")
	c.ask("RL.CHECK a @api", "[:1 :20 :17 …")
	admin.ask("RL.POLICY OVERRIDE api b DENY", "+OK")
	c.ask("RL.CHECK b @api", "[:0 :0 …")
	c.ask("RL.CHECK a @api", "[:1 :20 :16 …")
	admin.ask("RL.POLICY DEL api", "+OK")
	c.ask("RL.CHECK a @api", "-ERR unknown policy…")
	admin.ask(setAPI+" BURST 30", "+OK")
	c.ask("RL.CHECK c @api", "[:1 :30 :29 …")
}

// In a transaction, under MONITOR and in the slow log policies' commands are as others.
func TestPoliciesInTransaction(t *testing.T) {
	s := startServed(t, 1, nil, nil)
	c, watcher := s.dial(), s.dial()
	watcher.ask("MONITOR", "+OK")
	c.ask("MULTI", "+OK")
	for _, line := range []string{setAPI, "RL.CHECK u @api", "RL.CHECK v @api", "RL.MCHECK 1 u @api", "RL.POLICY DEL api", "RL.CHECK u @api"} {
		c.ask(line, "+QUEUED")
	}
	c.ask("EXEC", "[+OK [:1 :10 :9 :0 :360000 :0] [:1 :10 :9 …")
	for _, want := range []string{"MULTI", "RL.POLICY", "RL.CHECK", "RL.CHECK", "RL.MCHECK", "RL.POLICY", "RL.CHECK", "EXEC"} {
		if got := watcher.read(); !strings.Contains(got, "\""+want+"\"") {
			t.Errorf("MONITOR shows %s, want %s", got, want)
		}
	}
}

// A change is answered when it is on disk.
func TestPolicyChangeWaitsForTheDisk(t *testing.T) {
	l := newLedger()
	s := startServed(t, 1, l, nil)
	c := s.dial()
	l.stick()
	c.send(setAPI, "PING")
	eventually(t, "the commit", func() bool { return l.held() == 1 })
	c.expectNothing()
	l.release(nil)
	c.expect("+OK", "+PONG")
	l.release(errors.New("disk full"))
	c.ask("RL.POLICY DEL api", "-MISCONF …")
}

// What is refused where writes are: policies are not changed, and can be looked at.
func TestPoliciesWhereWritesAreRefused(t *testing.T) {
	s := startServed(t, 1, nil, nil)
	c := s.dial()
	c.ask(setAPI, "+OK")
	s.RefuseWrites("READONLY no")
	for _, line := range []string{setAPI, "RL.POLICY DEL api", "RL.POLICY OVERRIDE api u DENY", "RL.POLICY UNSET api u", "RL.POLICY RELOAD", "RL.CHECK u @api", "RL.MCHECK 1 u @api"} {
		c.ask(line, "-READONLY no")
	}
	c.ask("RL.PEEK u @api", "[:1 :10 :10 …")
	c.ask("RL.POLICY GET api", "[name api …")
	c.ask("RL.EXPLAIN u @api", "[policy api key u …")
}

// Keys of several slots are refused before anything is taken, where clients are of a cluster.
func TestCrossSlot(t *testing.T) {
	s := startServed(t, 1, nil, nil, func(s *Server) {
		if err := s.changeConfig(func(c *config.Config) bool { c.ClusterEmulated = true; return true }); err != nil {
			t.Error(err)
		}
	})
	c := s.dial()
	c.ask(setAPI, "+OK")
	c.ask("RL.MCHECK 2 a @api b @api", "-CROSSSLOT Keys in request don't hash to the same slot: 'a' and 'b'. …")
	c.ask("DBSIZE", ":0")
	c.ask("RL.MCHECK 2 {t}a @api {t}b @api", "[:1 :10 :9 …")
}

// RL.POLICY RELOAD and FilePolicies put the file's policies in force, or none of them.
func TestFilePolicies(t *testing.T) {
	var file atomic.Value // the limit that the file has, or what is wrong with it
	file.Store("token_bucket 7 1h")
	s := startServed(t, 1, nil, nil, func(s *Server) {
		read := func() ([]policy.FileDefinition, error) {
			text := file.Load().(string)
			d, err := policy.Parse(text)
			if err != nil {
				err = errors.New(text)
			}
			return []policy.FileDefinition{{Name: "api", Definition: d}}, err
		}
		s.OnPolicyReload(read)
		definitions, err := read()
		if err := errors.Join(err, s.FilePolicies(definitions), s.FilePolicies(nil)); err != nil {
			t.Error(err)
		}
	})
	c := s.dial()
	c.ask("RL.POLICY GET api", "[name api definition token_bucket 7 1h source file …")
	file.Store("token_bucket 8 1h")
	c.ask("RL.POLICY RELOAD", "+OK")
	c.ask("RL.POLICY LIST", "[api token_bucket 8 1h]")
	file.Store("rlserver.yaml:3: no")
	c.ask("RL.POLICY RELOAD", "-ERR rlserver.yaml:3: no")
	c.ask("RL.POLICY LIST", "[api token_bucket 8 1h]")
}

// Every limit of an explanation says how it stands.
func TestExplain(t *testing.T) {
	c := startServed(t, 1, nil, nil).dial()
	c.ask("RL.POLICY SET p LIMIT token_bucket 10 1h LIMIT sliding_window_log 3 1d SHADOW", "+OK")
	c.ask("RL.CHECK k @p COST 3", "[:1 …")
	c.ask("RL.EXPLAIN k @p", "[policy p key k override $-1 shadow :1 verdict ask allowed :1 limits [["+
		"rule token_bucket 10 1h state k@p:t10/1h algorithm token_bucket limit :10 period 1h burst :10 used :3 remaining :7 allowed :1 retry_after_ms :0 next_unit_ms …")
	c.ask("RL.POLICY OVERRIDE p k DENY", "+OK")
	c.ask("RL.EXPLAIN k @p", "[policy p key k override deny shadow :0 verdict deny allowed :0 limits []]")
	c.ask("RL.EXPLAIN free fixed_window 5 day COST 6", "[policy $-1 key free override $-1 shadow :0 verdict ask allowed :0 limits [["+
		"rule fixed_window 5 1d state free algorithm fixed_window limit :5 period 1d burst :5 used :0 remaining :5 allowed :0 retry_after_ms :-1 next_unit_ms :0 reset_after_ms :0 delay_ms :0]]]")
}

// A long list of overrides leaves in pieces.
func TestManyOverrides(t *testing.T) {
	const n = 20_000
	s := startServed(t, 1, nil, nil)
	c := s.dial()
	c.ask(setAPI, "+OK")
	d, err := policy.Parse("fixed_window 5 1d")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := s.changePolicies(func() ([]policy.Entry, error) {
			return s.Policies().Override("api", fmt.Sprintf("customer:%06d", i), d)
		}); err != nil {
			t.Fatal(err)
		}
	}
	c.send("RL.POLICY OVERRIDES api", "PING")
	got := strings.Fields(strings.Trim(c.read(), "[]"))
	if len(got) != n*4 || got[0] != "customer:000000" || got[len(got)-4] != fmt.Sprintf("customer:%06d", n-1) {
		t.Errorf("%d words, from %q", len(got), got[:8])
	}
	c.expect("+PONG")
}

// A check by a policy allocates nothing, whether it has one limit or several, some of which are shadows.
func TestPolicyChecksAllocateNothing(t *testing.T) {
	s := newTestServer(newStore(t))
	c := newTestSession(s)
	defer c.Closed()
	say(c, "RL.POLICY SET one LIMIT token_bucket 1000000 1s")
	say(c, "RL.POLICY SET three LIMIT token_bucket 1000000 1s LIMIT fixed_window 1000000 1h LIMIT fixed_window 1000000 1d SHADOW")
	for _, line := range []string{"RL.CHECK user:123 @one", "RL.CHECK user:123 @three", "RL.MCHECK 2 user:123 @one user:124 @three"} {
		words := wordsOf(line)
		c.conn.Buf = make([]byte, 0, 1<<16)
		if n := testing.AllocsPerRun(100, func() {
			c.conn.Buf = c.conn.Buf[:0]
			s.dispatch(c, words)
		}); n != 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func wordsOf(line string) (words [][]byte) {
	for word := range strings.FieldsSeq(line) {
		words = append(words, []byte(word))
	}
	return words
}

// What COMMAND says of RL.MCHECK leads every client to its keys.
func TestKeysOfMultiCheck(t *testing.T) {
	table := newCommandTable()
	c := table.findByLabel("rl.mcheck")
	var got []string
	for _, key := range c.keysOf(wordsOf("RL.MCHECK 2 a @p b @q COST 3")) {
		got = append(got, resp.View(key))
	}
	if strings.Join(got, " ") != "a b" {
		t.Errorf("keys %q", got)
	}
	for _, line := range []string{"RL.MCHECK 3 a @p b @q", "RL.MCHECK 0 a @p", "RL.MCHECK -1 a @p", "RL.MCHECK x a @p"} {
		if keys := c.keysOf(wordsOf(line)); keys != nil {
			t.Errorf("%s: keys %q", line, keys)
		}
	}
}
