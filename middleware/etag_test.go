package middleware_test

import (
	"fmt"
	"strings"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

func TestETag(t *testing.T) {
	const tag = `"LPJNul-wow4m6Dsqxbning"` // of "hello", by sha256sum and base64
	h := handler(func(w *server.Response, r *server.Request) {
		switch r.Path() {
		case "/":
			w.Text(200, "hello")
		case "/own":
			w.SetHeader("ETag", `"own"`)
			w.WriteString("hello")
		case "/error":
			w.SetStatus(404)
			w.WriteString("hello")
		case "/secret":
			w.SetHeader("Cache-Control", "private, No-Store")
			w.WriteString("hello")
		case "/stream":
			s := w.Stream()
			_, _ = s.WriteString("hello")
			_ = s.Close()
		case "/inner":
			w.Filter(func(dst, p []byte, _ bool) ([]byte, error) { return append(dst, strings.ToUpper(string(p))...), nil })
			w.WriteString("hello")
		}
	})
	c := serve(t, middleware.ETag(h))
	for _, q := range []struct {
		request   string
		condition string
		status    int
		etag      string
		body      string
	}{
		{"GET /", "", 200, tag, "hello"},
		{"HEAD /", "", 200, tag, ""},
		{"GET /", "If-None-Match: " + tag, 304, tag, ""},
		{"HEAD /", "If-None-Match: " + tag, 304, tag, ""},
		{"GET /", `If-None-Match: "x", W/` + tag, 304, tag, ""},
		{"GET /", "If-None-Match: *", 304, tag, ""},
		{"GET /", `If-None-Match: "x"`, 200, tag, "hello"},
		{"GET /", `If-Match: "x"`, 412, "", "Precondition Failed\n"},
		{"POST /", "If-None-Match: " + tag, 200, "", "hello"},
		{"GET /own", "If-None-Match: " + tag, 200, `"own"`, "hello"},
		{"GET /error", "If-None-Match: " + tag, 404, "", "hello"},
		{"GET /secret", "If-None-Match: " + tag, 200, "", "hello"},
		{"GET /stream", "If-None-Match: " + tag, 200, "", "hello"},
		{"GET /inner", "", 200, "W/" + tag, "HELLO"},
		{"GET /inner", "If-None-Match: W/" + tag, 304, "W/" + tag, ""},
		{"GET /nothing", "If-None-Match: *", 200, "", ""},
	} {
		res, body := ask(t, c, strings.TrimRight(q.request, " ")+" HTTP/1.1", orField(q.condition))
		if res.StatusCode != q.status || res.Header.Get("ETag") != q.etag || body != q.body {
			t.Errorf("%s, %s: %d %q %q", q.request, q.condition, res.StatusCode, res.Header.Get("ETag"), body)
		}
		if kind := res.Header.Get("Content-Type"); q.status == 304 && kind != "" {
			t.Errorf("%s: a 304 has Content-Type %s", q.request, kind)
		}
	}
}

// orField is the field line, or one that says nothing.
func orField(line string) string {
	if line == "" {
		return "X-Nothing: here"
	}
	return line
}

func TestETagAllocatesNothing(t *testing.T) { expectNoAllocs(t, middleware.ETag(quiet)) }

func ExampleETag() {
	addr, stop := start(middleware.ETag(hello))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	fmt.Println(askWith("GET", "http://"+addr, `If-None-Match: "LPJNul-wow4m6Dsqxbning"`))
	// Output:
	// 200 hello
	// 304
}
