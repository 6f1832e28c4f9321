package attack

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// roleVariable makes this program play another part than that of a test: some parts need a
// process of their own. Honest clients do, because what they measure must be the server's
// slowness and not that of a process with thousands of attackers in it.
const roleVariable = "RLSERVER_TEST_ROLE"

var roles = map[string]func(args []string) error{
	"honest":    playHonest,
	"reader":    playReader,
	"panicking": playPanicking,
}

// init comes before TestMain, which would build the server once more.
func init() {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	if err := roles[role](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// roleCommand starts this program in a role. It ends when its standard input does, so that
// it does not outlive the test.
func roleCommand(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// The honest clients: a few connections that each ask one question after the other.
const (
	honestClients  = 4
	honestInterval = 5 * time.Millisecond
	honestPatience = 30 * time.Second // for one answer; the test's bound is lower
	// A key admits honestLimit checks; honestDenied more are denied. Then comes another key.
	// A unit comes back after nine hours.
	honestLimit  = 1000
	honestDenied = 24
)

// playHonest is the process of the honest clients. It prints a line when each client has had an
// answer. When its input ends, each client asks once more, and it prints, for every answer, when the
// question was sent (ns since 1970) and how long the answer took (ns).
func playHonest(args []string) error {
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var working, begun sync.WaitGroup
	begun.Add(honestClients)
	lists, errs := make([]latencies, honestClients), make([]error, honestClients)
	for i := range honestClients {
		working.Go(func() {
			first := sync.OnceFunc(begun.Done)
			defer first()
			lists[i], errs[i] = askHonestly(args[0], i, first, stop)
		})
	}
	begun.Wait()
	fmt.Println("begun")
	working.Wait()
	out := bufio.NewWriter(os.Stdout)
	for _, list := range lists {
		for _, l := range list {
			fmt.Fprintln(out, l.at.UnixNano(), int64(l.took))
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("honest client %d after %d answers: %w", i, len(lists[i]), err)
		}
	}
	return nil
}

// askHonestly asks until it is to stop, and once more then, and checks every answer. It calls first
// when it has had an answer.
func askHonestly(addr string, id int, first func(), stop <-chan struct{}) (answers latencies, err error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = nc.Close() }()
	r := bufio.NewReader(nc)
	tick := time.NewTicker(honestInterval)
	defer tick.Stop()
	for n, last := 0, false; !last; n++ {
		select {
		case <-stop:
			last = true
		case <-tick.C:
		}
		generation, i := n/(honestLimit+honestDenied), n%(honestLimit+honestDenied)
		question := harness.Command("RL.CHECK", fmt.Sprintf("honest:%d:%d", id, generation), "token_bucket", strconv.Itoa(honestLimit), "366d")
		asked := time.Now()
		_ = nc.SetDeadline(asked.Add(honestPatience))
		if _, err := io.WriteString(nc, question); err != nil {
			return answers, err
		}
		reply, err := harness.ReadReply(r)
		if err != nil {
			return answers, err
		}
		answers = append(answers, latency{asked, time.Since(asked)})
		if err := isHonestAnswer(reply, i); err != nil {
			return answers, err
		}
		first()
	}
	return answers, nil
}

// isHonestAnswer checks the answer to the i-th question about a key.
func isHonestAnswer(reply string, i int) error {
	var allowed, limit, remaining, retry, reset, delay int64
	_, err := fmt.Sscanf(reply, "*6\r\n:%d\r\n:%d\r\n:%d\r\n:%d\r\n:%d\r\n:%d\r\n", &allowed, &limit, &remaining, &retry, &reset, &delay)
	const unit = 366 * 24 * 3600 * 1000 / honestLimit // ms until one comes back
	taken := int64(min(i+1, honestLimit))
	fits := limit == honestLimit && remaining == honestLimit-taken && delay == 0 && reset <= taken*unit && reset > (taken-1)*unit
	if i < honestLimit {
		fits = fits && allowed == 1 && retry == 0
	} else {
		fits = fits && allowed == 0 && retry > 0 && retry <= unit
	}
	if err != nil || !fits {
		return fmt.Errorf("check %d of %d units was answered %q", i+1, honestLimit, reply)
	}
	return nil
}

// honest is the process of the honest clients, as the test sees it.
type honest struct {
	t      *testing.T
	cmd    *exec.Cmd
	input  io.Closer
	out    *bufio.Reader
	errors bytes.Buffer
}

// startHonest returns when each honest client has had an answer.
func startHonest(t *testing.T, p *harness.Process) *honest {
	t.Helper()
	h := &honest{t: t, cmd: roleCommand("honest", p.Addr())}
	h.cmd.Stderr = &h.errors
	input, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.input, h.out = input, bufio.NewReader(out)
	t.Cleanup(func() {
		if h.cmd.ProcessState == nil {
			_ = h.cmd.Process.Kill()
			_ = h.cmd.Wait()
		}
	})
	if line, err := h.out.ReadString('\n'); err != nil {
		t.Fatalf("honest clients print %q (%v)\n%s", line, err, &h.errors)
	}
	return h
}

// stop ends the honest clients. An answer that was wrong, late or missing fails the test.
func (h *honest) stop() (answers latencies) {
	h.t.Helper()
	_ = h.input.Close()
	lines, _ := io.ReadAll(h.out) // that it was cut short, the exit code tells
	if err := h.cmd.Wait(); err != nil {
		h.t.Errorf("honest clients: %v\n%s", err, &h.errors)
	}
	for line := range strings.Lines(string(lines)) {
		var at, took int64
		if _, err := fmt.Sscan(line, &at, &took); err != nil {
			h.t.Fatalf("honest clients print %q: %v", line, err)
		}
		answers = append(answers, latency{time.Unix(0, at), time.Duration(took)})
	}
	return answers
}

// A latency is when a question was asked, and how long the answer took.
type latency struct {
	at   time.Time
	took time.Duration
}

type latencies []latency

// between are those asked from one instant to another, the quickest first.
func (l latencies) between(from, to time.Time) latencies {
	var some latencies
	for _, one := range l {
		if !one.at.Before(from) && one.at.Before(to) {
			some = append(some, one)
		}
	}
	slices.SortFunc(some, func(a, b latency) int { return int(a.took - b.took) })
	return some
}

// percentile is of a sorted list.
func (l latencies) percentile(percent int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[(len(l)-1)*percent/100].took
}

func (l latencies) max() time.Duration { return l.percentile(100) }

func (l latencies) String() string {
	ms := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 2, 64) }
	return ms(l.percentile(50)) + "/" + ms(l.percentile(99)) + "/" + ms(l.max())
}
