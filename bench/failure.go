package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// The ways in which a target fails, besides errors of the system and errNotRESP.
var (
	errClosed  = errors.New("closed the connection")
	errSilent  = errors.New("does not answer")
	errTooMany = errors.New("more replies than requests")
)

// An answerError is a reply that answers no question.
type answerError struct {
	isError bool
	text    string
}

func (e answerError) Error() string {
	if e.isError {
		return "answers: " + e.text
	}
	return "answers what this target does not answer: " + e.text
}

// unasked is the error for bytes that nobody has asked for: an error of the server, which it sends before it
// hangs up, or one reply too many.
func unasked(r *reply, b []byte) error {
	if size, err := r.parse(b); size > 0 && err == nil && r.kind == '-' {
		return answerError{true, r.show()}
	}
	return fmt.Errorf("%w: %s", errTooMany, excerpt(b))
}

// explain is one line about a target that failed.
func (t *target) explain(err error) string {
	at := fmt.Sprintf("%s at %s", t.Name, t.where.Address)
	var network *net.OpError
	var answer answerError
	switch {
	case errors.Is(err, errClosed), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		if t.options.TLS == nil && len(t.Rounds) == 0 {
			return at + " closed the connection without an answer; a port for TLS needs --tls"
		}
		return at + " closed the connection"
	case errors.Is(err, errSilent), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("%s does not answer within %v", at, t.options.Timeout)
	case errors.As(err, &answer) && answer.isError && strings.HasPrefix(answer.text, "NOAUTH"):
		return fmt.Sprintf("%s %v (give it with --password or REDISCLI_AUTH)", at, err)
	case errors.As(err, &answer):
		return fmt.Sprintf("%s %v", at, err)
	case errors.Is(err, errNotRESP):
		return fmt.Sprintf("%s answers %v", at, err)
	case errors.As(err, &network) && network.Op == "dial":
		return fmt.Sprintf("cannot reach %s: %v", at, network.Err)
	}
	return fmt.Sprintf("%s: %v", at, err)
}
