package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// What is said of tracking, of replies that are dropped and of pauses is what Redis says.
func TestClientModesSameAsRedis(t *testing.T) {
	redis, ours := harness.StartRedis(t), harness.StartServer(t)
	for _, line := range []string{
		"CLIENT TRACKING", "CLIENT TRACKING x", "CLIENT TRACKING on", "CLIENT TRACKING ON; CLIENT TRACKING OFF; CLIENT TRACKINGINFO", "CLIENT TRACKING off x", "CLIENT TRACKING on x",
		"CLIENT TRACKING on REDIRECT", "CLIENT TRACKING on REDIRECT x", "CLIENT TRACKING on REDIRECT 99999999", "CLIENT TRACKING on REDIRECT 0", "CLIENT TRACKING on PREFIX", "CLIENT TRACKING on PREFIX a",
		"CLIENT TRACKING on BCAST PREFIX a PREFIX b; CLIENT TRACKINGINFO; CLIENT GETREDIR", "CLIENT TRACKING on BCAST PREFIX a PREFIX ab", "CLIENT TRACKING on BCAST PREFIX a PREFIX a",
		"CLIENT TRACKING on BCAST PREFIX a; CLIENT TRACKING on BCAST PREFIX ab", "CLIENT TRACKING on BCAST PREFIX ab; CLIENT TRACKING on BCAST PREFIX a", "CLIENT TRACKING on BCAST; CLIENT TRACKINGINFO; CLIENT TRACKING on BCAST PREFIX a; CLIENT TRACKING on BCAST; CLIENT TRACKINGINFO", "CLIENT TRACKING on BCAST PREFIX b PREFIX a; CLIENT TRACKING on BCAST; CLIENT TRACKINGINFO", "CLIENT TRACKING on BCAST PREFIX b; CLIENT TRACKING on BCAST PREFIX a; CLIENT TRACKINGINFO",
		"CLIENT TRACKING on BCAST; CLIENT TRACKING on", "CLIENT TRACKING on; CLIENT TRACKING on BCAST", "CLIENT TRACKING on BCAST OPTIN", "CLIENT TRACKING on BCAST OPTOUT", "CLIENT TRACKING on OPTIN OPTOUT",
		"CLIENT TRACKING on OPTIN; CLIENT TRACKING on OPTOUT", "CLIENT TRACKING on OPTOUT; CLIENT TRACKING on OPTIN", "CLIENT TRACKING on OPTIN; CLIENT TRACKING on; CLIENT TRACKINGINFO",
		"CLIENT TRACKING on OPTIN NOLOOP; CLIENT TRACKINGINFO; CLIENT CACHING yes; CLIENT TRACKINGINFO; PING; CLIENT TRACKINGINFO", "CLIENT TRACKING on OPTIN; CLIENT CACHING no", "CLIENT TRACKING on OPTIN; CLIENT CACHING x",
		"CLIENT TRACKING on OPTOUT; CLIENT CACHING NO; MULTI; PING; CLIENT TRACKINGINFO; EXEC; CLIENT TRACKINGINFO", "CLIENT TRACKING on OPTOUT; CLIENT CACHING yes", "CLIENT TRACKING on; CLIENT CACHING yes", "CLIENT TRACKING on; CLIENT CACHING no",
		"CLIENT CACHING", "CLIENT CACHING yes", "CLIENT CACHING x", "CLIENT CACHING yes no", "CLIENT GETREDIR", "CLIENT GETREDIR x", "CLIENT TRACKINGINFO", "CLIENT TRACKINGINFO x", "HELLO 3; CLIENT TRACKINGINFO",
		"HELLO 3; CLIENT TRACKING on BCAST PREFIX x NOLOOP; CLIENT TRACKINGINFO; CLIENT GETREDIR; RESET; CLIENT TRACKINGINFO", "CLIENT TRACKING on REDIRECT 1 REDIRECT 1",
		"CLIENT REPLY", "CLIENT REPLY x", "CLIENT REPLY on", "CLIENT REPLY on x", "CLIENT REPLY off; PING; CLIENT REPLY on; PING", "CLIENT REPLY skip; PING; PING", "CLIENT REPLY skip; CLIENT REPLY skip; PING; PING; PING",
		"CLIENT REPLY off; CLIENT REPLY skip; PING; CLIENT REPLY on; PING", "CLIENT REPLY skip; CLIENT REPLY on; PING", "CLIENT REPLY off; NOSUCH; CLIENT; CLIENT FOO; ECHO; CLIENT REPLY x; PING; CLIENT REPLY on",
		"CLIENT REPLY off; RESET; PING", "CLIENT REPLY skip; RESET; PING", "CLIENT REPLY skip; NOSUCH; PING", "CLIENT REPLY skip; ECHO; PING", "CLIENT REPLY off; MULTI; PING; DEL a; EXEC; CLIENT REPLY on; PING",
		"CLIENT REPLY skip; MULTI; PING; EXEC", "MULTI; PING; CLIENT REPLY skip; EXEC", "CLIENT REPLY off; HELLO 3; CLIENT GETNAME; CLIENT REPLY on; CLIENT GETNAME",
		"CLIENT REPLY off; SUBSCRIBE a; UNSUBSCRIBE a; PING; CLIENT REPLY on; PING", "HELLO 3; CLIENT REPLY off; SUBSCRIBE a; PUBLISH a x; CLIENT REPLY on; PING", "CLIENT REPLY skip; SUBSCRIBE a; PING", "CLIENT REPLY skip; CLIENT REPLY off; PING; CLIENT REPLY on",
		"CLIENT PAUSE", "CLIENT PAUSE x", "CLIENT PAUSE -1", "CLIENT PAUSE 1 x", "CLIENT PAUSE 1 WRITE x", "CLIENT PAUSE x x", "CLIENT PAUSE 0", "CLIENT PAUSE 0 all", "CLIENT PAUSE 0 write; DEL a", "CLIENT PAUSE 1; PING", "CLIENT PAUSE 99999999999999999999",
		"CLIENT UNPAUSE", "CLIENT UNPAUSE x", "CLIENT PAUSE 100000 WRITE; PING; CLIENT UNPAUSE; DEL a", "CLIENT UNBLOCK", "CLIENT UNBLOCK x", "CLIENT UNBLOCK 99999999", "CLIENT UNBLOCK 1 x", "CLIENT UNBLOCK x x", "CLIENT UNBLOCK 99999999 ERROR", "CLIENT UNBLOCK 99999999 TIMEOUT x",
	} {
		// A connection that is silent to its end is never closed by Redis.
		compare(t, redis, ours, line, harness.CommandLine(line))
	}
}

