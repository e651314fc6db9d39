package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Refusals in the log: each leaves one line, which says what an operator needs and nothing that a log must not have.

// lineOf is the only line of a log.
func lineOf(t *testing.T, log string) map[string]any {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(log), &line); err != nil {
		t.Fatalf("not one line: %q, %v", log, err)
	}
	return line
}

func TestRefusalLines(t *testing.T) {
	long := strings.Repeat("x", 2*maxShown)
	for _, c := range []struct{ request, line string }{
		{
			"GET /a?token=secret HTTP/1.1\r\nHost: a\r\nCookie: secret\x00\r\n\r\n",
			`status=400 reason=refused method=GET path=/a field=Cookie byte=0x00 offset=53: control byte in a field value`,
		},
		{
			"GET /%e2%98%83?token=secret HTTP/1.1\r\nHost: a,secret\r\n\r\n",
			`status=400 reason=refused method=GET path=/%e2%98%83 field=Host byte=',' offset=45: invalid Host field`,
		},
		{"GET / HTTP/1.1\r\n\r\n", `status=400 reason=refused method=GET path=/ field=Host: no Host field`},
		{
			"GET /" + long + " HTTP/1.1\r\nHost: a\r\n" + long + ": \x01\r\n\r\n",
			`status=400 reason=refused method=GET path=/` + long[:maxShown-1] + ` field=` + long[:maxShown] +
				` byte=0x01 offset=1051: control byte in a field value`,
		},
		{
			"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX",
			`status=400 reason=refused method=POST path=/a byte='X' offset=4 section=body: chunk data does not end in CR LF`,
		},
		{
			"\x16\x03\x01\x02\x00\x01\x00\x01",
			`status=400 reason=refused byte=0x16 offset=0: a TLS handshake, and this port speaks plain HTTP`,
		},
		{"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", `status=501 reason=refused method=CONNECT path=a:443: CONNECT, and an origin server tunnels nothing`},
		{
			"GET https://a/b?secret HTTP/1.1\r\nHost: a\r\n\r\n",
			`status=421 reason=refused method=GET path=/b: its target is https, and this connection is not secured`,
		},
		{
			"POST https://a/b?secret HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
			`status=421 reason=refused method=POST path=/b: its target is https, and this connection is not secured`,
		},
	} {
		p, log := logged(t, hello)
		p.send("%s", c.request)
		answer := make([]byte, len("HTTP/1.1 400"))
		if _, err := io.ReadFull(p, answer); err != nil {
			t.Fatal(err)
		}
		line := lineOf(t, log.String())
		var got []string
		for _, key := range []string{"status", "reason", "method", "path", "field", "byte", "offset", "section"} {
			if v, ok := line[key]; ok {
				got = append(got, fmt.Sprintf("%s=%v", key, v))
			}
		}
		what, _ := strings.CutPrefix(line["message"].(string), refused)
		want(t, c.request, strings.Join(got, " ")+": "+what, c.line)
		if line["remote"] != p.LocalAddr().String() || line["conn"] != 1.0 || line["level"] != "info" {
			t.Errorf("%q: the line is %v", c.request, line)
		}
		if strings.Contains(log.String(), "secret") {
			t.Errorf("%q: the log gives a secret away: %s", c.request, log.String())
		}
		wantContains(t, c.request, string(answer), fmt.Sprint(line["status"]))
	}
}

// A body that is refused leaves one line too, and the same one, whichever handler it was for.
func TestRefusalLinesOfBodies(t *testing.T) {
	const post, chunked = "POST /a HTTP/1.1\r\nHost: a\r\n", "Transfer-Encoding: chunked\r\n\r\n"
	buffered := HandlerFunc(hello)
	for name, h := range map[string]Handler{
		"buffered": MaxBody(5)(buffered), "blocking": MaxBody(5)(Blocking(buffered)), "bounded off the loop": Blocking(MaxBody(5)(buffered)),
		"streamed": MaxBody(5)(Streaming(HandlerFunc(func(_ *Response, r *Request) { r.OnBody(func([]byte, error) {}) }))),
		"read":     MaxBody(5)(Blocking(Streaming(HandlerFunc(func(_ *Response, r *Request) { _, _ = io.Copy(io.Discard, r.BodyReader()) })))),
	} {
		for request, want := range map[string]string{
			post + "Content-Length: 6\r\n\r\nabcdef":    `413 refused POST /a Content-Length <nil> <nil> <nil> body too large`,
			post + chunked + "6\r\nabcdef\r\n0\r\n\r\n": `413 refused POST /a <nil> <nil> <nil> <nil> body too large`,
			post + chunked + "1\r\nxY":                  `400 refused POST /a <nil> 'Y' 4 body chunk data does not end in CR LF`,
			post + chunked + "1\r\nx\r\n0\r\nA: \x00":   `400 refused POST /a A 0x00 3 trailer control byte in a field value`,
		} {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			_, addr := start(t, nil, func(s *Server) { s.Handler, s.Log = h, logger })
			p := dial(t, addr)
			p.send("%s", request)
			res, _ := p.answer("POST")
			p.Close()
			line := lineOf(t, log.String())
			what, _ := strings.CutPrefix(line["message"].(string), refused)
			got := fmt.Sprint(line["status"], line["reason"], " ", line["method"], " ", line["path"], " ", line["field"], " ", line["byte"], " ",
				line["offset"], " ", line["section"], " ", what)
			if got = strings.Replace(got, "refused", " refused", 1); got != want || float64(res.StatusCode) != line["status"] {
				t.Errorf("%s, %q: status %d\n got %s\nwant %s", name, request, res.StatusCode, got, want)
			}
		}
	}
}

