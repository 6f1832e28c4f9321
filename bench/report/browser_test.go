package report

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// look is a page that opens a report as wide as a phone and writes down what it sees.
const look = `<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><iframe src="/report" style="width:360px;height:800px;border:0"></iframe><pre></pre><script>
document.querySelector("iframe").onload = e => {
	const d = e.target.contentDocument, boxes = [...d.querySelectorAll("svg.chart")].map(s => s.getBoundingClientRect());
	document.querySelector("pre").textContent = "SEEN" + JSON.stringify({
		Charts: boxes.filter(b => b.width > 200 && b.height > 50).length,
		Lines: [...d.querySelectorAll("path.line")].filter(p => p.getTotalLength() > 100 && getComputedStyle(p).stroke != "none").length,
		Tables: d.querySelectorAll("table").length,
		Wide: d.documentElement.scrollWidth,
		Fetched: e.target.contentWindow.performance.getEntriesByType("resource").map(r => r.name),
		Scripts: d.scripts.length,
		Handlers: [...d.querySelectorAll("*")].filter(n => [...n.attributes].some(a => a.name.startsWith("on"))).length,
		Unnamed: [...d.querySelectorAll("svg.chart, .scroll")].filter(n => !n.getAttribute("aria-label")).length,
	}) + "END";
}</script>`

type seen struct {
	Charts, Lines, Tables, Wide, Scripts, Handlers, Unnamed int
	Fetched                                                 []string
}

// TestPageInBrowser opens a page in a real browser.
func TestPageInBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v (test/setup installs it)", err)
	}
	r := sample("rlserver", "incr", "script", `<b>"a" & b</b>`)
	var page bytes.Buffer
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	if page.Len() > 100_000 {
		t.Errorf("the page of a short run has %d bytes", page.Len())
	}
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked <- req.URL.Path
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if req.URL.Path == "/report" {
			_, _ = w.Write(page.Bytes())
			return
		}
		_, _ = w.Write([]byte(look))
	}))
	defer server.Close()

	// A root may not use the browser's sandbox, and in a container there may be little shared memory.
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(),
		"--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", server.URL)
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	match := regexp.MustCompile(`SEEN(.*)END`).FindStringSubmatch(dom.String()[strings.Index(dom.String(), "<pre>")+1:])
	if match == nil {
		t.Fatalf("the page did not load:\n%s\n%s", dom.String(), log.String())
	}
	var got seen
	if err := json.Unmarshal([]byte(match[1]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Charts != 6 || got.Lines < 4*3 || got.Tables != 4 {
		t.Errorf("%d charts with %d lines and %d tables are there, want 6, at least 12, and 4", got.Charts, got.Lines, got.Tables)
	}
	if got.Wide > 360 {
		t.Errorf("the page is %d wide on a screen of 360", got.Wide)
	}
	if len(got.Fetched) > 0 || got.Scripts > 0 || got.Handlers > 0 || got.Unnamed > 0 {
		t.Errorf("it fetched %q, has %d scripts and %d handlers, and %d charts and regions without a name", got.Fetched, got.Scripts, got.Handlers, got.Unnamed)
	}
	if strings.Contains(log.String(), "CONSOLE") {
		t.Errorf("the console says:\n%s", log.String())
	}
	close(asked)
	for path := range asked {
		if path != "/" && path != "/report" {
			t.Errorf("it asked for %s", path)
		}
	}
}
