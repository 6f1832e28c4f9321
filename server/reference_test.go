package server

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/engine"
)

var update = flag.Bool("update", false, "write docs/COMMANDS.md anew")

const referencePath = "../docs/COMMANDS.md"

// The reference page is made from the command table and the table of algorithms, and this test
// fails when it is stale. Its last section is about the settings: cmd/rlserver writes and tests
// it, because only the command line knows all of them.
func TestCommandReference(t *testing.T) {
	want := reference()
	page, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	got, settings, _ := strings.Cut(string(page), settingsHeading)
	if *update {
		if err := os.WriteFile(referencePath, []byte(want+settingsHeading+settings), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Error("docs/COMMANDS.md is stale: run `make docs`")
	}
}

const settingsHeading = "\n## Settings\n"

func reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("\n## Algorithms\n\n| name | for | keeps for a key | BURST |\n|---|---|---|---|\n")
	for _, a := range engine.Algorithms() {
		fmt.Fprintf(&b, "| `%v` | %s | %s | %s |\n", a, a.Summary(), a.State(), map[bool]string{true: "yes", false: "no"}[a.HasBurst()])
	}
	group := ""
	for _, c := range newCommandTable().rows {
		if c.group != group {
			group = c.group
			fmt.Fprintf(&b, "\n## Group: %s\n", group)
		}
		describeCommand(&b, "###", c)
		for _, sub := range c.subs {
			describeCommand(&b, "####", sub)
		}
	}
	return b.String()
}

func describeCommand(b *strings.Builder, heading string, c *command) {
	fmt.Fprintf(b, "\n%s %s\n\n", heading, c.label())
	if c.subs == nil {
		fmt.Fprintf(b, "    %s\n\n", strings.TrimSpace(c.label()+" "+c.synopsis))
	}
	b.WriteString(c.summary)
	if c.flags != "" {
		fmt.Fprintf(b, " Flags: %s.", c.flags)
	}
	b.WriteString("\n")
}

// label is the name as people write it: "CLIENT LIST".
func (c *command) label() string {
	return strings.ToUpper(strings.ReplaceAll(c.fullName(), "|", " "))
}

const referenceHead = `# Commands

<!-- Made from the command table by ` + "`make docs`" + `; a test fails when it is stale. -->

Any Redis client can send these commands. Names are case-insensitive. Arguments in square brackets
are optional.

## Ask

    RL.CHECK  key algorithm limit period [BURST burst] [COST cost]     take units if they fit
    RL.PEEK   key algorithm limit period [BURST burst] [COST cost]     the same question, but take nothing
    RL.REFUND key algorithm limit period [BURST burst] [COST cost]     give units back
    RL.RESET  key [key ...]                                            forget keys

| argument | accepted |
|---|---|
| key | 1 to 1024 bytes, any bytes |
| algorithm | one of the names below, in any case |
| limit | units per period: a whole number from 1 to 1000000000; for sliding_window_log at most ` + "`max-log-limit`" + ` |
| period | whole seconds, or a whole number with ` + "`ms`, `s`, `m`, `h`" + ` or ` + "`d`" + `; from 1ms to 366d, and in nanoseconds not less than limit |
| BURST burst | the most units that can be taken at once: 1 to 1000000000, by default the limit; at most as many as come back in 100 years |
| COST cost | units that this request takes: 1 to 1000000000, by default 1 |

Numbers are decimal, without sign, fraction or needless zeros. Options may stand in any order, each
once.

Limit, period and burst may change from call to call. The debt of a token_bucket or leaky_bucket is
time, and stays as it is. The other algorithms keep units, which stay units. For example, a request
takes all 10 units of a limit of 10 a minute, and the next one names a limit of 20 a minute. A bucket
still owes a minute, so 0 of 20 are left. A log holds 10 units, so 10 of 20 are left.

## The answer

RL.CHECK, RL.PEEK and RL.REFUND reply six integers, the same in RESP2 and RESP3. A denial is such a
reply and never an error.

| # | field | |
|---|---|---|
| 0 | allowed | 1 or 0; RL.PEEK: whether the request would be admitted now; RL.REFUND: 1 |
| 1 | limit | the most units that can be taken at once: the burst, or the limit |
| 2 | remaining | units left after this call; -1 when Redis should have decided and [did not](REDIS.md#when-redis-does-not-decide) |
| 3 | retry_after_ms | 0 when allowed; else how long to wait before the same request passes; -1: it never can |
| 4 | reset_after_ms | how long until the key is idle: its bucket full, its log empty, its window over |
| 5 | delay_ms | leaky_bucket: how long to hold the admitted request; else 0 |

Milliseconds are rounded up: a caller that waits that long has waited long enough.

## Errors

An error changes nothing, and the connection stays open. One exception stands in the table.

| error | when |
|---|---|
| ` + "`ERR <argument> … accepted is …`" + ` | an argument is outside its range; the text names the argument and the accepted values |
| ` + "`WRONGTYPE …`" + ` | the key belongs to another algorithm and is not idle yet; RL.RESET frees it |
| ` + "`OOM …`" + ` | as in Redis: a sliding_window_log needs more than ` + "`maxmemory`" + ` leaves, and evicting other logs does not make the room; see [Tuning](TUNING.md#memory) |
| ` + "`UNAVAILABLE …`" + ` | with ` + "`--backend redis`" + ` and the like: Redis has not decided, and ` + "`on-redis-failure`" + ` is ` + "`error`" + `; or RL.RESET could not reset all of its keys; see [Redis](REDIS.md#when-redis-does-not-decide) |
| ` + "`ERR … is not available with --backend …`" + ` | a command about keys that only Redis has |
| ` + "`READONLY …`" + ` | the server is a replica, and only its primary takes changes; RL.PEEK and reads are answered |
| ` + "`MISCONF …`" + ` | the disk does not take changes; the exception: with ` + "`appendfsync always`" + ` the change may have been made in memory, and a restart may lose it |
| ` + "`NOREPLICAS …`" + ` | fewer replicas than ` + "`min-replicas-to-write`" + ` have been heard of within ` + "`min-replicas-max-lag`" + ` |
| ` + "`NOAUTH …`, `WRONGPASS …`" + ` | a password is needed, or was wrong |
| ` + "`ERR unknown command …`, `ERR wrong number of arguments …`" + ` | as in Redis |

An idle key is the same as no key: it has no type and no TTL, and any algorithm may use it.
`