// What has come of a request that never comes whole is in its line too.
func TestRefusalLinesOfWhatIsNotWhole(t *testing.T) {
	waits(t)
	for request, want := range map[string][3]any{
		"GET /a/b?secret HTTP/1.1\r\nHo": {"GET", "/a/b", 408.0},
		"GET /a/b":                       {"GET", "/a/b", 408.0},
		"GE":                             {nil, nil, 408.0},
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123": {"POST", "/a", 408.0},
	} {
		var log syncBuffer
		logger := Zerolog(zerolog.New(&log))
		_, addr := start(t, hello, func(s *Server) {
			s.Log, s.ReadHeaderTimeout, s.BodyTimeout = logger, 20*time.Millisecond, 20*time.Millisecond
		})
		p := dial(t, addr)
		p.send("%s", request)
		p.answer("GET")
		if line := lineOf(t, log.String()); line["method"] != want[0] || line["path"] != want[1] || line["status"] != want[2] {
			t.Errorf("%q: %v", request, line)
		}
	}
}

// By default refusals are seen.
func TestRefusalsAreVisibleByDefault(t *testing.T) {
	if log := (*Log)(nil); !log.Enabled(slog.LevelInfo) || log.Enabled(slog.LevelDebug) {
		t.Error("the default level is not info")
	}
}

// A flood of one kind of line is cut off and counted, and hides no line of another kind.
func TestFloodsOfLines(t *testing.T) {
	waits(t)
	const flood = 500
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s, addr := start(t, hello, func(s *Server) { s.Log = logger })
	began := time.Now()
	for range flood {
		p := dial(t, addr)
		p.send("bad\r\n")
		p.rest()
		p.Close()
	}
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\n\r\n")
	p.rest()
	p.Close()
	wantContains(t, "log", log.String(), "no Host field")
	total := func() (lines, all int) {
		for _, line := range linesWith(log.String(), errMethodText) {
			lines++
			n, _ := lineOf(t, line)["left_out"].(float64)
			if all += int(n); n == 0 {
				all++
			}
		}
		return lines, all
	}
	await(t, "the count of what was left out", func() bool { _, all := total(); return all == flood })
	windows := int(time.Since(began)/lineWindow) + 2
	if lines, _ := total(); lines > windows*(linesPerWindow+1) {
		t.Errorf("%d lines of %d in %d windows", lines, flood, windows)
	}
	await(t, "the windows to end", func() bool { s.lines.mu.Lock(); defer s.lines.mu.Unlock(); return len(s.lines.kinds) == 0 })
}

const errMethodText = "method is not a token"

// The end of the server tells what was left out before, and leaves no timer behind.
func TestLeftOutAtTheEnd(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s := &Server{Log: logger}
	s.init()
	for range 3 {
		if s.mayLog(slog.LevelInfo, "a", "b", 1) {
			logger.Line(slog.LevelInfo).Msg("ab")
		}
	}
	s.endLines()
	if got := linesWith(log.String(), "2 more in the last second: ab"); len(got) != 1 || len(s.lines.kinds) != 0 {
		t.Errorf("%s, %v", log.String(), s.lines.kinds)
	}
}

// The kinds of lines are bounded, and what is beyond the bound is counted all the same.
func TestKindsOfLinesAreBounded(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s := &Server{Log: logger}
	s.init()
	written := 0
	for i := range 10 * maxLineKinds {
		if s.mayLog(slog.LevelWarn, "kind", fmt.Sprint(i), 1) {
			written++
		}
	}
	if n := len(s.lines.kinds); n != maxLineKinds+1 || written != n {
		t.Errorf("%d kinds, %d lines written", n, written)
	}
	s.endLines()
	wantContains(t, "log", log.String(), fmt.Sprintf(`"left_out":%d`, 9*maxLineKinds-1))
}

