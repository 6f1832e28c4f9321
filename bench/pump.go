package bench

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// A pump moves the bytes of a connection with a goroutine of its own. It is for TLS, and for systems
// that have no loop: it takes about twice the processor time.

// pump runs a turn of the worker's connections, each with a goroutine.
func (w *worker) pump() error {
	var running sync.WaitGroup
	errs := make(chan error, len(w.conns))
	for _, c := range w.conns {
		running.Go(func() {
			if err := c.pump(); err != nil {
				w.turn.stopped.Store(true)
				errs <- err
			}
		})
	}
	running.Wait()
	close(errs)
	return <-errs
}

func (c *conn) pump() error {
	w := c.worker
	for {
		w.mu.Lock()
		begun, isOver, wait := w.begin(c), false, time.Duration(0)
		if !begun {
			isOver, wait = w.isOver(w.turn.now()), min(w.due()-w.turn.now(), checkPeriod)
		}
		w.mu.Unlock()
		switch {
		case isOver:
			return nil
		case !begun:
			time.Sleep(max(wait, 0))
			continue
		}
		if err := c.exchange(); err != nil {
			return err
		}
	}
}

// exchange sends a batch and reads the replies.
func (c *conn) exchange() error {
	w := c.worker
	if err := c.net.SetDeadline(time.Now().Add(w.turn.timeout)); err != nil {
		return err
	}
	_, err := c.net.Write(c.pending())
	for err == nil && c.isWaiting() {
		var n int
		if n, err = c.net.Read(c.room()); n > 0 {
			w.mu.Lock()
			err = c.received(n, w.turn.now())
			w.mu.Unlock()
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return errClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	}
	return err
}
