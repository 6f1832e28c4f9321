package wire

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/rlserver/rlserver/test/bench"
)

// A target is a server and what it is asked.
type target struct {
	name  string // in tables
	kind  string // as rlserver bench calls it
	redis bool   // it is asked of a Redis, and else of rlserver
}

var (
	rlCheck = target{"rlserver `RL.CHECK`", "rlserver", false}
	rlPing  = target{"rlserver `PING`", "ping", false}
	// INCR is the cheapest command that counts, and decides nothing.
	redisIncr   = target{"Redis `INCR`", "incr", true}
	redisPing   = target{"Redis `PING`", "ping", true}
	redisScript = target{"Redis `EVALSHA`", "script", true}
)

// A setting is one run of rlserver bench. The first target is the one to which ratios are.
type setting struct {
	targets               []target
	connections, pipeline int
	keys                  int
	keySpace              string
	limit                 []string // in the words of RL.CHECK
	rate                  int      // requests a second; 0: a closed loop
}

// Limits. The generous one admits all that a run asks for, and a key that has been asked for stays in
// use for seconds, so that no server forgets it. The tight one denies all but the first.
var (
	generous = []string{"token_bucket", "1000", "1h", "BURST", "100000000"}
	tight    = []string{"token_bucket", "1", "1h"}
)

// algorithms are limits by the others that admit all as well.
var algorithms = [][]string{
	{"leaky_bucket", "1000", "1h", "BURST", "100000000"},
	{"fixed_window", "100000000", "1h"},
	{"sliding_window_log", "10000", "1h"},
}

// manyConnections is for what costs something for each connection.
const manyConnections = 5000

var pipelines = []int{bench.Single, 16, bench.Deep}

// usual is the setting from which others differ in one thing.
func usual(pipeline int, targets ...target) setting {
	return setting{targets: targets, connections: bench.Connections, pipeline: pipeline, keys: usualKeys(), keySpace: "uniform", limit: generous}
}

// usualKeys are few with -short, for they take their time to be made.
func usualKeys() int {
	if testing.Short() {
		return bench.Keys / 20
	}
	return bench.Keys
}

// contestants are asked in the setting that users look at first.
func contestants(pipeline int) setting {
	return usual(pipeline, redisIncr, rlCheck, redisScript, redisPing, rlPing)
}

// withConnections is empty for a setting that measures the length of a queue and nothing of a server:
// with 5,000 connections at pipeline 64, 320,000 requests wait at any time.
func withConnections(connections, pipeline int) (s setting, makesSense bool) {
	s = usual(pipeline, redisIncr, rlCheck)
	s.connections = connections
	return s, connections*pipeline <= 100_000
}

func withKeys(keys int) setting {
	s := usual(bench.Deep, redisIncr, rlCheck)
	s.keys = keys
	return s
}

// limiters asks the two that decide.
func limiters(pipeline int) setting { return usual(pipeline, redisIncr, rlCheck, redisScript) }

func withKeySpace(name string) setting {
	s := limiters(bench.Deep)
	s.keySpace = name
	return s
}

func (s setting) by(limit []string) setting {
	s.limit = limit
	return s
}

// openLoop sends requests on a schedule that each target can keep up with.
func openLoop(rate int) setting {
	s := limiters(bench.Single)
	s.rate = rate
	return s
}

// words are the command line of the setting, for servers at these addresses.
func (s setting) words(rounds int, length, rlserver, redis string) []string {
	words := append([]string{"bench"}, s.limit...)
	add := func(flag string, value any) { words = append(words, flag, fmt.Sprint(value)) }
	for _, t := range s.targets {
		address := rlserver
		if t.redis {
			address = redis
		}
		add("--target", t.kind+"="+address)
	}
	add("-c", s.connections)
	add("-P", s.pipeline)
	add("-d", length)
	add("--rounds", rounds)
	if s.keys != bench.Keys { // which is the command's own number
		add("--keys", s.keys)
	}
	if s.keySpace != "uniform" {
		add("--key-space", s.keySpace)
	}
	if s.rate > 0 {
		add("--rate", strconv.Itoa(s.rate))
	}
	return words
}