// A client that tracks is told of each key that it reads, in front of the reply and behind it, and of
// nothing else.
func TestTracking(t *testing.T) {
	const peek = "RL.PEEK k token_bucket 5 1d"
	const pushed = ">(invalidate k)"
	const full = "*(1 5 5 0 0 0)"
	for _, test := range []struct{ name, line, want string }{
		{"off", "HELLO 3; " + peek, full},
		{"on", "HELLO 3; CLIENT TRACKING on; " + peek, "+OK " + pushed + " " + full + " " + pushed},
		{"a check changes the key, and is not kept", "HELLO 3; CLIENT TRACKING on; RL.CHECK c token_bucket 5 1d; RL.RESET c", "+OK *(1 5 4 0 17280000 0) :1"},
		{"other reads", "HELLO 3; CLIENT TRACKING on; TYPE k; EXISTS a k; DBSIZE", "+OK " + pushed + " +none " + pushed + " >(invalidate a k) :0 >(invalidate a k) :0"},
		{"turned off", "HELLO 3; CLIENT TRACKING on; CLIENT TRACKING off; " + peek, "+OK +OK " + full},
		{"reset", "HELLO 3; CLIENT TRACKING on; RESET; " + peek, "+OK +RESET " + full},
		{"opt in: only the next", "HELLO 3; CLIENT TRACKING on OPTIN; TYPE k; CLIENT CACHING yes; TYPE k; TYPE k",
			"+OK +none +OK " + pushed + " +none " + pushed + " +none"},
		{"opt in: a check as well", "HELLO 3; CLIENT TRACKING on OPTIN; CLIENT CACHING yes; RL.RESET k; RL.RESET k", "+OK +OK " + pushed + " :0 " + pushed + " :0"},
		{"opt in: a transaction", "HELLO 3; CLIENT TRACKING on OPTIN; CLIENT CACHING yes; MULTI; PTTL k; TYPE k; EXEC; TYPE k",
			"+OK +OK +OK +QUEUED +QUEUED >(invalidate k k) *(0 none) >(invalidate k k) +none"},
		{"opt in: nothing may be kept for any time", "HELLO 3; CLIENT TRACKING on OPTIN; PTTL k; CLIENT CACHING yes; PTTL k", "+OK :-2 +OK " + pushed + " :0 " + pushed},
		{"opt out: not the next", "HELLO 3; CLIENT TRACKING on OPTOUT; CLIENT CACHING no; TYPE k; TYPE k", "+OK +OK +none " + pushed + " +none " + pushed},
		{"prefixes", "HELLO 3; CLIENT TRACKING on BCAST PREFIX k PREFIX x; EXISTS k a xy", "+OK >(invalidate k xy) :0 >(invalidate k xy)"},
		{"wrong arguments", "HELLO 3; CLIENT TRACKING on; TYPE; TYPE k l; TYPE k", "+OK -ERR -ERR " + pushed + " +none " + pushed},
		{"RESP2 has no pushes", "HELLO 2; CLIENT TRACKING on; TYPE k", "+OK +none"},
		{"replies are dropped, pushes are not", "HELLO 3; CLIENT TRACKING on; CLIENT REPLY off; TYPE k; CLIENT REPLY on", "+OK " + pushed + " " + pushed + " +OK"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := harness.StartServer(t).Dial()
			c.Send(harness.CommandLine(test.line + "; QUIT"))
			_ = c.Value() // of HELLO
			var got []string
			for {
				v, err := harness.ParseValue(c.Reader)
				if err != nil {
					break
				}
				got = append(got, brief(v))
			}
			if want := test.want + " +OK"; strings.Join(got, " ") != want {
				t.Errorf("%s\n got %s\nwant %s", test.line, strings.Join(got, " "), want)
			}
		})
	}
}

