package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// choosy refuses by the head all that is not for /take.
var choosy = Wrap(func(w *Response, r *Request, next Handler) {
	w.SetHeader("X-Seen", r.Header("Content-Length"))
	switch r.Path() {
	case "/take":
		next.Serve(w, r)
	case "/panic":
		panic("at the head")
	case "/mended":
		w.OnPanic(func(w *Response, r *Request, v any, stack []byte) { w.Error(500) })
		panic("mended")
	default:
		w.Error(401)
		w.SetHeader("WWW-Authenticate", "Basic")
	}
})

// A body that is refused by its head is refused before 100 is sent, and what the peer sends
// all the same is not taken for a request.
func TestRefusedByTheHead(t *testing.T) {
	_, addr := start(t, nil, func(s *Server) { s.Handler = choosy(HandlerFunc(echo)) })
	for path, status := range map[string]int{"/take": 200, "/refuse": 401, "/mended": 500} {
		for _, framing := range []string{"Content-Length: 27", "Transfer-Encoding: chunked", "Content-Length: 27\r\nConnection: close"} {
			p := dial(t, addr)
			p.send("POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n%s\r\n\r\n", path, framing)
			line, err := p.r.Peek(12)
			if err != nil {
				t.Fatal(err)
			}
			if first := "HTTP/1.1 " + map[bool]string{true: "100", false: fmt.Sprint(status)}[path == "/take"]; string(line) != first {
				t.Errorf("%s: begins with %q, want %q", path, line, first)
			}
			if path == "/take" {
				p.r.ReadString('\n')
				p.r.ReadString('\n')
			}
			if strings.HasPrefix(framing, "Content") {
				p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			} else {
				p.send("1b\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n")
			}
			res, body := p.answer("POST")
			if res.StatusCode != status {
				t.Errorf("%s: status %d, want %d", path, res.StatusCode, status)
			}
			if path == "/take" {
				wantContains(t, "the body", body, `"GET / HTTP/1.1\r\nHost: a\r\n\r\n"`)
				continue
			}
			if !res.Close {
				t.Errorf("%s: the connection is kept, though the body may come or not", path)
			}
			p.CloseWrite()
			want(t, "behind it", p.rest(), "")
		}
	}
	p := dial(t, addr)
	p.send("POST /panic HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	want(t, "/panic", p.rest(), "")
}

// What is left of a body whose answer was given by the head is drained, if its length is known and at most 256 KiB.
// Otherwise the answer says that the connection ends. It does not depend on what has come with the head.
func TestRestOfABody(t *testing.T) {
	const get = "GET /refuse HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		name, fields, body string
		keeps              bool
	}{
		{"short", "Content-Length: 5\r\n", "hello", true},
		{"at the bound", fmt.Sprintf("Content-Length: %d\r\n", maxDrained), strings.Repeat("x", maxDrained), true},
		{"above the bound", fmt.Sprintf("Content-Length: %d\r\n", maxDrained+1), strings.Repeat("x", maxDrained+1), false},
		{"chunked", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", false},
		{"awaited", "Expect: 100-continue\r\nContent-Length: 5\r\n", "hello", false},
	} {
		head := "POST /refuse HTTP/1.1\r\nHost: a\r\n" + c.fields + "\r\n"
		for how, cuts := range map[string][]string{
			"whole":                {head + c.body + get},
			"split after the head": {head, c.body + get},
			"in three":             {head + c.body[:2], c.body[2:], get},
		} {
			p, m := inMemory(t, nil, func(s *Server) { s.Handler = choosy(HandlerFunc(echo)) })
			for _, piece := range cuts {
				p.DataReceived([]byte(piece))
			}
			answers := strings.Count(m.out.String(), "HTTP/1.1 401 ")
			closes := strings.Contains(m.out.String(), "Connection: close\r\n")
			if c.keeps && (answers != 2 || closes || m.ended != "") || !c.keeps && (answers != 1 || !closes || m.ended != "half-close ") {
				t.Errorf("%s, %s: %d answers, closes %v, %q", c.name, how, answers, closes, m.ended)
			}
		}
	}
}

// A context that a handler at the head has asked for ends also when the body never comes.
func TestContextAtTheHead(t *testing.T) {
	contexts := make(chan context.Context, 1)
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
			contexts <- r.Context()
			next.Serve(w, r)
		})(HandlerFunc(echo))
	})
	for what, end := range map[string]func(*peer){
		"gone":    func(p *peer) { p.Close() },
		"refused": func(p *peer) { p.send("no chunk\r\n") },
		"served":  func(p *peer) { p.send("0\r\n\r\n") },
	} {
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
		ctx := <-contexts
		if ctx.Err() != nil {
			t.Errorf("%s: over before the body", what)
		}
		end(p)
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			t.Errorf("%s: the context does not end", what)
		}
	}
}

