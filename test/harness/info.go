package harness

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// InfoFields takes INFO's answer apart.
func InfoFields(reply string) map[string]string {
	fields := map[string]string{}
	for line := range strings.SplitSeq(reply, "\r\n") {
		if name, value, found := strings.Cut(line, ":"); found {
			fields[name] = value
		}
	}
	return fields
}

// InfoNumbers are the fields of INFO that are integers.
func InfoNumbers(t testing.TB, c *redis.Client) map[string]int64 {
	t.Helper()
	text, err := c.Info(context.Background(), "everything").Result()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int64{}
	for name, value := range InfoFields(text) {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			numbers[name] = n
		}
	}
	return numbers
}

var infoLine = regexp.MustCompile(`^[a-zA-Z0-9_.|-]+:[^\r\n]*$`)

// Info reads INFO, checks its form, and gives its sections and fields.
func (c *Conn) Info(sections ...string) (headings []string, fields map[string]string) {
	c.T.Helper()
	reply := c.Ask(append([]string{"INFO"}, sections...)...)
	if reply.Kind != '$' {
		c.T.Fatalf("INFO replies a %c, want a bulk string", reply.Kind)
	}
	fields = map[string]string{}
	if reply.Text == "" {
		return nil, fields
	}
	if !strings.HasSuffix(reply.Text, "\r\n") {
		c.T.Errorf("INFO %q does not end with \\r\\n", sections)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(reply.Text, "\r\n"), "\r\n") {
		heading, isHeading := strings.CutPrefix(line, "# ")
		switch {
		case isHeading:
			headings = append(headings, heading)
		case infoLine.MatchString(line):
			name, text, _ := strings.Cut(line, ":")
			if _, twice := fields[name]; twice {
				c.T.Errorf("INFO gives %s twice; tools take the first", name)
			}
			fields[name] = text
		case line != "":
			c.T.Errorf("INFO has a line that is neither a heading nor name:value: %q", line)
		}
	}
	return headings, fields
}

// InfoNumber reads one number of INFO.
func (c *Conn) InfoNumber(name string) int64 {
	c.T.Helper()
	_, fields := c.Info("everything")
	n, err := strconv.ParseInt(fields[name], 10, 64)
	if err != nil {
		c.T.Fatalf("INFO's %s: %v", name, err)
	}
	return n
}
