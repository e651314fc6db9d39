package server

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// answerOf has h answer one request and returns the answer.
func answerOf(t testing.TB, h HandlerFunc, request string, options ...func(*Server)) string {
	t.Helper()
	p, m := inMemory(t, h, options...)
	p.DataReceived([]byte(request))
	return undated(m.out.String())
}

func logTo(b *bytes.Buffer) func(*Server) {
	log := Zerolog(zerolog.New(b))
	return func(s *Server) { s.Log = log }
}

const getAnything = "GET /here HTTP/1.1\r\nHost: a.example\r\n\r\n"

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		h      HandlerFunc
		status string
		fields []string
		body   string
		logged string
	}{
		"JSON":              {func(w *Response, _ *Request) { w.JSON(201, map[string]any{"a": "<b>"}) }, "201 Created", []string{"Content-Type: application/json"}, `{"a":"\u003cb\u003e"}`, ""},
		"JSON, own type":    {func(w *Response, _ *Request) { w.SetHeader("Content-Type", "application/x+json"); w.JSON(200, 1) }, "200 OK", []string{"Content-Type: application/x+json"}, "1", ""},
		"JSON, unencodable": {func(w *Response, _ *Request) { w.WriteString("half"); w.JSON(200, map[string]any{"a": make(chan int)}) }, "500 Internal Server Error", nil, "Internal Server Error\n", "cannot be encoded"},
		"Text":              {func(w *Response, _ *Request) { w.WriteString("before"); w.Text(404, "none") }, "404 Not Found", []string{"Content-Type: text/plain; charset=utf-8"}, "none", ""},
		"HTML":              {func(w *Response, _ *Request) { w.HTML(200, "<p>x") }, "200 OK", []string{"Content-Type: text/html; charset=utf-8"}, "<p>x", ""},
		"NoContent":         {func(w *Response, _ *Request) { w.Text(200, "x"); w.NoContent() }, "204 No Content", nil, "", ""},
		"Redirect":          {func(w *Response, _ *Request) { w.Redirect(307, "/a b/ü?x=1") }, "307 Temporary Redirect", []string{"Location: /a%20b/%C3%BC?x=1"}, "Temporary Redirect\n", ""},
		"Redirect away":     {func(w *Response, _ *Request) { w.Redirect(301, "https://b.example/") }, "301 Moved Permanently", []string{"Location: https://b.example/"}, "Moved Permanently\n", ""},
		"Redirect //":       {func(w *Response, _ *Request) { w.Redirect(301, "//b.example/") }, "500 Internal Server Error", nil, "Internal Server Error\n", "neither a path"},
		"Redirect, CRLF":    {func(w *Response, _ *Request) { w.Redirect(301, "/\r\nX: y") }, "500 Internal Server Error", nil, "Internal Server Error\n", "neither a path"},
		"Redirect, tab":     {func(w *Response, _ *Request) { w.Redirect(301, "/\t/b.example") }, "500 Internal Server Error", nil, "Internal Server Error\n", "neither a path"},
		"Redirect, \\":      {func(w *Response, _ *Request) { w.Redirect(301, `/a\b`) }, "500 Internal Server Error", nil, "Internal Server Error\n", "neither a path"},
		"Redirect, no host": {func(w *Response, _ *Request) { w.Redirect(301, "http://") }, "500 Internal Server Error", nil, "Internal Server Error\n", "neither a path"},
		"Redirect, no URL":  {func(w *Response, _ *Request) { w.Redirect(301, "http://[::1") }, "500 Internal Server Error", nil, "Internal Server Error\n", "neither a path"},
		"Redirect, escapes": {func(w *Response, _ *Request) { w.Redirect(302, "/%41%?a=|") }, "302 Found", []string{"Location: /%41%25?a=%7C"}, "Found\n", ""},
		"RedirectLocal":     {func(w *Response, _ *Request) { w.RedirectLocal("/a?b=//c") }, "303 See Other", []string{"Location: /a?b=//c"}, "See Other\n", ""},
		"own host":          {func(w *Response, _ *Request) { w.RedirectLocal("http://A.example/b") }, "303 See Other", []string{"Location: /b"}, "See Other\n", ""},
		"other host":        {func(w *Response, _ *Request) { w.RedirectLocal("http://a.example@b.example/") }, "400 Bad Request", nil, "Bad Request\n", "RedirectLocal refused"},
		"Problem": {func(w *Response, _ *Request) {
			w.Problem(403, Problem{Detail: "no", Members: map[string]any{"z": 1, "b": []int{2}, "status": 7}})
		}, "403 Forbidden", []string{"Content-Type: application/problem+json"}, `{"title":"Forbidden","status":403,"detail":"no","b":[2],"z":1}`, ""},
		"Problem, unencodable": {func(w *Response, _ *Request) { w.Problem(403, Problem{Members: map[string]any{"z": func() {}}}) }, "500 Internal Server Error", nil, "Internal Server Error\n", "cannot be encoded"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			got := answerOf(t, c.h, getAnything, logTo(&log))
			head, body, _ := strings.Cut(got, "\r\n\r\n")
			want(t, "status", strings.SplitN(head, "\r\n", 2)[0], "HTTP/1.1 "+c.status)
			wantContains(t, "head", head, c.fields...)
			want(t, "body", body, c.body)
			if c.logged == "" && log.Len() > 0 || !strings.Contains(log.String(), c.logged) {
				t.Errorf("logged %q, want %q", log.String(), c.logged)
			}
		})
	}
}