func TestTheHeadIsSeenWhateverItsPieces(t *testing.T) {
	const head = "POST /refuse HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"
	for cut := range head {
		p, m := inMemory(t, nil, func(s *Server) { s.Handler = choosy(HandlerFunc(echo)) })
		p.DataReceived([]byte(head[:cut]))
		p.DataReceived([]byte(head[cut:]))
		p.DataReceived([]byte("GET / HTTP/1.1\r\n\r\n"))
		wantContains(t, fmt.Sprint("cut at ", cut), m.out.String(), "HTTP/1.1 401 ", "X-Seen: 7\r\n", "Connection: close\r\n")
		if strings.Count(m.out.String(), "HTTP/1.1") != 1 || m.ended != "half-close " {
			t.Errorf("cut at %d: %q, %s", cut, m.out.String(), m.ended)
		}
	}
}

func TestMisdirectedIsRefusedByItsHead(t *testing.T) {
	p, m := inMemory(t, echo)
	p.DataReceived([]byte("POST https://a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"))
	if !strings.HasPrefix(m.out.String(), "HTTP/1.1 421 ") {
		t.Errorf("%q", m.out.String())
	}
}

// hints sends an interim response by the way that the path names, and then the answer.
func hints(w *Response, r *Request) {
	link := Field{"Link", "</a.css>; rel=preload"}
	switch r.Path() {
	case "/later":
		p := w.Later()
		go func() {
			p.Interim(103, link)
			p.Answer(func(w *Response) {
				w.WriteString("done")
				w.Interim(102)
			})
		}()
	case "/blocking":
		BlockingFunc(func(w *Response, r *Request) {
			w.Interim(103, link)
			w.Interim(102)
			w.WriteString("done")
		}).Serve(w, r)
	case "/stream":
		w.Interim(103, link)
		w.Interim(102)
		s := w.Stream()
		w.Interim(103) // too late
		s.WriteString("done")
		s.Close()
	default:
		w.Interim(103, link)
		w.Interim(102)
		w.WriteString("done")
	}
}

func TestInterim(t *testing.T) {
	_, addr := start(t, hints)
	for _, path := range []string{"/", "/later", "/blocking", "/stream"} {
		p := dial(t, addr)
		p.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\nHEAD %[1]s HTTP/1.1\r\nHost: a\r\n\r\nGET %[1]s HTTP/1.0\r\n\r\n", path)
		for _, method := range []string{"GET", "HEAD"} {
			res, _ := p.answer(method)
			if res.StatusCode != 103 || res.Header.Get("Link") != "</a.css>; rel=preload" || len(res.Header) != 1 {
				t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
			}
			if res, _ = p.answer(method); res.StatusCode != 102 {
				t.Errorf("%s: %d, want 102", path, res.StatusCode)
			}
			res, body := p.answer(method)
			if res.StatusCode != 200 || res.Header.Get("Link") != "" || body != map[string]string{"GET": "done"}[method] {
				t.Errorf("%s: %d %v %q", path, res.StatusCode, res.Header, body)
			}
		}
		got := p.rest()
		if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: HTTP/1.0 got %q", path, got)
		}
	}
}

