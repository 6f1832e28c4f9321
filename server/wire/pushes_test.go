package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A gatedCarrier writes when it may.
type gatedCarrier struct {
	gate  chan struct{} // every flush receives once from it
	taken chan string
}

func (*gatedCarrier) full(*Conn) bool { return false }

func (g *gatedCarrier) flush(c *Conn) error {
	<-g.gate
	g.taken <- string(c.Buf)
	c.Buf = c.Buf[:0]
	return nil
}

func newGated() (*Conn, *gatedCarrier) {
	g := &gatedCarrier{gate: make(chan struct{}, 100), taken: make(chan string, 100)}
	c := &Conn{carrier: g}
	c.Detach()
	return c, g
}

// Nothing goes out before the connection is out of its event loop, then all in order, and
// nothing once it has ended.
func TestPushesAreHeldThenWrittenThenDropped(t *testing.T) {
	c, g := newGated()
	p := c.pushes.Load()
	for i := range 3 {
		if p.put(fmt.Sprint(i)) != nil {
			t.Fatal("a push is refused")
		}
	}
	if p.state != pushesHeld {
		t.Fatalf("state %d before begin", p.state)
	}
	g.gate <- struct{}{}
	p.begin()
	if got := <-g.taken; got != "012" {
		t.Errorf("what was held goes out as %q", got)
	}
	g.gate <- struct{}{}
	_ = p.put("3")
	if got := <-g.taken; got != "3" {
		t.Errorf("got %q", got)
	}
	p.end()
	refused := errors.Is(p.put("4"), ErrPushesEnded)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !refused || p.bytes != 0 || len(p.queue) != 0 {
		t.Error("there is room for more after the end")
	}
}

// However often commands look into the queue, one goroutine at most writes.
func TestOneWriterOfPushes(t *testing.T) {
	c, g := newGated()
	p := c.pushes.Load()
	p.begin()
	p.writing.Lock()
	for range 1000 {
		_ = p.put("x")
		c.FlushPushes()
		if p.state != pushesWriting {
			t.Fatal("a writer that waits for its turn is taken for none")
		}
	}
	if got := len(c.Buf); got != 1000 {
		t.Errorf("%d pushes stand before the reply, want 1000", got)
	}
	g.gate <- struct{}{}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	p.writing.Unlock()
}

// The queue takes PushBytesMax and not a push more, and is let go of with the connection.
func TestPushesAreBounded(t *testing.T) {
	c, _ := newGated()
	p, push := c.pushes.Load(), strings.Repeat("x", 1<<16-pushOverhead)
	for i := range PushBytesMax >> 16 {
		if p.put(push) != nil {
			t.Fatalf("push %d is refused, with %d bytes waiting", i, p.bytes)
		}
	}
	if p.bytes != PushBytesMax {
		t.Errorf("%d bytes wait, want %d", p.bytes, PushBytesMax)
	}
	if !errors.Is(p.put(""), ErrCutOff) || p.state != pushesEnded || p.queue != nil {
		t.Error("the bound was passed")
	}
}
