package bench

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// An asker is a connection on which one question is asked at a time.
type asker struct {
	net.Conn
	timeout time.Duration
	reply   reply
	buf     []byte
}

// ask sends a command and returns the reply, which is good until the next one.
func (a *asker) ask(words ...string) (*reply, error) { return a.send(encode(words)) }

func (a *asker) send(command []byte) (*reply, error) {
	if err := a.SetDeadline(time.Now().Add(a.timeout)); err != nil {
		return nil, err
	}
	if _, err := a.Write(command); err != nil {
		return nil, err
	}
	if a.buf == nil {
		a.buf = make([]byte, inBytes)
	}
	for have := 0; ; {
		size, err := a.reply.parse(a.buf[:have])
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, excerpt(a.buf[:have]))
		}
		switch {
		case size > 0 && size < have:
			return nil, unasked(&a.reply, a.buf[size:have])
		case size > 0:
			return &a.reply, a.SetDeadline(time.Time{})
		}
		if have == len(a.buf) {
			a.buf = append(a.buf, make([]byte, have)...)
		}
		n, err := a.Read(a.buf[have:])
		if have += n; n == 0 && err != nil {
			return nil, err
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
