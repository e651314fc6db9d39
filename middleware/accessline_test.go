package middleware_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"
)

// written is an Output that hands on each line.
type written chan string

func (l written) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l written) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l:
		return line
	case <-time.After(patience):
		t.Fatal("no line")
		return ""
	}
}

// No byte that a peer can send adds a line or a column to a log.
func TestAccessLinesCannotBeForged(t *testing.T) {
	forged := "\x80\xff\t\" 200 1 \"x\" \\"
	const user = "é \" 200 1 \\" // RFC 7617 allows no controls in it
	names := middleware.Users(map[string]string{user: "x"})
	for _, c := range []struct {
		format  middleware.AccessFormat
		pattern string
	}{
		{
			middleware.AccessCombined,
			`^127\.0\.0\.1 - \\xc3\\xa9\\x20\\x22\\x20200\\x201\\x20\\x5c \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}\] ` +
				`"GET /a%0b%22 HTTP/1\.1" 418 3 "https://b\.example/" "\\x80\\xff\\x09\\" 200 1 \\"x\\" \\\\"` + "\n$",
		},
		{middleware.AccessText, `^\d\d:\d\d:\d\d 418 GET /a%0b%22 3 B [0-9.]+(s|ms|µs) 127\.0\.0\.1` + "\n$"},
	} {
		out := make(written, 16)
		log := middleware.AccessLog(middleware.AccessLogConfig{Format: c.format, Output: out})
		peer := serve(t, log(middleware.Basic("r", middleware.User, names)(handler(func(w *server.Response, _ *server.Request) {
			w.SetStatus(418)
			w.WriteString("tea")
		}))))
		fields := []string{basic(user + ":x"), "User-Agent: " + forged, "Referer: https://b.example/?secret"}
		if res, _ := ask(t, peer, append([]string{"GET /a%0b%22?token=secret HTTP/1.1"}, fields...)...); res.StatusCode != 418 {
			t.Fatalf("answered %d", res.StatusCode)
		}
		line := out.next(t)
		if !regexp.MustCompile(c.pattern).MatchString(line) {
			t.Errorf("format %d: %q", c.format, line)
		}
		if strings.Contains(line, "secret") {
			t.Errorf("a query is in %q", line)
		}
	}
}

// Errors are always written. Good answers are, one in so many, or those that took long.
func TestAccessLogSamples(t *testing.T) {
	h := handler(func(w *server.Response, r *server.Request) {
		switch r.Path() {
		case "/bad":
			w.Error(500)
		case "/slow":
			p := w.Later()
			time.AfterFunc(60*time.Millisecond, func() { _ = p.Answer(func(w *server.Response) { w.WriteString("slow") }) })
		}
	})
	ask9 := func(c net.Conn) {
		for range 9 {
			ask(t, c, "GET / HTTP/1.1")
			ask(t, c, "GET /bad HTTP/1.1")
		}
		ask(t, c, "GET /slow HTTP/1.1")
		ask(t, c, "GET /bad HTTP/1.1") // and when its line is there, all are
	}
	for _, c := range []struct {
		config          middleware.AccessLogConfig
		good, bad, slow int
	}{
		{middleware.AccessLogConfig{}, 9, 10, 1},
		{middleware.AccessLogConfig{SampleEvery: 5}, 2, 10, 0}, // the slow one is the tenth
		{middleware.AccessLogConfig{SlowerThan: 50 * time.Millisecond}, 0, 10, 1},
		{middleware.AccessLogConfig{SampleEvery: 3, SlowerThan: 50 * time.Millisecond}, 3, 10, 1},
	} {
		out := make(written, 64)
		c.config.Format, c.config.Output = middleware.AccessText, out
		ask9(serve(t, middleware.AccessLog(c.config)(h)))
		got := map[string]int{}
		for got["/bad"] < c.bad {
			got[strings.Fields(out.next(t))[3]]++
		}
		if c.config.SampleEvery == 5 {
			got["/"] += got["/slow"]
			got["/slow"] = 0
		}
		if got["/"] != c.good || got["/slow"] != c.slow || len(out) > 0 {
			t.Errorf("%+v: %v", c.config, got)
		}
	}
}

func TestAccessLogMistakesPanic(t *testing.T) {
	for _, config := range []middleware.AccessLogConfig{{Format: middleware.AccessCombined}, {Format: middleware.AccessText}, {Format: 9, Output: io.Discard}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", config)
				}
			}()
			middleware.AccessLog(config)
		}()
	}
}

func TestAccessLinesAllocateNothing(t *testing.T) {
	for _, f := range []middleware.AccessFormat{middleware.AccessCombined, middleware.AccessText} {
		expectNoAllocs(t, middleware.AccessLog(middleware.AccessLogConfig{Format: f, Output: io.Discard})(quiet))
	}
}

func ExampleAccessLog_combined() {
	lines := make(written, 1) // in a program: server.NewLogWriter(os.Stdout)
	log := middleware.AccessLog(middleware.AccessLogConfig{Format: middleware.AccessCombined, Output: lines})
	addr, stop := start(log(hello))
	defer stop()
	askWith("GET", "http://"+addr+"/a?q=1", "User-Agent: curl/8.14")
	_, line, _ := strings.Cut(<-lines, "] ")
	fmt.Print(line)
	// Output:
	// "GET /a HTTP/1.1" 200 5 "-" "curl/8.14"
}
