package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// handshakeLineMax bounds a line of a primary's answers, in bytes.
const handshakeLineMax = 1024

// A primaryConn is a connection to a primary. Reading and writing end with the timeout.
type primaryConn struct {
	net.Conn
	in   *bufio.Reader // of this; handshakeLineMax bytes
	link *Replica
	acks time.Time // when something was last acknowledged
}

func (p *primaryConn) Read(b []byte) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(p.link.Tuning().Timeout)) // Read fails if this does
	n, err := p.Conn.Read(b)
	if n > 0 {
		p.link.heard.Store(time.Now().UnixMilli())
	}
	return n, err
}

func (p *primaryConn) Write(b []byte) (int, error) {
	_ = p.SetWriteDeadline(time.Now().Add(p.link.Tuning().Timeout))
	return p.Conn.Write(b)
}

// acknowledge tells the primary up to where this server has the stream.
func (p *primaryConn) acknowledge(offset int64) error {
	p.acks = time.Now()
	return binary.Write(p, binary.LittleEndian, offset)
}

// ask sends a command and returns the line that answers it.
func (p *primaryConn) ask(words ...string) (string, error) {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := p.Write(b); err != nil {
		return "", err
	}
	line, err := p.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errNoPrimary
	} else if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(line)) // the next answer overwrites line
	if text, ok := strings.CutPrefix(answer, "-"); ok {
		return "", fmt.Errorf("%w %s: %s", errAnswer, words[0], text)
	}
	answer, ok := strings.CutPrefix(answer, "+")
	if !ok {
		return "", errNoPrimary
	}
	return answer, nil
}

// errAnswer is an error that the primary has answered.
var errAnswer = errors.New("replication: the primary answers")

// errNoPrimary is that what answers is no primary of rlserver.
var errNoPrimary = errors.New("replication: what listens there does not answer as an rlserver does")

// greet introduces this server, and asks for the stream.
func (l *Replica) greet(p *primaryConn) (at stream.Position, full bool, err error) {
	t := l.Tuning()
	if t.Password != "" {
		words := []string{"AUTH", t.Password}
		if t.User != "" {
			words = []string{"AUTH", t.User, t.Password}
		}
		if _, err := p.ask(words...); err != nil {
			return at, false, err
		}
	}
	host, port := l.Announced()
	introduction := []string{"REPLCONF", "listening-port", strconv.Itoa(port)}
	if host != "" {
		introduction = append(introduction, "ip-address", host)
	}
	if _, err := p.ask(introduction...); err != nil {
		return at, false, err
	}
	if err := l.lookUp(p); err != nil {
		return at, false, err
	}
	wanted := stream.Position{ID: "?", Offset: -1}
	if l.continued {
		l.Feed.Lock()
		wanted = l.Feed.Place()
		l.Feed.Unlock()
	}
	answer, err := p.ask("RL.SYNC", strconv.Itoa(SyncVersion), wanted.ID, strconv.FormatInt(wanted.Offset, 10))
	if err != nil {
		return at, false, err
	}
	var word string
	if n, err := fmt.Sscanf(answer, "%s %s %d", &word, &at.ID, &at.Offset); err != nil || n != 3 || len(at.ID) != stream.IDBytes || at.Offset < 0 {
		return at, false, errNoPrimary
	}
	switch {
	case word == "FULLSYNC":
		return at, true, nil
	case word == "CONTINUE" && l.continued && at.Offset == wanted.Offset:
		return at, false, nil
	}
	return at, false, errNoPrimary
}

// Servers that follow each other in a circle have no primary, and would wait for each other for ever.
// Addresses do not tell: a server has several. So each server asks the one that it follows for its run
// id and the ids of those that are followed from there, and looks for its own.

// aboveMax bounds the ids that a server passes on.
const aboveMax = 16

// Above are the run ids of the servers that this one follows, the nearest first.
func (l *Replica) Above() []string {
	if ids := l.above.Load(); ids != nil {
		return *ids
	}
	return nil
}

// lookUp asks which servers the primary follows, and finds a circle.
func (l *Replica) lookUp(p *primaryConn) error {
	answer, err := p.ask("REPLCONF", "above", l.RunID)
	if errors.Is(err, errAnswer) {
		return nil // RL.SYNC tells what is wrong
	} else if err != nil {
		return err
	}
	ids := slices.DeleteFunc(strings.Fields(answer), func(id string) bool { return len(id) != len(l.RunID) })
	ids = ids[:min(len(ids), aboveMax)]
	l.above.Store(&ids)
	switch at := slices.Index(ids, l.RunID); {
	case at == 0:
		return errSelf
	case at > 0:
		return fmt.Errorf("%w: this server follows %s, which follows this server", errCircle, strings.Join(ids[:at], ", which follows "))
	}
	return nil
}

// What makes a primary impossible. The remedy stands in both.
var (
	errSelf   = errors.New("replication: the primary is this server itself: name another with REPLICAOF, or make this one a primary with REPLICAOF NO ONE")
	errCircle = errors.New("replication: servers follow each other in a circle: make one of them a primary with REPLICAOF NO ONE")
)
