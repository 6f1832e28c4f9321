package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rlserver/rlserver/bench/judge"
	"github.com/rlserver/rlserver/engine"
)

// A target is a server with its connections, which stay for the whole run.
type target struct {
	Target
	kind    *kind
	options *Options
	where   Address
	request request
	prefix  string
	started time.Time    // the run
	pid     int32        // 0: it is not known, or not on this machine
	judge   *judge.Judge // nil: there is nothing to judge
	workers []*worker
}

// open connects to a server and tries one request, so that what it cannot do is known before
// anything is measured.
func open(ctx context.Context, o *Options, index int, started time.Time) (*target, error) {
	where := o.Targets[index]
	t := &target{kind: findKind(where.Kind), options: o, where: where, started: started}
	t.prefix = keyPrefix(rand.New(rand.NewPCG(o.Seed, 0)), index)
	t.Name, t.Address = where.Kind, where.Address
	words, script, err := t.kind.words(&o.Question)
	if err != nil {
		return t, err
	}
	t.Command = strings.Join(words, " ")
	t.request = newRequest(words, t.prefix)
	for i := range o.Threads {
		w := &worker{index: i, read: t.kind.read(&o.Question), tally: tally{latencies: newHistogram(latencyDigits)}}
		t.workers = append(t.workers, w)
	}
	for i := range o.Connections {
		if err := t.connect(ctx, t.workers[i%o.Threads], i == 0, script); err != nil {
			t.close()
			return t, err
		}
	}
	return t, nil
}

func (t *target) close() {
	for _, w := range t.workers {
		for _, c := range w.conns {
			c.close()
		}
	}
}

// connect adds one connection. The first one loads the script and tries the command.
func (t *target) connect(ctx context.Context, w *worker, isFirst bool, script string) error {
	o := t.options
	dialer := &net.Dialer{Timeout: o.Timeout}
	nc, err := dialer.DialContext(ctx, t.where.Network, t.where.Address)
	if err != nil {
		return err
	}
	c := newConn(w, t.request, max(o.Pipeline, fillDepth))
	if o.TLS != nil && t.where.Network != "unix" {
		config := o.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(t.where.Address)
		}
		nc = tls.Client(nc, config)
	}
	if err := t.greet(nc, c, isFirst, script); err != nil {
		_ = nc.Close()
		return err
	}
	w.conns = append(w.conns, c)
	return c.takeOver(nc)
}

// greet gives the password, and on the first connection loads the script and tries the command.
func (t *target) greet(nc net.Conn, c *conn, isFirst bool, script string) error {
	if err := nc.SetDeadline(time.Now().Add(t.options.Timeout)); err != nil {
		return err
	}
	defer func() { _ = nc.SetDeadline(time.Time{}) }()
	if o := t.options; o.Password != "" {
		words := []string{"AUTH", o.Password}
		if o.Username != "" {
			words = []string{"AUTH", o.Username, o.Password}
		}
		// A server without a password beside one that has one is no error.
		if r, err := c.ask(nc, encode(words)); err != nil || r.kind == '-' && !strings.Contains(string(r.text), "without any password") {
			return unlessError(r, err)
		}
	}
	if !isFirst {
		return nil
	}
	if script != "" {
		if r, err := c.ask(nc, encode([]string{"SCRIPT", "LOAD", script})); err != nil || r.kind == '-' {
			return unlessError(r, err)
		}
	}
	if err := t.appoint(nc, c); err != nil {
		return err
	}
	r, err := c.ask(nc, t.request.bytes)
	if err != nil {
		return err
	}
	if c.worker.read(r) == notUnderstood {
		return answerError{r.kind == '-', r.show()}
	}
	if r, err = c.ask(nc, encode([]string{"INFO", "server"})); err != nil {
		return err
	}
	t.Server, t.pid = serverName(r), listenerOf(nc)
	return nil
}

// appoint appoints a judge, if there is something to judge.
func (t *target) appoint(nc net.Conn, c *conn) error {
	o := t.options
	far, isTCP := nc.RemoteAddr().(*net.TCPAddr)
	if t.kind.rule == nil || o.KeySpace == New {
		return nil
	}
	rule := t.kind.rule(&o.Question)
	rule.Cost, rule.Remote = o.Cost, isTCP && !isLocal(far.IP)
	var err error
	if t.judge, err = judge.New(rule, o.Keys); err != nil {
		return err
	}
	for _, w := range t.workers {
		w.judge = t.judge.Witness()
	}
	if rule.Algorithm != engine.FixedWindow {
		return nil
	}
	for range timesAsked { // without an answer, which is not a failure, the judge knows less
		sent := time.Since(t.started)
		r, err := c.ask(nc, encode([]string{"TIME"}))
		if err != nil {
			return err
		}
		if micros, ok := r.time(); ok {
			t.judge.SawTime(sent, time.Since(t.started), micros)
		}
	}
	return nil
}

// timesAsked is how often the server is asked for its time. The quickest answer tells most.
const timesAsked = 5

func unlessError(r *reply, err error) error {
	if err != nil {
		return err
	}
	return answerError{true, r.show()}
}

// ask asks one command before the turns begin.
func (c *conn) ask(nc net.Conn, command []byte) (*reply, error) {
	r := &c.worker.reply
	if _, err := nc.Write(command); err != nil {
		return r, err
	}
	for c.have = 0; ; {
		size, err := r.parse(c.in[:c.have])
		if err != nil {
			return r, fmt.Errorf("%w: %s", err, excerpt(c.in[:c.have]))
		}
		if size > 0 {
			c.have = 0
			return r, nil
		}
		n, err := nc.Read(c.room())
		if c.have += n; err != nil && n == 0 {
			return r, err
		}
	}
}

// serverName is name and version from INFO. A server that has no INFO has no name.
func serverName(info *reply) string {
	if info.kind != '$' {
		return ""
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(info.text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = value
	}
	for _, known := range []struct{ name, field string }{
		{"rlserver", "rlserver_version"}, {"Dragonfly", "dragonfly_version"}, {"Valkey", "valkey_version"}, {"Redis", "redis_version"},
	} {
		if version := fields[known.field]; version != "" {
			return known.name + " " + version
		}
	}
	return ""
}

// explain is one line about a target that failed.
func (t *target) explain(err error) string {
	at := fmt.Sprintf("%s at %s", t.Name, t.where.Address)
	var network *net.OpError
	var answer answerError
	switch {
	case errors.Is(err, errClosed), errors.Is(err, io.EOF):
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
		return fmt.Sprintf("%s speaks %v", at, err)
	case errors.As(err, &network) && network.Op == "dial":
		return fmt.Sprintf("cannot reach %s: %v", at, network.Err)
	}
	return fmt.Sprintf("%s: %v", at, err)
}
