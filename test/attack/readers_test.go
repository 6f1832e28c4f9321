package attack

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// What peers that take their answers late, or not at all, are allowed.
var (
	deafFlags = []string{"--write-timeout", "2", "--output-buffer-limit", "1mb"}
	// The peer's system tells that it has taken something when half of its buffer is free,
	// which here is every 0.4 seconds: a machine that is busy must not make that the timeout.
	slowFlags = []string{"--write-timeout", "2", "--output-buffer-limit", "1mb"}
	// A peer that takes answers is not idle.
	slowIdleFlags = []string{"--timeout", "3", "--output-buffer-limit", "1mb"}
)

const (
	deafTimeout = 2 * time.Second
	// deafPatience is for making answers until nothing fits anywhere, and for closing.
	deafPatience = harness.Patience
	// closingLag is how much later than its timeout a connection may be closed: the server
	// looks every second.
	closingLag = 3 * time.Second
	// narrowBytes is the receive buffer of a peer that does not want much at once.
	narrowBytes = 16 << 10
)

// neverRead has connections ask what is answered at length, and never read. What may wait for
// them is bounded for each, and when they have taken nothing for write-timeout they go.
func neverRead(s *siege) {
	n := size(8, 64)
	longest := longKeys(s)
	conns := s.deafen(n, deafTimeout)
	// On top of the limit may come the answer that reaches it, and what is written at once; and
	// all of it is put together somewhere before it waits.
	s.boundsMemory(n, 2*int64(n)*(1<<20+int64(longest)+256<<10))
	closeAll(conns)
}

// neverReadUsualLimits has so many of them that what is right for one would be too much for
// all together.
func neverReadUsualLimits(s *siege) {
	const all = 256 << 20 // from here on, connections have to do with little
	n := 64
	longest := longKeys(s)
	conns := s.deafen(n, 5*time.Second)
	s.boundsMemory(n, all+all/2+int64(n)*(int64(longest)+512<<10))
	closeAll(conns)
}

// longKeyCount keys of 100 bytes make an answer of 330 KB.
const longKeyCount = 3000

// longKeys makes so many keys that listing them takes long, and returns the length of the
// list.
func longKeys(s *siege) (answerBytes int) {
	s.t.Helper()
	for i := range longKeyCount {
		s.ask("RL.CHECK", fmt.Sprintf("%0100d", i), "token_bucket", "10", "366d")
	}
	return len(s.ask("KEYS", "*"))
}

// deafen has n connections ask and not read until the server has closed all of them, and
// sees that it says so.
func (s *siege) deafen(n int, timeout time.Duration) []*harness.Conn {
	s.t.Helper()
	questions := strings.Repeat(harness.Command("KEYS", "*")+harness.Command("COMMAND", "DOCS")+harness.Command("SCAN", "0", "COUNT", "5000"), 500)
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dialNarrow(narrowBytes)
		_ = conns[i].SetDeadline(time.Now().Add(timeout + deafPatience))
	}
	took := make([]time.Duration, n)
	parallel(conns, func(i int, c *harness.Conn) {
		began := time.Now()
		var err error
		for err == nil { // until the server hangs up
			_, err = io.WriteString(c, questions)
		}
		took[i] = time.Since(began)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.errorf("connection %d, which does not read, was not closed within %v; write-timeout is %v", i, took[i], timeout)
		}
	})
	if first := slices.Min(took); first < timeout {
		s.errorf("a connection that does not read was closed after %v already; write-timeout is %v", first, timeout)
	}
	s.waitClients(0, closingLag)
	s.note("%d connections closed after %.1f to %.1f s", n, slices.Min(took).Seconds(), slices.Max(took).Seconds())
	log := s.p.Log.String()
	unsaid := 0
	for _, c := range conns {
		if !logTellsOf(log, c.LocalAddr().String()) {
			unsaid++
		}
	}
	if unsaid > 0 {
		s.errorf("the log does not tell of %d of %d connections that they were closed", unsaid, n)
	}
	return conns
}

