package wire

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

var (
	streamsFlag = flag.Duration("streams", 0, "how long TestSameStreamsAsRedis goes on; 0 is 2,500 streams")
	streamsSeed = flag.Uint64("streamsseed", 0, "seed of the first stream; 0 takes one from the clock with -streams, and else is the seed")
)

// streamCommands are commands that both servers know, that answer the same at any time, and
// that change nothing beyond their connection.
var streamCommands = []string{
	"PING", "ping", "PING hello", "PING a b", "ECHO x", "ECHO", "echo 12345678901234567890", "CLIENT GETNAME", "CLIENT SETNAME abc", "CLIENT SETNAME", "CLIENT NOSUCH", "HELLO 2", "HELLO 3", "HELLO 9",
	"EXISTS a b", "TYPE a", "TTL a", "DBSIZE", "NOSUCH a b c", "RESET", "", " ", "QUIT",
}

// streamPieces are pieces of the protocol, and of what is not quite it.
var streamPieces = []string{
	"*", "$", "\r\n", "\n", "\r", "*1\r\n", "*2\r\n", "*3\r\n", "*0\r\n", "*-1\r\n", "$4\r\n", "$0\r\n\r\n", "$-1\r\n", "$4\r\nPING\r\n", "$4\r\nECHO\r\n", "$1\r\nx\r\n", "PING\r\n", "PING\n", "ECHO 'a b'\r\n",
	"ECHO \"\\x41\\n\"\r\n", "\"", "'", " ", "\t", "*+1\r\n", "*01\r\n", "$01\r\n", ":1\r\n", "+OK\r\n", "%1\r\n", "\xff", "{}", "*1\r\n$4\r\nPINGXX", "*1\rX$4\rXPING\r\n", "a", "1", "ECHO x y z\r\n",
}

// randomStream is mostly right: commands in a pipeline, some of them inline or in pieces,
// and then changed here and there.
func randomStream(random *rand.Rand) []byte {
	var b []byte
	for range 1 + random.IntN(8) {
		line := streamCommands[random.IntN(len(streamCommands))]
		switch random.IntN(8) {
		case 0:
			b = append(b, line+"\r\n"...)
		case 1:
			b = append(b, streamPieces[random.IntN(len(streamPieces))]...)
		case 2:
			b = append(b, harness.Command("ECHO", strings.Repeat("y", random.IntN(3000)))...)
		default:
			b = append(b, harness.CommandLine(line)...)
		}
	}
	for range random.IntN(3) {
		at := random.IntN(len(b))
		switch random.IntN(6) {
		case 0: // a byte is another; none becomes NUL, at which Redis's texts end
			b[at] = byte(1 + random.IntN(255))
		case 1: // is missing
			b = append(b[:at:at], b[at+1:]...)
		case 2: // comes twice
			b = append(b[:at+1:at+1], b[at:]...)
		case 3: // something comes in between
			b = append(b[:at:at], append([]byte(streamPieces[random.IntN(len(streamPieces))]), b[at:]...)...)
		case 4: // the rest is missing
			b = b[:at]
		case 5: // a digit is another
			if c := b[at]; '0' <= c && c <= '9' {
				b[at] = byte('0' + random.IntN(10))
			}
		}
		if len(b) == 0 {
			return []byte("\r\n")
		}
	}
	return b
}

// Streams whose fate differs on purpose are left out, each for a reason that stands with the
// deliberate differences.
var leftOutStreams = []struct {
	pattern *regexp.Regexp
	reason  string
}{
	{regexp.MustCompile(`[*$][+-]?\d{7,}`), "rlserver's bounds on counts and lengths are lower"},
	{regexp.MustCompile(`(?i)post|host:`), "what came before HTTP is answered; Redis drops the answers"},
	{regexp.MustCompile(`(?i)hello\s+[23]\s+\S|hello\r\n\$1\r\n[23]\r\n\$`), "a HELLO that fails changes nothing; Redis keeps the name"},
}