// A late interim response does not get into the next exchange.
func TestInterimAfterTheAnswer(t *testing.T) {
	pending := make(chan *Pending, 1)
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/later" {
			pending <- w.Later()
		}
	})
	p := dial(t, addr)
	p.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
	late := <-pending
	late.Answer(func(w *Response) {})
	late.Interim(103)
	if res, _ := p.answer("GET"); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	p.get("/")
}

func TestInterimMisuse(t *testing.T) {
	for _, f := range []Field{
		{"X", "a\r\nb"},
		{"X", "\x00"},
		{"Content-Length", "1"},
		{"transfer-encoding", "chunked"},
		{"Connection", "close"},
	} {
		got := answerTo(t, plainGet, func(w *Response, r *Request) { w.Interim(103, f, Field{"A", "b"}) })
		want(t, "with "+f.Name, got, "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	got := answerTo(t, plainGet, func(w *Response, r *Request) {
		for _, status := range []int{0, 100, 101, 200} {
			if !panics(func() { w.Interim(status) }) {
				t.Errorf("Interim(%d) did not panic", status)
			}
		}
		for _, name := range []string{"", "a b"} {
			if !panics(func() { w.Interim(103, Field{"A", "b"}, Field{name, "c"}) }) {
				t.Errorf("Interim with a field %q did not panic", name)
			}
		}
	})
	want(t, "answer", got, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

func summed(w *Response, r *Request) {
	w.SetHeader("Trailer", "Sum")
	if n := r.Header("X-Length"); n != "" {
		w.SetHeader("Content-Length", n)
	}
	s := w.Stream()
	s.WriteString("abc")
	for _, name := range []string{"Content-Length", "transfer-encoding", "Host", "Set-Cookie", "trailer", "Content-Type"} {
		s.AddTrailer(name, "1")
	}
	for _, name := range []string{"a b", ""} {
		if !panics(func() { s.AddTrailer(name, "1") }) {
			panic(name + " is taken for a name")
		}
	}
	s.AddTrailer("Sum", "9\r\nEvil: 1")
	s.AddTrailer("Sum", "9")
	s.AddTrailer("Sum", "10")
	s.AddTrailerUnasked("Always", "1")
	s.Close()
	s.AddTrailer("Sum", "11")
}

func TestTrailersOfAnAnswer(t *testing.T) {
	for name, h := range map[string]Handler{"on the loop": HandlerFunc(summed), "off the loop": BlockingFunc(summed)} {
		_, addr := start(t, h.Serve)
		for _, c := range []struct {
			request string
			trailer []string
			body    string
			always  string // the field that is sent unasked
		}{
			{"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", []string{"9", "10"}, "abc", "1"},
			{"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=1, Trailers\r\n\r\n", []string{"9", "10"}, "abc", "1"},
			{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", nil, "abc", "1"},
			{"GET / HTTP/1.1\r\nHost: a\r\nTE: trailersx\r\n\r\n", nil, "abc", "1"},
			{"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nX-Length: 3\r\n\r\n", nil, "abc", ""},
			{"HEAD / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", nil, "", ""},
			{"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n", nil, "abc", ""},
		} {
			p := dial(t, addr)
			p.send("%s", c.request)
			method, _, _ := strings.Cut(c.request, " ")
			res, err := http.ReadResponse(p.r, &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := res.Trailer["Sum"]; fmt.Sprint(got) != fmt.Sprint(c.trailer) || res.Trailer.Get("Always") != c.always || string(body) != c.body {
				t.Errorf("%s, %q: trailer %q of %q, body %q", name, c.request, got, res.Trailer, body)
			}
			if !strings.Contains(c.request, "1.0") {
				p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				p.answer("GET")
			}
		}
	}
}

// 205 has no content, whatever was declared.
func TestStreamOf205(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		w.SetStatus(205)
		w.SetHeader("Content-Length", "5")
		s := w.Stream()
		s.WriteString("hello")
		s.Close()
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	want(t, "answer", undated(p.rest()), "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
