package nethttp_test

// What of an http.Request reaches a handler, and what of it must not.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// TestRequest holds that a handler sees what the http.Request says.
func TestRequest(t *testing.T) {
	spell := func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "%s %s %s|%s|%s|%d|%s|%q", r.Method(), r.Host(), r.Path(), r.PeekEscapedPath(), r.RawQuery(),
			r.ProtoMinor(), r.RemoteAddr(), r.PeekBody())
		for name, value := range r.Headers() {
			if strings.HasPrefix(name, "X-") || strings.HasPrefix(name, "Co") || strings.HasPrefix(name, "T") {
				fmt.Fprintf(w, "|%s=%s", name, value)
			}
		}
	}
	with := func(method, target, body string, change func(r *http.Request)) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		change(r)
		return r
	}
	none := func(*http.Request) {}
	for _, test := range []struct {
		r    *http.Request
		want string
	}{
		{with("GET", "/a%2Fb%20c?q=1&r", "", none), `GET example.com /a/b c|/a%2Fb%20c|q=1&r|1|192.0.2.1:1234|""`},
		{with("BREW", "http://a.org:8", "", none), `BREW a.org:8 /|/||1|192.0.2.1:1234|""`},
		{with("", "/", "", func(r *http.Request) { r.Method = "" }), `GET example.com /|/||1|192.0.2.1:1234|""`},
		{with("POST", "/", "abc", none), `POST example.com /|/||1|192.0.2.1:1234|"abc"|Content-Length=3`},
		{
			with("POST", "/", "abc", func(r *http.Request) { r.ContentLength = -1 }),
			`POST example.com /|/||1|192.0.2.1:1234|"abc"|Transfer-Encoding=chunked`,
		},
		{
			with("GET", "/", "", func(r *http.Request) {
				r.Proto, r.ProtoMinor = "HTTP/1.0", 0
				r.RemoteAddr = "[::ffff:127.0.0.1]:9"
			}),
			`GET example.com /|/||0|127.0.0.1:9|""`,
		},
		{with("GET", "/", "", func(r *http.Request) { r.RemoteAddr = "@" }), `GET example.com /|/||1|invalid AddrPort|""`},
		{
			with("GET", "/", "", func(r *http.Request) {
				r.Header = http.Header{"X-A": {" 1 ", "2"}, "Connection": {"close"}, "Content-Length": {"7"}}
			}),
			`GET example.com /|/||1|192.0.2.1:1234|""|X-A=1|X-A=2`,
		},
	} {
		w := httptest.NewRecorder()
		nethttp.To(server.HandlerFunc(spell)).ServeHTTP(w, test.r)
		if w.Code != 200 || w.Body.String() != test.want {
			t.Errorf("got %d %s\nwant   %s", w.Code, w.Body, test.want)
		}
	}
}

// TestStripPrefix holds that a path which was changed on the way is the one that counts.
func TestStripPrefix(t *testing.T) {
	h := http.StripPrefix("/api", nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.WriteString(r.Path())
	})))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest("GET", "/api/x", nil)); w.Body.String() != "/x" {
		t.Errorf("got %q", w.Body)
	}
}

// TestPathsStayPaths holds that what is left of a path, as by http.StripPrefix, is the path, whatever it looks like.
func TestPathsStayPaths(t *testing.T) {
	h := http.StripPrefix("/p/", nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "%s %s", r.Host(), r.PeekEscapedPath())
	})))
	for left, want := range map[string]string{
		"":                  "example.com /",
		"x/y":               "example.com /x/y",
		"http://evil/admin": "example.com /http://evil/admin",
		"//evil/admin":      "example.com //evil/admin",
		"evil:80":           "example.com /evil:80",
		"a%2Fb":             "example.com /a%2Fb",
	} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", "/p/"+left, nil)); w.Body.String() != want {
			t.Errorf("%q: got %q, want %q", left, w.Body, want)
		}
	}
}

// TestFramingIsTheBridges holds that no field is taken for framing, however it is spelt.
func TestFramingIsTheBridges(t *testing.T) {
	h := nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Write(r.PeekBody()) }))
	for name, value := range map[string]string{
		"content-length": "5", "Content-length": "0", "transfer-encoding": "chunked", "host": "evil", "CONNECTION": "close",
	} {
		for _, body := range []string{"", "abc"} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(body))
			r.Header[name] = []string{value}
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if v := recover(); v != nil {
						t.Errorf("%s, body %q: broken off: %v", name, body, v)
					}
				}()
				h.ServeHTTP(w, r)
			}()
			cancel()
			if w.Code != 200 || w.Body.String() != body || w.Header().Get("Connection") != "" {
				t.Errorf("%s, body %q: %d %q, %v", name, body, w.Code, w.Body, w.Header())
			}
		}
	}
}