// logTellsOf: a line of the log says that the connection from an address was closed.
func logTellsOf(log, addr string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"`+addr+`"`) && strings.Contains(line, "closed") {
			return true
		}
	}
	return false
}

// boundsMemory: n connections never took more than so many bytes and what the collector may
// leave lying.
func (s *siege) boundsMemory(n int, most int64) {
	s.t.Helper()
	grown := s.watch.peak().rss - s.before.rss
	s.note("%d KB each", grown/int64(n)>>10)
	if grown > most+harness.ResidentGrowthMax() {
		s.errorf("%d connections that do not read took %d MB; want at most %d MB", n, grown>>20, (most+harness.ResidentGrowthMax())>>20)
	}
}

// askAtLength has connections ask what takes long to answer, one question after the other, and
// read all of it. There are more of them than processors, and honest clients wait for none.
func askAtLength(s *siege) {
	n, lasting := size(32, 256), span(1500*time.Millisecond, 10*time.Second)
	longKeys(s)
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dial()
	}
	var answers atomic.Int64
	end := time.Now().Add(lasting)
	parallel(conns, func(i int, c *harness.Conn) {
		for time.Now().Before(end) {
			if _, err := io.WriteString(c, harness.Command("KEYS", "*")); err != nil {
				s.errorf("connection %d: %v", i, err)
				return
			}
			if n, err := skipList(c.Reader); err != nil || n < longKeyCount {
				s.errorf("connection %d was answered a list of %d keys and %v", i, n, err)
				return
			}
			answers.Add(1)
		}
	})
	closeAll(conns)
	s.note("%d connections got %d answers", n, answers.Load())
}

// skipList reads an array of bulk strings as cheaply as can be, because here the reader's work
// would slow down those that are measured, and returns how many there were.
func skipList(r *bufio.Reader) (n int, err error) {
	header, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(header, "*%d\r\n", &n); err != nil {
		return 0, fmt.Errorf("%.100q is not a list", header)
	}
	for i := range n {
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) < 4 {
			return i, err
		}
		length := 0
		for _, digit := range line[1 : len(line)-2] {
			length = length*10 + int(digit-'0')
		}
		if _, err := r.Discard(length + len("\r\n")); err != nil {
			return i, err
		}
	}
	return n, nil
}

// Answers of readSlowly: many times what the system's buffers hold.
const (
	slowAnswers     = 40
	slowAnswerBytes = 200 << 10
	slowPiece       = 16 << 10 // read at once
	slowPause       = 100 * time.Millisecond
)

// readSlowly has connections take answers slower than they come, but never nothing for as
// long as write-timeout. They stay, and get every answer to the last byte. The system's
// buffer becomes writable only when a good part of it is free, which at this pace is after
// many write-timeouts: that a server cannot write does not mean that its peer takes nothing.
func readSlowly(s *siege) {
	n, slow := size(4, 16), span(6*time.Second, 12*time.Second)
	docs := s.ask("COMMAND", "DOCS")
	talks := make([]talk, n)
	for i := range talks {
		talks[i] = longTalk(i, docs)
	}
	conns := make([]*harness.Conn, n) // from here on they must not be idle
	for i := range conns {
		conns[i] = s.dialNarrow(2 * narrowBytes)
	}
	parallel(conns, func(i int, c *harness.Conn) {
		one := talks[i]
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := io.WriteString(c, one.questions); err != nil {
				s.errorf("connection %d, which reads slowly, could not ask: %v", i, err)
			}
		})
		got := sha256.New()
		read, err := readInPieces(got, c, slow)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			var rest int64
			rest, err = io.CopyN(got, c, int64(one.answerBytes-read))
			read += int(rest)
		}
		if err != nil {
			s.errorf("connection %d, which reads slowly, got %d of %d bytes and then: %v", i, read, one.answerBytes, err)
		} else if !bytes.Equal(got.Sum(nil), one.answers) {
			s.errorf("connection %d, which reads slowly, was answered other bytes than it should be", i)
		}
		_ = c.Close()
		asking.Wait()
	})
	s.note("%d connections at %d KB/s for %.1f s", n, slowPiece>>10*int(time.Second/slowPause), slow.Seconds())
}

// A talk is what a connection asks, and what it must be answered.
type talk struct {
	questions   string
	answers     []byte // their SHA-256
	answerBytes int
}

func longTalk(id int, docs string) (one talk) {
	var questions strings.Builder
	answers := sha256.New()
	for k := range slowAnswers {
		// No two answers are the same, so that one for another would be noticed.
		word := strings.Repeat(strconv.Itoa(id*slowAnswers+k+1000), slowAnswerBytes/4)
		questions.WriteString(harness.Command("ECHO", word) + harness.Command("COMMAND", "DOCS"))
		n, _ := fmt.Fprintf(answers, "$%d\r\n%s\r\n%s", len(word), word, docs) // a hash takes everything
		one.answerBytes += n
	}
	one.questions, one.answers = questions.String(), answers.Sum(nil)
	return one
}

// readInPieces reads a piece after every pause for so long. A piece that comes late has not
// been sent in time: the reader was there to take it.
func readInPieces(to io.Writer, from io.Reader, lasting time.Duration) (read int, err error) {
	piece := make([]byte, slowPiece)
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(slowPause) {
		n, err := from.Read(piece)
		read += n
		_, _ = to.Write(piece[:n])
		if err != nil {
			return read, err
		}
	}
	return read, nil
}