// unprintable is the type that was got instead of '$'. When it is not printable rlserver prints
// a question mark, and Redis a space for the ends of lines and the byte itself for others.
var unprintable = regexp.MustCompile(`expected '\$', got '(?s:.)'`)

func fate(answer []byte) string {
	answer = unprintable.ReplaceAllFunc(answer, func(m []byte) []byte {
		if c := m[len(m)-2]; c <= ' ' || c > '~' {
			m = bytes.Clone(m)
			m[len(m)-2] = '?'
		}
		return m
	})
	return alike(string(answer))
}

// converseInPieces sends a stream cut at some places, then that no more comes, and returns
// all that is answered.
func converseInPieces(t *testing.T, p *harness.Process, stream []byte, cuts []int, pause time.Duration) []byte {
	t.Helper()
	c := p.Dial()
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(harness.Patience))
	from := 0
	for _, to := range append(cuts, len(stream)) {
		if _, err := c.Write(stream[from:to]); err != nil {
			break // it has hung up
		}
		if from = to; pause > 0 {
			time.Sleep(pause)
		}
	}
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c.Reader)
	// A server that closes while the client still sends answers with a reset, at the latest to the
	// next piece.
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%.300q: %v", stream, err)
	}
	return answer
}

// Random streams meet the same fate with a real Redis and with rlserver: the same answers,
// the same errors, and the end at the same place.
func TestSameStreamsAsRedis(t *testing.T) {
	// Half a RESET is a SET, after which DBSIZE would never be the same again.
	redis, ours := harness.StartRedis(t, "--rename-command", "SET", ""), harness.StartServer(t)
	known := redis.Client().CommandList(context.Background(), nil).Val()
	if len(known) < 100 {
		t.Fatalf("Redis knows only %d commands", len(known))
	}
	seed := *streamsSeed
	if seed == 0 && *streamsFlag > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	end := time.Now().Add(*streamsFlag)
	streams, protocolErrors := 0, 0
	for ; streams < 2500 || time.Now().Before(end); seed++ {
		random := rand.New(rand.NewPCG(seed, 0))
		stream := randomStream(random)
		var cuts []int
		for at := random.IntN(2 * len(stream)); at < len(stream) && len(cuts) < 10; at += 1 + random.IntN(len(stream)) {
			cuts = append(cuts, at)
		}
		pause := time.Duration(0)
		if random.IntN(20) == 0 {
			pause = time.Millisecond
		}
		if isLeftOut(stream) {
			continue
		}
		streams++
		want := fate(converseInPieces(t, redis, stream, cuts, pause))
		got := fate(converseInPieces(t, ours, stream, cuts, pause))
		if got != want && !knowsMore(known, got) {
			t.Errorf("seed %d, cut at %v: %.500q\nrlserver %.600q\n   Redis %.600q", seed, cuts, stream, got, want)
		}
		if strings.Contains(got, "Protocol error") {
			protocolErrors++
		}
	}
	t.Logf("%d streams, %d of which broke the protocol; the last seed is %d", streams, protocolErrors, seed-1)
	if protocolErrors < streams/50 || protocolErrors > streams*9/10 {
		t.Errorf("%d of %d streams broke the protocol: that is not the mixture that was meant", protocolErrors, streams)
	}
}

var unknownCommand = regexp.MustCompile(`unknown command '([^']*)'`)

// knowsMore says whether rlserver was asked for a command that only Redis knows, such as SET:
// it keeps limits, not strings.
func knowsMore(known []string, answer string) bool {
	for _, m := range unknownCommand.FindAllStringSubmatch(answer, -1) {
		if slices.Contains(known, strings.ToLower(m[1])) {
			return true
		}
	}
	return false
}

func isLeftOut(stream []byte) bool {
	for _, rule := range leftOutStreams {
		if rule.pattern.Match(stream) {
			return true
		}
	}
	return false
}
