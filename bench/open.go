package bench

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rlserver/rlserver/bench/judge"
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
)

// A target is a server with its connections, which stay for the whole run.
type target struct {
	Target
	kind    *kind
	options *Options
	where   Address
	request request
	prefix  string    // of its keys
	started time.Time // the run
	aside   asker     // a connection beside those that are measured
	workers []*worker
	judges  []*judge.Judge // of each limit; none: there is nothing to judge
	pid     int32          // 0: it is not known, or not on this machine
}

// open connects to a server and tries one request, so that what it cannot do is known before
// anything is measured.
func open(ctx context.Context, o *Options, index int, run string, started time.Time) (*target, error) {
	where := o.Targets[index]
	t := &target{kind: findKind(where.Kind), options: o, where: where, started: started}
	t.Name, t.Address = where.Kind, where.Address
	t.prefix = keyPrefix(run, index)
	words, script, err := t.kind.words(&o.Question)
	if err != nil {
		return t, err
	}
	t.Command = strings.Join(words, " ")
	t.request = newRequest(words, t.prefix)
	for i := range o.Threads {
		t.workers = append(t.workers, &worker{index: i, read: t.kind.read(&o.Question), tally: tally{latencies: newHistogram(latencyDigits)}})
	}
	if err := t.meet(ctx, script); err != nil {
		return t, err
	}
	for i := range o.Connections {
		nc, err := t.dial(ctx)
		if err != nil {
			return t, err
		}
		w := t.workers[i%o.Threads]
		c := newConn(w, t.request, max(o.Pipeline, fillDepth))
		w.conns = append(w.conns, c)
		if err := c.takeOver(nc); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *target) close() {
	if t.aside.Conn != nil {
		_ = t.aside.Close()
	}
	for _, w := range t.workers {
		for _, c := range w.conns {
			c.close()
		}
	}
}

// dial makes a connection, and gives the password.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	o := t.options
	dialer := &net.Dialer{Timeout: o.Timeout}
	nc, err := dialer.DialContext(ctx, t.where.Network, t.where.Address)
	if err != nil {
		return nil, err
	}
	if o.TLS != nil && t.where.Network != "unix" {
		config := o.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(t.where.Address)
		}
		nc = tls.Client(nc, config)
	}
	if o.Password == "" {
		return nc, nil
	}
	words := []string{"AUTH", o.Password}
	if o.Username != "" {
		words = []string{"AUTH", o.Username, o.Password}
	}
	a := asker{Conn: nc, timeout: o.Timeout}
	r, err := a.ask(words...)
	// A server without a password beside one that has one is no error.
	if err == nil && r.kind == '-' && !strings.Contains(string(r.text), "without any password") {
		err = answerError{true, r.show()}
	}
	if err != nil {
		_ = nc.Close()
	}
	return nc, err
}

// meet makes the connection aside, loads the script, and tries the command.
func (t *target) meet(ctx context.Context, script string) error {
	nc, err := t.dial(ctx)
	if err != nil {
		return err
	}
	t.aside = asker{Conn: nc, timeout: t.options.Timeout}
	if script != "" {
		if r, err := t.aside.ask("SCRIPT", "LOAD", script); err != nil {
			return err
		} else if r.kind == '-' {
			return answerError{true, r.show()}
		}
	}
	r, err := t.aside.send(t.request.bytes)
	if err != nil {
		return err
	}
	if t.workers[0].read(r) == notUnderstood {
		return answerError{r.kind == '-', r.show()}
	}
	t.pid = listenerOf(nc)
	if r, err = t.aside.ask("INFO", "server"); err == nil { // or it has no name
		t.Server = serverName(r)
	}
	return t.appoint()
}

// appoint appoints a judge for each limit, if there is something to judge. A key that is asked for only
// once may have what the burst allows.
func (t *target) appoint() error {
	o := t.options
	if t.kind.rule == nil || o.KeySpace == New {
		return nil
	}
	far, isTCP := t.aside.RemoteAddr().(*net.TCPAddr)
	for _, r := range o.rules() {
		rule := t.kind.rule(r)
		rule.Cost, rule.Remote = o.Cost, isTCP && !isLocal(far.IP)
		j, err := judge.New(rule, o.Keys)
		if err != nil {
			return err
		}
		t.judges = append(t.judges, j)
		for _, w := range t.workers {
			w.judges = append(w.judges, j.Witness())
		}
	}
	return nil
}

// timesAsked is how often the server is asked for its time. The quickest answer tells most.
const timesAsked = 5

// tellTime tells the judge the server's time, without which nobody knows when a fixed_window begins.
func (t *target) tellTime() {
	isWindow := func(r policy.Rule) bool { return r.Algorithm == engine.FixedWindow }
	if len(t.judges) == 0 || !slices.ContainsFunc(t.options.rules(), isWindow) {
		return
	}
	for range timesAsked {
		sent := time.Since(t.started)
		r, err := t.aside.ask("TIME")
		if err != nil {
			return // the turn finds out why
		}
		if micros, ok := r.time(); ok {
			received := time.Since(t.started)
			for _, j := range t.judges {
				j.SawTime(sent, received, micros)
			}
		}
	}
}
