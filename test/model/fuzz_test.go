package model_test

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness/race"
)

var seed = flag.Uint64("seed", 1, "draw the random sequences from this `number`")

// FuzzTableAgainstMap applies sequences of calls to a store and to the model, which is a
// map. Which keys share a table differs from run to run, as each store has hash secrets of
// its own, so an input that failed may need a few more runs to fail again.
func FuzzTableAgainstMap(f *testing.F) {
	for i := range (len(specialKeys) + specialGroup - 1) / specialGroup {
		f.Add(someKeys(i * specialGroup))
	}
	for _, sequence := range [][]byte{takeOvers(), fullLog(), growAndEmpty(), restAndReturn()} {
		f.Add(sequence)
	}
	f.Fuzz(func(t *testing.T, sequence []byte) { newRun(t, engine.LogLimitMax).sequence(sequence) })
}

// The seeds are short, or the fuzzer would spend its time on making them shorter.

// specialGroup is how many special keys meet in a seed.
const specialGroup = 12

// someKeys does everything to some special keys, from a number on.
func someKeys(from int) (b []byte) {
	for _, action := range []byte{doCheck, doPeek, doScan, doRefund, doLookup, doCheck, doReset, doCheck, doScan} {
		for i := range specialGroup {
			b = append(b, step{action: action, keyLow: byte(from + i), limit: byte(i / 3)}.bytes()...)
		}
	}
	return b
}

// takeOvers lets all algorithms meet on a few keys, while the clock goes past their idle instants
// and steps back behind them.
func takeOvers() (b []byte) {
	for i := range 200 {
		b = append(b, step{
			action: []byte{doCheck, doPeek, doCheck, doRefund, doLookup}[i%5],
			keyLow: byte(i % 7), limit: byte(224 + i%30), cost: byte(i / 7), clock: byte(i * 5),
		}.bytes()...)
	}
	return b
}

// fullLog fills one log beyond its limit again and again, with limits and periods that
// change, and gives units back.
func fullLog() (b []byte) {
	const log = 2 // the number of a key that is a log's
	for i := range 300 {
		action := byte(doCheck)
		if i%9 == 0 {
			action = doRefund
		}
		b = append(b, step{action: action, keyLow: log, limit: byte(i / 50), cost: byte(i), clock: byte(i / 3)}.bytes()...)
	}
	return b
}

// growAndEmpty inserts 5,000 keys, resets most and lets the tables shrink.
func growAndEmpty() (b []byte) {
	crowds := func(action byte, count int) {
		for i := range count {
			first := i * crowd
			b = append(b, step{action: action, keyHigh: byte(128 + first>>8), keyLow: byte(first), limit: 4}.bytes()...)
		}
	}
	const all = (5000 + crowd - 1) / crowd
	scan := step{action: doScan, cost: 9}.bytes()
	crowds(doCrowd, all)
	b = append(b, scan...)
	crowds(doDisperse, all-2)
	for range 20 {
		b = append(b, step{action: doSweep, limit: 200, cost: 10}.bytes()...)
		b = append(b, scan...)
	}
	crowds(doCrowd, 4)
	return b
}

// restAndReturn inserts keys that become idle, are swept in pieces or dropped by others
// that make the tables grow, and come back.
func restAndReturn() (b []byte) {
	for i := range 60 {
		b = append(b, step{action: doCrowd, keyHigh: byte(128 + i%16), keyLow: byte(i * 16), limit: byte(i % 4), clock: 24}.bytes()...)
		b = append(b, step{action: doSweep, limit: 7, cost: byte(i * 4)}.bytes()...)
		b = append(b, step{action: doCrowd, keyHigh: byte(128 + i%8), limit: byte(i % 3), clock: 31}.bytes()...)
	}
	return b
}

// TestLongSequences applies random sequences that are longer than the fuzzer's. What they
// have to meet at least is asserted, so that a change to how they are drawn cannot leave
// them with nothing to show.
func TestLongSequences(t *testing.T) {
	const steps = 50_000
	sequences := 4
	if testing.Short() || race.Enabled {
		sequences = 1
	}
	for i := range uint64(sequences) {
		r := newRun(t, engine.LogLimitMax)
		r.sequence(drawSequence(rand.New(rand.NewPCG(*seed+i, 0)), steps))
		if r.admitted < steps/10 || r.denied < steps/10 || r.refused < steps/1000 {
			t.Errorf("%d admitted, %d denied, %d refused: this run proves little", r.admitted, r.denied, r.refused)
		}
		if r.rebuilt == 0 || r.store.Stats().Reclaimed == 0 {
			t.Errorf("%d tables rebuilt, %d keys reclaimed: this run proves nothing", r.rebuilt, r.store.Stats().Reclaimed)
		}
	}
}

// drawSequence draws steps that stay with a few keys for a while, under a clock that mostly
// goes slowly: were all drawn alike, nearly every key would be met once and idle.
func drawSequence(random *rand.Rand, steps int) []byte {
	const stay, keys = 250, 6
	b := make([]byte, 0, steps*stepBytes)
	var special, numbered byte
	for i := range steps {
		if i%stay == 0 {
			special, numbered = byte(random.Uint32()), byte(random.Uint32())
		}
		s := step{
			action: byte(random.Uint32()), limit: byte(random.Uint32()), cost: byte(random.Uint32()),
			clock: byte(random.IntN(24)),
		}
		if s.action == doFlush && random.IntN(32) > 0 {
			s.action = doCrowd // else no table would ever grow large
		}
		if random.IntN(2) == 0 {
			s.keyLow = special%128 + byte(random.IntN(keys))
		} else {
			s.keyHigh, s.keyLow = 128|numbered, byte(random.IntN(keys))
		}
		if random.IntN(20) == 0 {
			s.clock = byte(random.Uint32())
		}
		b = append(b, s.bytes()...)
	}
	return b
}
