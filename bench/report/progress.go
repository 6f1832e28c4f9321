package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rlserver/rlserver/bench"
)

// A Progress shows how far a run is: on a terminal as a bar that stays in its line, otherwise as a
// line every few seconds. It is for one goroutine.
type Progress struct {
	out   io.Writer
	width int // columns of the terminal; 0: none
	shown time.Time
}

// lineEvery is how often a line is written where there is no terminal; barCells is how long a bar is.
const (
	lineEvery = 5 * time.Second
	barCells  = 20
)

// NewProgress shows progress on out, a terminal of that many columns, or 0 where it is none.
func NewProgress(out io.Writer, width int) *Progress {
	return &Progress{out: out, width: width}
}

// Show shows how far the run is. Without a terminal, anything but the end of
// a turn is shown only if nothing was for some seconds.
func (p *Progress) Show(at bench.Progress) {
	if p.width > 0 {
		share := done(at)
		bar := strings.Repeat("█", int(share*barCells))
		text := fmt.Sprintf("%s%s %3.0f %%  %s", bar, strings.Repeat("░", barCells-len([]rune(bar))), 100*share, moment(at))
		fmt.Fprintf(p.out, "\r\x1b[K%s", cut(text, p.width-1))
		return
	}
	if now := time.Now(); at.Done && at.Round > 0 || now.Sub(p.shown) >= lineEvery {
		p.shown = now
		fmt.Fprintln(p.out, moment(at))
	}
}

// Close takes the bar away, before anything else is written.
func (p *Progress) Close() {
	if p.width > 0 {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// moment says what is measured, and how the last span of it went.
func moment(at bench.Progress) string {
	text := fmt.Sprintf("%s, round %d of %d", at.Target, at.Round, at.Rounds)
	if at.Round == 0 {
		return at.Target + ": getting ready"
	}
	if at.Last.Requests > 0 {
		text += fmt.Sprintf(": %s/s, p99 %s", Short(each(float64(at.Last.Requests), at.Last.Span.Seconds())), Span(float64(at.Last.P99)))
	}
	if all := at.Last.Allowed + at.Last.Denied; all > 0 {
		text += fmt.Sprintf(", %.1f %% denied", 100*float64(at.Last.Denied)/float64(all))
	}
	return text
}

// done is the share of the run that is over. All turns count alike.
func done(at bench.Progress) float64 {
	turn := 0.0
	switch {
	case at.Round == 0: // not of a turn yet
	case at.Done:
		turn = 1
	case at.Duration > 0:
		turn = each(at.Elapsed.Seconds(), at.Duration.Seconds())
	case at.Wanted > 0:
		turn = each(float64(at.Requests), float64(at.Wanted))
	}
	return min(1, max(0, (float64(at.Turn-1)+min(1, turn))/float64(max(1, at.Turns))))
}
