package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// signalEchoMax is how soon after the first signal a second one is an echo of it. Ctrl-C goes to
// all processes of a terminal, and make, timeout and other parents pass theirs on as well, so one
// keystroke can arrive twice. A person does not press twice within this time.
const signalEchoMax = 150 * time.Millisecond

// signals are what the process is told from outside, from its first moment on: SIGHUP ends no server
// that is starting, and process 1 of a container does not die of signals that it does not handle.
type signals struct {
	ends, hangups chan os.Signal
	stop          atomic.Pointer[func()] // nil while the server starts
	logger        *slog.Logger
}

// watchSignals takes SIGINT, SIGTERM and SIGHUP, until ignore is called.
func watchSignals(logger *slog.Logger) *signals {
	s := &signals{ends: make(chan os.Signal, 2), hangups: make(chan os.Signal, 1), logger: logger}
	signal.Notify(s.ends, os.Interrupt, syscall.SIGTERM)
	signal.Notify(s.hangups, syscall.SIGHUP)
	go s.end()
	return s
}

// onStop has stop called at the first signal that ends the server. Before, it ends the process.
func (s *signals) onStop(stop func()) { s.stop.Store(&stop) }

// onReload has reload called at each SIGHUP, and at one that has come before.
func (s *signals) onReload(reload func()) {
	go func() {
		for range s.hangups {
			reload()
		}
	}()
}

func (s *signals) ignore() {
	signal.Stop(s.ends)
	signal.Stop(s.hangups)
}

// end stops the server at the first signal. The second ends the process, with the exit code that a
// shell gives for that signal. So does the first while the server starts: there is nothing to drain.
func (s *signals) end() {
	first := <-s.ends
	stop := s.stop.Load()
	if stop == nil {
		s.logger.Warn("stopped while starting", "signal", first.String())
		os.Exit(signalExit(first))
	}
	s.logger.Info("stopping; a second signal ends the process at once", "signal", first.String())
	(*stop)()
	echoes := time.Now().Add(signalEchoMax)
	second := <-s.ends
	for time.Now().Before(echoes) {
		second = <-s.ends
	}
	s.logger.Warn("second signal: ended without draining", "signal", second.String())
	os.Exit(signalExit(second))
}

func signalExit(s os.Signal) int {
	if number, ok := s.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return exitFailed
}