// TestNothingIsSmuggled holds that no part of a request that somebody made by hand becomes another part, or a request.
func TestNothingIsSmuggled(t *testing.T) {
	var calls int
	to := nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		calls++
		if r.Header("Evil") != "" || r.Path() != "/" {
			t.Errorf("smuggled: %s, Evil %q", r.Path(), r.Header("Evil"))
		}
	}))
	for name, change := range map[string]func(r *http.Request){
		"method":       func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nEvil: 1\r\nX: " },
		"query":        func(r *http.Request) { r.URL.RawQuery = "q HTTP/1.1\r\nEvil: 1\r\nX: " },
		"query, space": func(r *http.Request) { r.URL.RawQuery = "q q" },
		"host":         func(r *http.Request) { r.Host = "a\r\nEvil: 1" },
		"hosts":        func(r *http.Request) { r.Host = "a,b" },
		"no host":      func(r *http.Request) { r.Host = "" },
		"field name":   func(r *http.Request) { r.Header["X: 1\r\nEvil"] = []string{"1"} },
		"colon":        func(r *http.Request) { r.Header["Evil: 1, X"] = []string{"1"} },
		"field value":  func(r *http.Request) { r.Header["X"] = []string{"1\r\nEvil: 1"} },
		"bare CR":      func(r *http.Request) { r.Header["X"] = []string{"1\rEvil: 1"} },
		"bare LF":      func(r *http.Request) { r.Header["X"] = []string{"1\nEvil: 1"} },
		"NUL":          func(r *http.Request) { r.Header["X"] = []string{"\x00"} },
		"two types":    func(r *http.Request) { r.Header["Content-Type"] = []string{"a/b", "c/d"} },
		"trailer": func(r *http.Request) {
			r.ContentLength, r.Trailer = -1, http.Header{"X": {"1\r\n\r\nGET /evil HTTP/1.1\r\nHost: a"}}
		},
		"short body": func(r *http.Request) { r.ContentLength = 1000 },
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"))
		change(r)
		w := httptest.NewRecorder()
		if to.ServeHTTP(w, r); w.Code != 400 {
			t.Errorf("%s: answered %d", name, w.Code)
		}
	}
	if calls > 0 {
		t.Errorf("the handler was called %d times", calls)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("abcGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"))
	r.ContentLength = 3
	w := httptest.NewRecorder()
	if to.ServeHTTP(w, r); w.Code != 200 || calls != 1 {
		t.Errorf("a body longer than it says: %d, %d calls", w.Code, calls)
	}
}

func TestBodies(t *testing.T) {
	leavesNothing(t)
	echo := func(w *server.Response, r *server.Request) {
		w.SetHeader("X-Trailer", r.Trailer("X-Sum"))
		w.Write(r.PeekBody())
	}
	s := httptest.NewServer(nethttp.To(server.HandlerFunc(echo)))
	defer s.Close()
	limited := httptest.NewServer(http.MaxBytesHandler(nethttp.To(server.HandlerFunc(echo)), 10))
	defer limited.Close()
	large := strings.Repeat("x", 9<<20)
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
	defer client.CloseIdleConnections()
	for _, test := range []struct {
		name, url, body string
		chunked         bool
		status          int
	}{
		{"small", s.URL, "abc", false, 200},
		{"chunked", s.URL, "abc", true, 200},
		{"big", s.URL, string(big), false, 200},
		{"big, chunked", s.URL, string(big), true, 200},
		{"too large", s.URL, large, false, 413},
		{"too large, chunked", s.URL, large, true, 413},
		{"limited", limited.URL, "0123456789", false, 200},
		{"limited, too large", limited.URL, "0123456789a", false, 413},
	} {
		r, err := http.NewRequest("POST", test.url, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if test.chunked {
			r.ContentLength, r.Trailer = -1, http.Header{"X-Sum": {"7"}}
			want = "7"
		}
		r.Header.Set("Expect", "100-continue") // so that what is too large is not sent
		res, err := client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != test.status ||
			test.status == 200 && (string(body) != test.body || res.Header.Get("X-Trailer") != want) {
			t.Errorf("%s: %d, %d bytes, trailer %q", test.name, res.StatusCode, len(body), res.Header.Get("X-Trailer"))
		}
	}
}
