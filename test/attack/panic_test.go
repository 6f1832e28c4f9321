package attack

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/test/harness"
)

// Nothing that a client of rlserver can say makes a handler panic, as far as is known. So a
// server with a limiter that does is what this attack aims at.

const panickingKey = "panic:"

// A panickingLimiter panics when it is asked about certain keys.
type panickingLimiter struct{ *engine.Store }

func (p panickingLimiter) Ask(o engine.Op, key string, a engine.Algorithm, l *engine.Limit, cost, now int64, d *engine.Decision) error {
	if strings.HasPrefix(key, panickingKey) {
		panic("provoked by " + strconv.Quote(key))
	}
	return p.Store.Ask(o, key, a, l, cost, now, d)
}

// playPanicking is the process of such a server. Its arguments are --port and a port.
func playPanicking(args []string) error {
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	cfg := config.Default()
	cfg.Port = port
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	srv := server.New(cfg, panickingLimiter{store}, logger, level, "panicking")
	if err := srv.Listen(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return srv.Serve(ctx)
}

func startPanicking(t testing.TB) *harness.Process {
	t.Helper()
	p := harness.StartProcess(t, "env", roleVariable+"=panicking", os.Args[0], "--port", strconv.Itoa(harness.FreePort(t)))
	t.Cleanup(func() {
		if err := p.Stop(syscall.SIGTERM); err != nil {
			t.Errorf("the server that panics ended with %v\n%s", err, p.Log)
		}
	})
	return p
}

func panicsToProvoke() int { return size(50, 1000) }

// panicsProvoked looks into the log as well: every panic is told, with its stack.
func panicsProvoked(s *siege) int {
	s.t.Helper()
	told := 0
	for line := range strings.Lines(s.p.Log.String()) {
		if strings.Contains(line, "provoked by") && strings.Contains(line, `"stack":"goroutine `) && strings.Contains(line, "panickingLimiter") {
			told++
		}
	}
	if told != panicsToProvoke() {
		s.errorf("the log tells of %d panics with their stack; want %d", told, panicsToProvoke())
	}
	return panicsToProvoke()
}

// provokePanics has handlers panic, each on a connection of its own. That connection gets the
// answers to what came before, an error, and the end; others notice nothing.
func provokePanics(s *siege) {
	n := panicsToProvoke()
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dial()
	}
	parallel(conns, func(i int, c *harness.Conn) {
		s.ping(c, "a connection before its panic")
		question := harness.Command("RL.CHECK", panickingKey+strconv.Itoa(i), "token_bucket", "10", "60")
		if err := panicsAndEnds(c, harness.Command("ECHO", "before")+question+harness.Command("ECHO", "after")); err != nil {
			s.errorf("connection %d: %v", i, err)
		}
	})
	s.waitClients(0, 5*time.Second)
	s.note("%d panics", n)
}

func panicsAndEnds(c *harness.Conn, packet string) error {
	if _, err := io.WriteString(c, packet); err != nil {
		return err
	}
	answer, err := io.ReadAll(c.Reader)
	rest, answered := strings.CutPrefix(string(answer), "$6\r\nbefore\r\n")
	if err != nil || !answered || !strings.HasPrefix(rest, "-ERR internal error") || strings.Count(rest, "\r\n") != 1 {
		return fmt.Errorf("a command, one that panics and another were answered %q; the end: %w", answer, cmp.Or(err, io.EOF))
	}
	return nil
}