// What a client can have tracked is bounded.
func TestTrackingIsBounded(t *testing.T) {
	c := harness.StartServer(t).Dial()
	c.Ask("HELLO", "3")
	words := []string{"CLIENT", "TRACKING", "on", "BCAST"}
	for i := range 101 {
		words = append(words, "PREFIX", fmt.Sprintf("%03d", i))
	}
	c.MustFail("ERR too many prefixes: a connection may have 100", words...)
	c.MustSay("OK", words[:len(words)-2]...)
	c.MustFail("ERR too many prefixes", "CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "x")
	c.MustSay("OK", "CLIENT", "TRACKING", "off")
	c.MustSay("OK", "CLIENT", "TRACKING", "on")
	words = append([]string{"EXISTS"}, strings.Split(strings.Repeat("k ", 1001), " ")[:1001]...)
	c.Send(harness.Command(words...))
	for _, want := range []string{">(invalidate )", ":0", ">(invalidate )"} {
		v := c.Value()
		if got := brief(v); got != want || v.Kind == '>' && !v.Parts[1].Null {
			t.Errorf("of 1001 keys the client is told %s, want %s", got, want)
		}
	}
}

// brief writes a reply with the type of its outermost value only; of an error the first word.
func brief(v harness.Value) string {
	text := v.Text
	if v.Kind == '-' {
		text, _, _ = strings.Cut(text, " ")
	}
	if v.Parts == nil {
		return string(v.Kind) + text
	}
	var words []string
	for _, part := range v.Parts {
		if part.Parts != nil {
			words = append(words, part.Texts()...)
		} else {
			words = append(words, part.Text)
		}
	}
	return string(v.Kind) + "(" + strings.Join(words, " ") + ")"
}

// Invalidations that are redirected go to another connection, as messages of a channel in RESP2. When
// that is gone the client is told.
func TestTrackingRedirected(t *testing.T) {
	p := harness.StartServer(t)
	c, receiver, second := p.Dial(), p.Dial(), p.Dial()
	c.Ask("HELLO", "3")
	second.Ask("HELLO", "3")
	ids := []string{receiver.Ask("CLIENT", "ID").Text, second.Ask("CLIENT", "ID").Text}
	for _, r := range []*harness.Conn{receiver, second} {
		r.Ask("SUBSCRIBE", "__redis__:invalidate")
	}
	c.MustSay("OK", "CLIENT", "TRACKING", "on", "REDIRECT", ids[0])
	c.MustSay(ids[0], "CLIENT", "GETREDIR")
	c.MustSay("none", "TYPE", "k")
	for range 2 {
		if got := brief(receiver.Value()); got != "*(message __redis__:invalidate k)" {
			t.Errorf("in RESP2 the message is %s", got)
		}
	}
	c.MustSay("OK", "CLIENT", "TRACKING", "on", "REDIRECT", ids[1])
	c.MustSay("none", "TYPE", "k")
	for range 2 {
		if got := brief(second.Value()); got != ">(invalidate k)" {
			t.Errorf("in RESP3 the message is %s", got)
		}
	}
	if line := c.Listed("INFO")[0]; line["redir"] != ids[1] || line["flags"] != "t" {
		t.Errorf("CLIENT INFO has redir=%s flags=%s", line["redir"], line["flags"])
	}
	if n := p.Dial().InfoNumber("tracking_clients"); n != 1 {
		t.Errorf("%d clients track, want 1", n)
	}
	_ = second.Close()
	harness.Eventually(t, "the end of the receiver", func() bool { return p.Dial().InfoNumber("pubsub_clients") == 1 })
	c.Send(harness.Command("TYPE", "k"))
	if got := brief(c.Value()); got != ">(tracking-redir-broken "+ids[1]+")" {
		t.Errorf("without a receiver there is %s", got)
	}
	if got := c.Value().Text; got != "none" {
		t.Errorf("and then %s", got)
	}
	if flags := c.Listed("INFO")[0]["flags"]; flags != "tR" {
		t.Errorf("flags are %s", flags)
	}
	_ = c.Close()
	harness.Eventually(t, "the end of tracking", func() bool { return p.Dial().InfoNumber("tracking_clients") == 0 })
}