// What a logger would drop is not counted.
func TestLinesThatAreNotWanted(t *testing.T) {
	for _, logger := range []*Log{Zerolog(zerolog.Nop()), Zerolog(zerolog.New(io.Discard).Level(zerolog.WarnLevel))} {
		s := &Server{Log: logger}
		s.init()
		if s.mayLog(slog.LevelInfo, "a", "", 1) || len(s.lines.kinds) > 0 {
			t.Error("a line that is dropped is counted")
		}
	}
}

// Trouble with accepting is one line a second, whatever a port reports.
func TestTroubleOfThePort(t *testing.T) {
	waits(t)
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s := &Server{Log: logger}
	s.init()
	begin, reports := time.Now(), 0
	for range time.Tick(time.Millisecond) {
		reports++
		s.reportError(fmt.Errorf("reactor: port %d cannot accept: %w", reports%4, syscall.EMFILE))
		if n := len(linesWith(log.String(), "too many open files")); n == 2 {
			break
		} else if n > 2 || time.Since(begin) > patience {
			t.Fatalf("%d lines in %v", n, time.Since(begin))
		}
	}
	if d := time.Since(begin); d < lineWindow {
		t.Errorf("a second line after %v", d)
	}
	second := lineOf(t, linesWith(log.String(), "left_out")[0])
	wantContains(t, "the second line", second["message"].(string), "reactor: port ", "too many open files")
	if n, _ := second["left_out"].(float64); int(n) < reports-3 || int(n) >= reports { // one may have come behind it
		t.Errorf("%v of %d reports were left out", n, reports)
	}
	s.reportError(errors.New("something else"))
	wantContains(t, "log", log.String(), "something else")
	s.endLines()
}

// A refusal that is not logged allocates no more than its answer does.
func TestRefusalsAreCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	logger := Zerolog(zerolog.New(io.Discard))
	s := &Server{Log: logger}
	s.init()
	defer s.endLines()
	c := &conn{w: &worker{srv: s}}
	refuse := func() { c.mayLogRefusal(400, "x") }
	for range linesPerWindow {
		refuse()
	}
	if n := testing.AllocsPerRun(100, refuse); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever each request can cause is limited: a handler that does the same wrong for all of them, one that panics, one that
// never answers.
func TestLinesOfEachRequestAreLimited(t *testing.T) {
	waits(t)
	for name, h := range map[string]HandlerFunc{
		"field":  func(w *Response, r *Request) { w.SetHeader("X", "\n") },
		"cookie": func(w *Response, r *Request) { w.SetCookie(&Cookie{Name: "a", Value: "\n"}) },
		"body":   func(w *Response, r *Request) { w.SetStatus(204); w.WriteString("x") },
		"panic":  func(w *Response, r *Request) { panic("again") },
		"owed":   func(w *Response, r *Request) { w.Later() },
		"late":   func(w *Response, r *Request) { w.OnDone(func(w *Response, _ *Request) { w.SetStatus(404) }) },
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			const requests = 3 * linesPerWindow
			s, addr := start(t, h, func(s *Server) { s.Log, s.PendingTimeout = logger, 10*time.Millisecond })
			for range requests {
				p := dial(t, addr)
				p.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				p.rest()
				p.Close()
			}
			s.endLines()
			lines, counted := 0, 0.0
			for line := range strings.Lines(log.String()) {
				n, _ := lineOf(t, line)["left_out"].(float64)
				lines, counted = lines+1, counted+max(n, 1)
			}
			if lines >= requests || counted != requests {
				t.Errorf("%d lines, which count %v, of %d: %s", lines, counted, requests, log.String())
			}
		})
	}
}

func TestTurnedAwayLines(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s := &Server{Log: logger, MaxConnsPerAddr: 1}
	s.init()
	w := &worker{srv: s, turned: maxTurnedAway}
	for range 100 {
		w.BuildProtocol(netip.MustParseAddrPort("192.0.2.1:1"))
	}
	s.endLines()
	if n := len(linesWith(log.String(), tooManyOfOne)); n != linesPerWindow+1 {
		t.Errorf("%d lines: %s", n, log.String())
	}
	wantContains(t, "log", log.String(), `"left_out":89`, `"reason":"too-many-connections"`, `"remote":"192.0.2.1:1"`)
	if got := closedFor(s, ErrTooManyConns); got != 99 {
		t.Errorf("counted %d", got)
	}
}
