package clients

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// A program in testdata carries lines to a server with one client. The environment says how to
// connect: ADDRESS is host:port; PASSWORD; CA is the file of the authority to trust, for TLS;
// PROTOCOL is 2 or 3; MODE is "cluster" to connect as to a Redis Cluster, or "cache" to turn the
// client's own cache on. What is empty is left to the client.
//
// The first line that a program prints is the version of its client. Then it answers each line of
// its input with one line. A line is a command, its words separated by spaces; the reply is
// printed as text, a list as its parts separated by spaces, an error as "error", its type and its
// text. Commands separated by " ; " are sent together, as a pipeline, and so are their replies
// printed. Two lines are no commands. "cached" before the words of RL.PEEK asks through the client's
// cache. "parses" and the key of a log has the client read replies that it knows by itself, and
// answers "ok".
type program struct {
	t       *testing.T
	version string
	in      io.WriteCloser
	out     *bufio.Reader
	said    *harness.LockedBuffer // standard error
}

// start runs a client's program, which ends when the test does.
func (c client) start(t *testing.T, environment ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	run := exec.CommandContext(ctx, c.run[0], c.run[1:]...)
	run.Dir = harness.Repository()
	run.Env = append(os.Environ(), environment...)
	p := &program{t: t, said: &harness.LockedBuffer{}}
	run.Stderr = p.said
	var err error
	if p.in, err = run.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := run.Start(); err != nil {
		t.Fatalf("%s is missing; make test-clients installs it: %v", c.name, err)
	}
	t.Cleanup(func() {
		_ = p.in.Close() // which is when the program ends
		_, _ = io.Copy(io.Discard, p.out)
		err := run.Wait()
		cancel()
		if err != nil {
			t.Errorf("%s ends with %v\n%s", c.name, err, p.said)
		}
	})
	p.version = strings.TrimPrefix(p.line(), "v")
	return p
}

func (p *program) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("the program's output ends: %v\n%s%s", err, line, p.said)
	}
	return strings.TrimRight(line, "\n")
}

// ask sends commands together and returns the replies, of which there may be only one: an error
// instead of all.
func (p *program) ask(commands ...string) []string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, strings.Join(commands, " ; ")); err != nil {
		p.t.Fatalf("%v\n%s", err, p.said)
	}
	return strings.Split(p.line(), " ; ")
}

// decide asks a question and returns the six integers.
func (p *program) decide(command string) [6]int64 {
	p.t.Helper()
	return p.six(p.ask(command)[0])
}

// six reads the six integers of a reply.
func (p *program) six(reply string) (six [6]int64) {
	p.t.Helper()
	n, err := fmt.Sscan(reply, &six[0], &six[1], &six[2], &six[3], &six[4], &six[5])
	if err != nil || len(strings.Fields(reply)) != 6 {
		p.t.Fatalf("six integers expected, %d found: %q (%v)\n%s", n, reply, err, p.said)
	}
	return six
}

// fails wants an error reply with a text, of the type that the client makes of error replies.
func (p *program) fails(reply, kind, text string) {
	p.t.Helper()
	if !strings.HasPrefix(reply, "error "+kind) || !strings.Contains(reply, text) {
		p.t.Errorf("the reply is %q, want an error of type %s with %q\n%s", reply, kind, text, p.said)
	}
}

// inRepository makes a path of the repository, as commands in other folders need it.
func inRepository(path string) string {
	absolute, err := filepath.Abs(filepath.Join(harness.Repository(), path))
	if err != nil {
		panic(err)
	}
	return absolute
}
