package attack

import (
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

var churnFlag = flag.Duration("churn", 0, "how long TestAttackChurnSoak goes on, a minute at least")

// The load of the churn. The keys are of a bounded set or soon idle, and maxmemory
// bounds what they take: what grows is not keys.
const (
	churnPipelines  = 3
	churnBatch      = 32 // checks sent at once, one of them for a key that is new
	churnKeys       = 50_000
	churnMemory     = "64mb"
	churnVisitors   = 2
	churnVisitPause = 2 * time.Millisecond
	churnPoll       = 50 * time.Millisecond
	churnMonitoring = 200 * time.Millisecond
)

// What may not grow once it is warm: the highest of the last third by no more than this over
// the highest of the third before.
const (
	growthMaxPercent    = 10
	growthMaxBytes      = 8 << 20
	growthMaxGoroutines = 10
	growthMaxFiles      = 10
	growthMinDuration   = time.Minute
)

// A churn is a long day of a server.
type churn struct {
	s       *siege
	ended   chan struct{}
	working sync.WaitGroup
	checks  atomic.Int64
	visits  atomic.Int64
}

var churnFlags = []string{"--maxmemory", churnMemory, "--write-timeout", "5"}

// Under full load, with connections, monitors and settings that come and go, nothing grows
// without end.
func TestAttackChurnSoak(t *testing.T) {
	if *churnFlag < growthMinDuration {
		t.Skip("a soak: make soak-wire")
	}
	table := newAttackTable()
	defer table.Print(t.Output())
	attack{name: "churn", flags: churnFlags, fire: func(s *siege) {
		for _, problem := range growth(s.churn(*churnFlag)) {
			s.t.Error(problem)
		}
	}}.besiege(t, table)
}

// churnAWhile is too short to see growth. Like every attack it must leave nothing behind.
func churnAWhile(s *siege) { s.churn(span(2*time.Second, 20*time.Second)) }

func (s *siege) churn(lasting time.Duration) (samples []vital) {
	c := &churn{s: s, ended: make(chan struct{})}
	for i := range churnPipelines {
		c.working.Go(func() { c.pipeline(i) })
	}
	for i := range churnVisitors {
		c.working.Go(func() { c.visit(i) })
	}
	c.working.Go(c.operate)
	c.working.Go(c.monitor)
	samples = c.sample(lasting)
	close(c.ended)
	c.working.Wait()
	s.note("%d checks, %d visits", c.checks.Load(), c.visits.Load())
	return samples
}

// over says whether the churn has ended, after a pause.
func (c *churn) over(pause time.Duration) bool {
	select {
	case <-c.ended:
		return true
	case <-time.After(pause):
		return false
	}
}

// pipeline checks as fast as it is answered.
func (c *churn) pipeline(id int) {
	conn := c.s.connect()
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for n := 0; !c.over(0); n++ {
		var batch strings.Builder
		batch.WriteString(harness.Command("RL.CHECK", fmt.Sprintf("new:%d:%d", id, n), "token_bucket", "10", "10ms"))
		for i := 1; i < churnBatch; i++ {
			key := strconv.Itoa((n*churnBatch + i*7919) % churnKeys)
			batch.WriteString(harness.Command("RL.CHECK", "old:"+key, "token_bucket", "10", "1h"))
		}
		_ = conn.SetDeadline(time.Now().Add(honestPatience))
		if _, err := io.WriteString(conn, batch.String()); err != nil {
			c.s.errorf("a pipeline: %v", err)
			return
		}
		for range churnBatch {
			if reply, err := harness.ReadReply(conn.Reader); err != nil || !strings.HasPrefix(reply, "*6\r\n") {
				c.s.errorf("a check in a pipeline was answered %q and %v", reply, err)
				return
			}
		}
		c.checks.Add(churnBatch)
	}
}

// connect is dial for goroutines that are not the test's: it returns nil when it fails, and
// the caller closes the connection.
func (s *siege) connect() *harness.Conn {
	nc, err := net.Dial("tcp", s.p.Addr())
	if err != nil {
		s.t.Error(err)
		return nil
	}
	_ = nc.SetDeadline(time.Now().Add(honestPatience))
	return harness.NewConn(s.t, nc)
}

// visit has visitors connect and close in every way.
func (c *churn) visit(id int) {
	for n := id; !c.over(churnVisitPause); n++ {
		source := net.IPv4(127, 1, byte(id+1), byte(n%200+1))
		if err := visitAndLeave(c.s.p.Addr(), source, n%len(leavings)); err != nil {
			c.s.errorf("a visit that leaves %s: %v", leavings[n%len(leavings)].name, err)
			return
		}
		c.visits.Add(1)
	}
}

// operations are what an operator does, over and over. None of them is answered an error.
var operations = [][]string{
	{"INFO", "everything"}, {"CLIENT", "LIST"}, {"CONFIG", "GET", "*"}, {"SLOWLOG", "GET"}, {"SCAN", "0", "COUNT", "100"}, {"DBSIZE"},
	{"CONFIG", "SET", "slowlog-log-slower-than", "0"}, {"COMMAND", "DOCS"}, {"MEMORY", "USAGE", "old:1"},
	{"CONFIG", "SET", "slowlog-log-slower-than", "10000", "slowlog-max-len", "64"}, {"SLOWLOG", "RESET"},
	{"CONFIG", "SET", "timeout", "100", "output-buffer-limit", "2mb"}, {"CONFIG", "SET", "timeout", "200", "output-buffer-limit", "4mb", "write-timeout", "6"},
	{"CLIENT", "SETNAME", "operator"}, {"HELLO", "3"}, {"RESET"}, {"TYPE", "old:2"}, {"CONFIG", "SET", "maxclients", "5000"}, {"PING"},
}

func (c *churn) operate() {
	conn := c.s.connect()
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for n := 0; !c.over(churnPoll); n++ {
		words := operations[n%len(operations)]
		_ = conn.SetDeadline(time.Now().Add(honestPatience))
		_, err := io.WriteString(conn, harness.Command(words...))
		if err == nil {
			var reply string
			if reply, err = harness.ReadReply(conn.Reader); err == nil && strings.HasPrefix(reply, "-") {
				err = fmt.Errorf("answered %q", reply)
			}
		}
		if err != nil {
			c.s.errorf("%v: %v", words, err)
			return
		}
	}
}

// monitor has monitors come, listen for a while and go in three ways. One of them listens to
// nothing and is cut off.
func (c *churn) monitor() {
	for n := 0; !c.over(churnMonitoring); n++ {
		conn := c.s.connect()
		if conn == nil {
			return
		}
		if _, err := io.WriteString(conn, harness.Command("MONITOR")); err != nil {
			c.s.errorf("MONITOR: %v", err)
		}
		if n%4 != 3 {
			_ = conn.SetReadDeadline(time.Now().Add(churnMonitoring))
			_, _ = io.Copy(io.Discard, conn.Reader) // until the deadline, or until it is cut off
		} else {
			c.over(churnMonitoring)
		}
		switch n % 4 {
		case 0:
			_, _ = io.WriteString(conn, harness.Command("RESET")+harness.Command("PING"))
		case 1:
			_, _ = io.WriteString(conn, harness.Command("QUIT"))
		case 2:
			_ = conn.Conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
}

// sample looks at the process again and again, and prints what it sees.
func (c *churn) sample(lasting time.Duration) (samples []vital) {
	period := min(10*time.Second, lasting/40)
	for began := time.Now(); time.Since(began) < lasting; {
		time.Sleep(period)
		v := c.s.vital()
		samples = append(samples, v)
		if lasting >= growthMinDuration {
			c.s.t.Logf("%4.0f s: %d MB, %d goroutines, %d descriptors, %d connections; %d checks, %d visits",
				time.Since(began).Seconds(), v.rss>>20, v.goroutines, v.files, v.clients, c.checks.Load(), c.visits.Load())
		}
	}
	return samples
}

// growth leaves out the first two minutes, or fifth, compares thirds of the rest, and says what
// keeps growing.
func growth(samples []vital) (problems []string) {
	warm := samples[min(len(samples)/5, 12):]
	highest := func(some []vital) (v vital) {
		for _, one := range some {
			v = v.or(one)
		}
		return v
	}
	third := len(warm) / 3
	second, last := highest(warm[third:2*third]), highest(warm[2*third:])
	for _, grown := range []struct {
		name              string
		from, to, besides int64
	}{
		{"resident bytes", second.rss, last.rss, growthMaxBytes},
		{"goroutines", second.goroutines, last.goroutines, growthMaxGoroutines},
		{"open descriptors", second.files, last.files, growthMaxFiles},
	} {
		if grown.to > grown.from*(100+growthMaxPercent)/100+grown.besides {
			problems = append(problems, fmt.Sprintf("%s keep growing: at most %d in the second third, %d in the last", grown.name, grown.from, grown.to))
		}
	}
	return problems
}

// What grows is found, in each of the figures; what goes up and down, or grew while it became
// warm, is not.
func TestAttackChurnGrowth(t *testing.T) {
	for _, one := range []struct {
		name string
		at   func(i int64) vital // the i-th of 60 samples
		want string
	}{
		{"nothing", func(int64) vital { return vital{rss: 100 << 20, goroutines: 10, files: 20} }, ""},
		{"up and down", func(i int64) vital {
			return vital{rss: (100 + i%7*20) << 20, goroutines: 10 + i%5*4, files: 20 + i%3*5}
		}, ""},
		{"while it becomes warm", func(i int64) vital { return vital{rss: (50 + min(i, 20)*10) << 20, goroutines: 10 + min(i, 20)} }, ""},
		{"memory", func(i int64) vital { return vital{rss: (100 + i*3) << 20} }, "resident bytes"},
		{"goroutines", func(i int64) vital { return vital{goroutines: 10 + i%3 + i*3/2} }, "goroutines"},
		{"descriptors", func(i int64) vital { return vital{files: 20 + i*3/2} }, "open descriptors"},
	} {
		var samples []vital
		for i := range int64(60) {
			samples = append(samples, one.at(i))
		}
		got := strings.Join(growth(samples), "; ")
		if one.want == "" && got != "" || !strings.HasPrefix(got, one.want) {
			t.Errorf("%s: %q; want %q…", one.name, got, one.want)
		}
	}
}
