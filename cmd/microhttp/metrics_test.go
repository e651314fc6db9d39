package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"microhttp/middleware/figures"
)

// samples reads a page of Prometheus's text format line by line, and fails the test where it is none. It returns the values by
// name and labels, as they are written.
func samples(t *testing.T, page string) map[string]float64 {
	t.Helper()
	described := regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	sample := regexp.MustCompile(`^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$`)
	got := map[string]float64{}
	seen := map[string]bool{}
	var family, kind string
	for line := range strings.Lines(page) {
		line, whole := strings.CutSuffix(line, "\n")
		if d := described.FindStringSubmatch(line); whole && d != nil {
			switch {
			case d[1] == "HELP" && !seen[d[2]]:
				family, kind, seen[d[2]] = d[2], "", true
			case d[1] == "TYPE" && d[2] == family && kind == "":
				kind = d[3]
			default:
				t.Errorf("out of place: %q", line)
			}
			continue
		}
		s := sample.FindStringSubmatch(line)
		if !whole || s == nil {
			t.Fatalf("no line of the format: %q", line)
		}
		value, err := strconv.ParseFloat(s[3], 64)
		if _, twice := got[s[1]+s[2]]; err != nil || twice {
			t.Errorf("%q: %v, again %t", line, err, twice)
		}
		got[s[1]+s[2]] = value
		if suffix, ok := strings.CutPrefix(s[1], family); !ok || !slices.Contains(suffixes[kind], suffix) {
			t.Errorf("%q under %s, a %s", line, family, kind)
		}
	}
	checkBuckets(t, got)
	return got
}

var suffixes = map[string][]string{"gauge": {""}, "counter": {""}, "histogram": {"_bucket", "_sum", "_count"}}

// checkBuckets holds that the last bucket of a histogram has all that it counted.
func checkBuckets(t *testing.T, got map[string]float64) {
	t.Helper()
	for name, n := range got {
		metric, labels, ok := strings.Cut(name, "_count")
		if !ok || labels != "" && labels[0] != '{' {
			continue
		}
		last := metric + `_bucket{` + strings.Trim(labels, "{}") + `,le="+Inf"}`
		if got[last] != n {
			t.Errorf("%s is %v, %s is %v", name, n, last, got[last])
		}
	}
}

// requestSample is the name of a sample of a request without a failure.
func requestSample(name, method, status, route, more string) string {
	return name + `{error_type="",http_request_method="` + method + `",http_response_status_code="` + status +
		`",http_route="` + route + `",url_scheme="http"` + more + `}`
}

// metricsOf asks the demo a few things, and then its operators' listener for the page.
func metricsOf(t *testing.T) string {
	t.Helper()
	p := startProgram(t, "-loops", "1", "-debug-addr", "127.0.0.1:0")
	operators := debugAddr(t, p)
	c := dial(t, p.addr)
	c.ask("GET /users/7 HTTP/1.1")
	c.ask("GET /users/8 HTTP/1.1")
	c.ask("POST /echo HTTP/1.1", "Content-Length: 300", "", strings.Repeat("x", 300))
	c.ask("BREW /coffee HTTP/1.1")
	c.ask("GET /plaintext HTTP/1.1", "Host: twice") // refused
	res, page := dial(t, operators).ask("GET /metrics HTTP/1.1", "Connection: close")
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("%d %q", res.StatusCode, kind)
	}
	return page
}

func debugAddr(t *testing.T, p *program) string {
	t.Helper()
	m := regexp.MustCompile(`health and metrics on http://(\S+),`).FindStringSubmatch(p.line())
	if m == nil {
		t.Fatal("where?")
	}
	return m[1]
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	got := samples(t, metricsOf(t))
	for name, want := range map[string]float64{
		requestSample("http_server_request_duration_seconds_count", "GET", "200", "/users/{id}", ""):          2,
		requestSample("http_server_request_duration_seconds_bucket", "GET", "200", "/users/{id}", `,le="10"`): 2,
		requestSample("http_server_request_body_size_bytes_sum", "POST", "200", "/echo", ""):                  300,
		requestSample("http_server_request_body_size_bytes_bucket", "POST", "200", "/echo", `,le="256"`):      0,
		requestSample("http_server_request_body_size_bytes_bucket", "POST", "200", "/echo", `,le="1024"`):     1,
		requestSample("http_server_response_body_size_bytes_sum", "GET", "200", "/users/{id}", ""):            float64(2 * len("id=7\n")),
		`http_server_active_requests{http_request_method="GET",url_scheme="http"}`:                            0,
		`microhttp_connections_accepted_total`:                                                                1,
		`microhttp_requests_refused_total{http_response_status_code="400"}`:                                   1,
		`microhttp_blocking_places`: 512,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	others := 0
	for name := range got {
		if strings.HasPrefix(name, "http_server_request_duration_seconds_count") && strings.Contains(name, `="_OTHER"`) {
			others++
		}
	}
	if others != 1 {
		t.Errorf("%d label sets of a method that is none", others)
	}
	if got[`microhttp_loop_lag_seconds_count{loop="0"}`] == 0 || got[`microhttp_loop_lag_seconds_sum{loop="0"}`] == 0 {
		t.Error("the loop has no lag")
	}
}

// promtool finds nothing to say about the page: see middleware/metrics, which has the same test.
func TestPromtool(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Skip("PROMTOOL does not name one; in Debian it is in the package prometheus")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(metricsOf(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// Nothing is counted unless there is a listener that shows it.
func TestNothingIsCountedWithoutOperators(t *testing.T) {
	for _, flags := range [][]string{nil, {"-debug-addr", "127.0.0.1:0"}} {
		var o options
		if err := o.parse(flags, nil); err != nil {
			t.Fatal(err)
		}
		s := o.newServer(nil)
		if counts := o.tally != nil; s.Handler == nil || counts != (flags != nil) {
			t.Errorf("%v: counts %t", flags, counts)
		}
	}
}

// What a label or a help holds can end neither its line nor itself.
func TestExpositionEscapes(t *testing.T) {
	m := figures.Metric{Name: "odd_total", Help: "a \\ and\na line", Kind: figures.Counter, Labels: []string{"a", "b"}}
	var p exposition
	p.Value(&m, 1e6, `c:\new "x"`+"\n", "")
	p.Value(&m, 0.25, "plain", "é")
	const want = `# HELP odd_total a \\ and\na line
# TYPE odd_total counter
odd_total{a="c:\\new \"x\"\n",b=""} 1e+06
odd_total{a="plain",b="é"} 0.25
`
	if string(p.page) != want {
		t.Errorf("%s", p.page)
	}
	samples(t, string(p.page))
}

// A request adds to three histograms and allocates nothing.
func TestTallyAllocatesNothing(t *testing.T) {
	var h histogram
	if n := testing.AllocsPerRun(100, func() { h.add(.3, 3e8, figures.DurationBounds) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	upTo, count := h.upTo(figures.DurationBounds)
	if count != 101 || upTo[6] != 0 || upTo[7] != 101 || len(figures.DurationBounds) > maxBounds || len(figures.SizeBounds) > maxBounds {
		t.Errorf("%v of %d", upTo, count)
	}
}