func TestRedirectPanicsForOtherStatuses(t *testing.T) {
	for _, status := range []int{200, 300, 304, 305, 399, 404} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Redirect with %d did not panic", status)
				}
			}()
			new(Response).Redirect(status, "/")
		}()
	}
}

// What browsers and proxies take for another host, and what is none.
func TestRedirectLocalTargets(t *testing.T) {
	for _, to := range []string{
		"", "b.example", "//b.example", "///b.example", "////b.example", `/\b.example`, `\\b.example`, `\/b.example`, `/a\b`,
		"/\t/b.example", "/\n/b.example", "\t//b.example", "/\r\nLocation: //b.example", " //b.example", "/a\x00", "/\x7f",
		"http://b.example/", "https://a.example/", "http:b.example", "javascript:alert(1)", "data:text/html,x",
		"http://a.example.b.example/", "http://a.example", "http://a.example@b.example/", "http://a.example:80@b.example/",
		"/%2Fb.example", "/%2f%2fb.example", "/%5Cb.example", "/%5cb.example", "/%252Fb.example", "/%255Cb.example", "/..//b.example", "/.//b.example",
		"/%25252fb.example", "/%2525252525252fb.example", "/%09/b.example", "/%0d%0aSet-Cookie:a=b", "/%250d%250aa", "/%00/a", "/%",
		"/%2", "/%zz", "/a?b=%zz", "/a/%2e%2e//b.example", "/%2e%2e%2f%2fb.example", "https:/b.example", "HTTPS:b.example",
		"@b.example", ".b.example", "%2f%2fb.example", "*", "?next=a", "#a", "\ufeff//b.example", "/a?\r\nb", `/?a=\`,
		"http://a.example//b.example", `http://a.example/\b.example`, "//a.example/",
	} {
		if got := answerOf(t, func(w *Response, _ *Request) { w.RedirectLocal(to) }, getAnything); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q: %.60q", to, got)
		}
	}
	for _, to := range []string{"/", "/a", "/a/b?c=d#e", "/a?next=//b", `/a?b=%5C%5C`, "/@b.example", "/:80", "/a%20b", "/a%2Fb", "/100%25", "/..", "/über", "/?a=%0a%5c", `/a"b`} {
		got := answerOf(t, func(w *Response, _ *Request) { w.RedirectLocal(to) }, getAnything)
		wantContains(t, to, got, "HTTP/1.1 303 ", "Location: "+escapeLocation(to)+"\r\n")
	}
}

// FuzzRedirectLocal holds RedirectLocal to how net/url and browsers resolve a reference: it never leads to another host.
func FuzzRedirectLocal(f *testing.F) {
	for _, s := range []string{"/", "//b", `/\b`, "/%2Fb", "http://a.example/x", "/\t/b", "/a?//b"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "http", Host: "a.example", Path: "/here"}
	f.Fuzz(func(t *testing.T, to string) {
		if !isLocal(to) {
			return
		}
		browser := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(to)
		u, err := url.Parse(escapeLocation(browser))
		if err != nil {
			return // no client follows it
		}
		decoded, err := base.Parse(u.Path) // as a proxy would pass it on
		if err == nil && decoded.Host != base.Host {
			t.Errorf("%q leads to %v when it is decoded", to, decoded)
		}
		if at := base.ResolveReference(u); at.Host != base.Host || at.Scheme != base.Scheme || strings.HasPrefix(at.Path, "//") {
			t.Errorf("%q leads to %v", to, at)
		}
	})
}

// BenchmarkJSON sets w.JSON beside the same calls by hand.
func BenchmarkJSON(b *testing.B) {
	v := map[string]any{"message": "Hello, World!", "numbers": []int{1, 2, 3}, "nested": map[string]string{"a": "b"}}
	for name, h := range map[string]HandlerFunc{
		"JSON": func(w *Response, _ *Request) { w.JSON(200, v) },
		"by hand": func(w *Response, _ *Request) {
			p, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			w.SetHeader("Content-Type", "application/json")
			w.SetBody(p)
		},
	} {
		b.Run(name, func(b *testing.B) {
			p, m := inMemory(b, h)
			b.ReportAllocs()
			for b.Loop() {
				m.out.Reset()
				p.DataReceived([]byte(getAnything))
			}
		})
	}
}
