package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// decodeCase is a document and what DecodeJSON makes of it.
func TestDecodeJSON(t *testing.T) {
	type inner struct{ N int }
	type target struct {
		Name  string
		Inner inner
		Any   any
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, c := range map[string]struct {
		kind, coding, body string
		options            []JSONOption
		status             int // 0: decoded
		detail             string
	}{
		"object":             {kind: "application/json", body: `{"name":"x","any":1}`},
		"with charset":       {kind: `application/json; charset="UTF-8"`, body: `{}`},
		"suffix":             {kind: "application/merge-patch+json", body: " {} \r\n"},
		"identity":           {kind: "application/json", coding: "identity", body: `{}`},
		"other charset":      {kind: "application/json; charset=latin1", body: `{}`, status: 415},
		"no type":            {body: `{}`, status: 415},
		"text":               {kind: "text/plain", body: `{}`, status: 415},
		"looks like a type":  {kind: "text/x+json", body: `{}`, status: 415},
		"coded":              {kind: "application/json", coding: "gzip", body: `{}`, status: 415},
		"empty":              {kind: "application/json", status: 400, detail: "line 1, column 1: unexpected end"},
		"cut":                {kind: "application/json", body: `{"name":`, status: 400, detail: "unexpected end"},
		"two":                {kind: "application/json", body: "{}\n {}", status: 400, detail: "line 2, column 2: "},
		"two, by decoder":    {kind: "application/json", body: "{}\n {}", options: []JSONOption{KeepNumbers()}, status: 400, detail: "line 2, column 2: something follows"},
		"malformed":          {kind: "application/json", body: "{\n  \"a\": x}", status: 400, detail: "line 2, column 8: invalid character 'x'"},
		"wrong type":         {kind: "application/json", body: `{"inner":{"n":"x"}}`, status: 400, detail: `"Inner.N": a string does not fit`},
		"unknown, allowed":   {kind: "application/json", body: `{"other":1}`},
		"unknown, refused":   {kind: "application/json", body: `{"other":1}`, options: []JSONOption{KnownFields()}, status: 400, detail: `unknown field "other"`},
		"no UTF-8":           {kind: "application/json", body: "{\"name\":\"\xff\"}", status: 400, detail: "UTF-8"},
		"as deep as allowed": {kind: "application/json", body: `{"any":` + deep(maxJSONDepth-1) + `}`},
		"too deep":           {kind: "application/json", body: `{"any":` + deep(maxJSONDepth) + `}`, status: 400, detail: "nested deeper than 100"},
		"deep in a string":   {kind: "application/json", body: `{"any":"\\\"` + strings.Repeat("[", 200) + `","name":"\\\\"}`},
		"too deep, quoted":   {kind: "application/json", body: `{"name":"\\\"[","any":` + deep(maxJSONDepth) + `}`, status: 400, detail: "nested deeper than 100"},
		"cut in a string":    {kind: "application/json", body: strings.Repeat("[", 90) + `"` + strings.Repeat("[", 90) + `\"`, status: 400, detail: "unexpected end"},
		"many, not deep":     {kind: "application/json", body: `{"any":[` + strings.Repeat(`{"[":1},`, 200) + `1]}`},
		"at the bound":       {kind: "application/json", body: `{"name":"` + strings.Repeat("x", 100-11) + `"}`, options: []JSONOption{JSONLimit(100)}},
		"beyond the bound":   {kind: "application/json", body: `{"name":"` + strings.Repeat("x", 100-10) + `"}`, options: []JSONOption{JSONLimit(100)}, status: 413},
		"default bound":      {kind: "application/json", body: `"` + strings.Repeat("x", 1<<20) + `"`, status: 413},
	} {
		t.Run(name, func(t *testing.T) {
			head := "POST / HTTP/1.1\r\nHost: a\r\n"
			if c.kind != "" {
				head += "Content-Type: " + c.kind + "\r\n"
			}
			if c.coding != "" {
				head += "Content-Encoding: " + c.coding + "\r\n"
			}
			var err error
			request := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(c.body), c.body)
			answerOf(t, func(_ *Response, r *Request) {
				var v target
				err = r.DecodeJSON(&v, c.options...)
			}, request)
			if c.status == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e, ok := errors.AsType[*StatusError](err)
			if !ok || e.Status != c.status || !strings.Contains(e.Detail, c.detail) {
				t.Errorf("got %v, want %d %q", err, c.status, c.detail)
			}
		})
	}
}

func TestDecodeJSONKeepsNumbers(t *testing.T) {
	const doc = `{"big":12345678901234567890,"small":1.10}`
	got := answerOf(t, func(w *Response, r *Request) {
		var v any
		if err := r.DecodeJSON(&v, KeepNumbers()); err != nil {
			t.Error(err)
		}
		w.JSON(200, v)
	}, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(doc), doc))
	wantContains(t, "answer", got, doc)
}

// Each way that an error can take through Try.
func TestTry(t *testing.T) {
	for name, c := range map[string]struct {
		err          error
		status, body string
		logged       string
	}{
		"of a status":        {fmt.Errorf("wrapped: %w", Fail(409, "taken")), "409 Conflict", `{"title":"Conflict","status":409,"detail":"taken"}`, ""},
		"of a body":          {fmt.Errorf("wrapped: %w", error(ErrBodyTooLarge)), "413 Content Too Large", `"detail":"body too large"`, ""},
		"of another package": {statusOf(418), "418 I'm a teapot", `"status":418`, ""},
		"of a Status":        {codeOf(451), "451 Unavailable", `"status":451`, ""},
		"secret":             {errors.New("the password is x"), "500 Internal Server Error", `{"title":"Internal Server Error","status":500}`, "the password is x"},
		"503":                {&StatusError{Status: 503, Detail: "secret"}, "503 Service Unavailable", `{"title":"Service Unavailable","status":503}`, "secret"},
		"no status":          {&StatusError{Status: 200}, "500 Internal Server Error", `"status":500`, "200 OK"},
		"peer gone":          {ErrPeerGone, "500 Internal Server Error", `"status":500`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			p, m := inMemory(t, nil, logTo(&log), func(s *Server) {
				s.Handler = Try(func(w *Response, _ *Request) error {
					w.SetHeader("X-Before", "kept") // as a middleware's
					w.SetHeader("ETag", `"gone"`)
					w.Text(200, "half")
					return c.err
				})
			})
			p.DataReceived([]byte(getAnything))
			got := m.out.String()
			wantContains(t, "answer", got, "HTTP/1.1 "+c.status, c.body, "X-Before: kept", "application/problem+json")
			if strings.Contains(got, "ETag") || strings.Contains(got, "secret") || strings.Contains(got, "password") {
				t.Errorf("the answer shows too much: %q", got)
			}
			if c.logged == "" && log.Len() > 0 || !strings.Contains(log.String(), c.logged) || strings.Count(log.String(), "\n") > 1 {
				t.Errorf("logged %q, want %q", log.String(), c.logged)
			}
		})
	}
}

type statusOf int

func (s statusOf) Error() string   { return "of another package" }
func (s statusOf) HTTPStatus() int { return int(s) }

type codeOf int

func (c codeOf) Error() string { return "of another package" }
func (c codeOf) Status() int   { return int(c) }

// A Stream that was closed is a whole answer, and an error that comes after it takes nothing away.
func TestTryAfterAWholeStream(t *testing.T) {
	for name, around := range map[string]Middleware{"on the loop": AtHead, "off the loop": Blocking} {
		log := new(syncBuffer)
		logger := Zerolog(zerolog.New(log))
		_, addr := start(t, nil, func(s *Server) {
			s.Log = logger
			s.Handler = around(Try(func(w *Response, _ *Request) error {
				_, _ = w.Stream().Write([]byte("whole"))
				w.Stream().Close()
				return errors.New("broken")
			}))
		})
		p := dial(t, addr)
		for range 2 {
			want(t, name, p.get("/"), "whole")
		}
		wantContains(t, "log", log.String(), "broken")
	}
}

// secretive is a type of a program whose errors are not for clients.
type secretive struct{}

func (*secretive) UnmarshalJSON([]byte) error { return errors.New("the key is x") }

func TestDecodeJSONErrors(t *testing.T) {
	for name, c := range map[string]struct {
		body    string
		v       any
		members string
	}{
		"syntax":    {"{\n \"a\": x}", new(any), "map[column:7 line:2 offset:8]"},
		"cut":       {"{", new(any), "map[column:2 line:1 offset:1]"},
		"after":     {"1 2", new(any), "map[column:3 line:1 offset:2]"},
		"type":      {`{"A":{"B":""}}`, new(struct{ A struct{ B int } }), "map[column:12 field:A.B line:1 offset:11]"},
		"UTF-8":     {"\"\xff", new(any), "map[column:2 line:1 offset:1]"},
		"a program": {"{}", new(secretive), "map[]"},
	} {
		answerOf(t, func(_ *Response, r *Request) {
			e, ok := errors.AsType[*StatusError](r.DecodeJSON(c.v))
			if !ok || e.Status != 400 || fmt.Sprint(e.Members) != c.members || strings.Contains(e.Detail, "key") {
				t.Errorf("%s: %+v, want %s", name, e, c.members)
			}
		}, post("application/json", c.body))
	}
}

// In a Blocking handler that streams, the document is read within its bound, and what is held of it counts for
// MaxBufferedBytes.
func TestDecodeJSONOfAStream(t *testing.T) {
	const size = 1 << 20 // much more than waits between loop and handler
	held := make(chan int64, 1)
	s, addr := start(t, nil, func(s *Server) {
		s.Handler = Blocking(Streaming(Try(func(w *Response, r *Request) error {
			var text string
			if err := r.DecodeJSON(&text, JSONLimit(size)); err != nil {
				return err
			}
			held <- r.conn.w.made.bytes.Load()
			w.Text(200, fmt.Sprint(len(text)))
			return nil
		})))
	})
	for _, extra := range []int{0, 1} {
		for _, chunked := range []bool{false, true} {
			doc := `"` + strings.Repeat("x", size-2+extra) + `"`
			request := post("application/json", doc)
			if chunked {
				request = fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"+
					"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(doc), doc)
			}
			p := dial(t, addr)
			p.send("%s", request)
			got := p.rest()
			if extra > 0 {
				wantContains(t, "beyond", got, "HTTP/1.1 413 ", `"detail":"the body is longer than 1048576 bytes"`)
				continue
			}
			wantContains(t, "at the bound", got, "HTTP/1.1 200 OK", fmt.Sprint("\r\n\r\n", size-2))
			if n := <-held; n < size {
				t.Errorf("%d bytes are counted of %d that are held", n, size)
			}
		}
	}
	await(t, "the count to be taken back", func() bool { return s.workers[0].made.bytes.Load() == 0 })
}

func TestTryBehindTheHead(t *testing.T) {
	var log bytes.Buffer
	p, m := inMemory(t, nil, logTo(&log), func(s *Server) {
		s.Handler = Try(func(w *Response, _ *Request) error {
			_, _ = w.Stream().Write([]byte("half"))
			return errors.New("broken")
		})
	})
	p.DataReceived([]byte(getAnything))
	want(t, "end", m.ended, "half-close ")
	wantContains(t, "log", log.String(), "broken")
}

func TestErrorHandler(t *testing.T) {
	p, m := inMemory(t, nil, func(s *Server) {
		s.Handler = Try(func(*Response, *Request) error { return errors.New("x") })
		s.ErrorHandler = func(w *Response, _ *Request, err error) { w.Text(502, "own: "+err.Error()) }
	})
	p.DataReceived([]byte(getAnything))
	wantContains(t, "answer", m.out.String(), "HTTP/1.1 502 ", "own: x")
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct{ accept, offers, want string }{
		{"", "application/json text/html", "application/json"},
		{"text/html", "application/json text/html", "text/html"},
		{"TEXT/*", "application/json text/html", "text/html"},
		{"*/*", "application/json text/html", "application/json"},
		{"text/html;q=0.5, application/json;q=0.4", "application/json text/html", "text/html"},
		{"text/*;q=0.9, text/html;q=0.1, */*;q=0.5", "text/html image/png", "image/png"},
		{"text/html;q=0", "text/html", ""},
		{"*/*;q=0.1, text/html;q=0", "text/html image/png", "image/png"},
		{"image/png", "text/html", ""},
		{"-", "text/html image/png", "text/html"},
		{"text/html; charset=UTF-8", "image/png text/html", "text/html"},
		{"text/html;charset=latin1", "text/html", ""},
		{"text/html;q=2, image/png;q=0.1", "text/html image/png", "image/png"},
		{`text/html;level="1", text/html;q=0.3`, "text/html text/html;level=1", "text/html;level=1"},
		{`text/x;p="a,b";q=0.9, image/png;q=0.5`, "image/png", "image/png"},
	} {
		var got string
		field := "Accept: " + c.accept + "\r\n"
		switch c.accept {
		case "":
			field = ""
		case "-":
			field = "Accept:\r\n"
		}
		answerOf(t, func(_ *Response, r *Request) { got = r.Accepts(strings.Fields(c.offers)...) }, "GET / HTTP/1.1\r\nHost: a\r\n"+field+"\r\n")
		want(t, "Accept: "+c.accept, got, c.want)
	}
}

func TestAcceptsEncoding(t *testing.T) {
	for _, c := range []struct{ accept, want string }{
		{"-", ""},
		{"", ""},
		{"gzip", "gzip"},
		{"gzip, br", "br"},
		{"GZIP;q=1.0, br;q=0.5", "gzip"},
		{"x-gzip", "gzip"},
		{"*", "br"},
		{"br;q=0, *", "gzip"},
		{"*;q=0", ""},
		{"gzip;q=0", ""},
		{"identity", ""},
		{"identity, gzip;q=0.5", ""},
		{"identity;q=0.5, gzip", "gzip"},
		{"gzip;q=0.001, identity;q=0", "gzip"},
		{"gzip;q=abc", ""},
		{"deflate\r\nAccept-Encoding: gzip", "gzip"},
	} {
		var got string
		field := "Accept-Encoding: " + c.accept + "\r\n"
		if c.accept == "-" {
			field = ""
		}
		answerOf(t, func(_ *Response, r *Request) { got = r.AcceptsEncoding("br", "gzip") }, "GET / HTTP/1.1\r\nHost: a\r\n"+field+"\r\n")
		want(t, "Accept-Encoding: "+c.accept, got, c.want)
	}
}

// BenchmarkDecodeJSON sets DecodeJSON beside the same call by hand, for a document whose brackets are counted and for one
// whose depth is looked at.
func BenchmarkDecodeJSON(b *testing.B) {
	type item struct {
		ID    int
		Name  string
		Tags  []string
		Price float64
	}
	for _, n := range []int{3, 300} {
		items := make([]item, n)
		for i := range items {
			items[i] = item{i, "a name of some length", []string{"a", "b"}, 1.5}
		}
		doc, _ := json.Marshal(items)
		request := []byte(post("application/json", string(doc)))
		request = bytes.Replace(request, []byte("Connection: close\r\n"), nil, 1)
		for name, decode := range map[string]func(r *Request, v any) error{
			"DecodeJSON": func(r *Request, v any) error { return r.DecodeJSON(v) },
			"by hand":    func(r *Request, v any) error { return json.Unmarshal(r.PeekBody(), v) },
		} {
			b.Run(fmt.Sprintf("%d bytes/%s", len(doc), name), func(b *testing.B) {
				p, m := inMemory(b, func(w *Response, r *Request) {
					var v []item
					if err := decode(r, &v); err != nil {
						b.Error(err)
					}
				})
				b.ReportAllocs()
				for b.Loop() {
					m.out.Reset()
					p.DataReceived(request)
				}
			})
		}
	}
}

// The depth of a document is what one sees who looks at each byte.
func FuzzJSONDepth(f *testing.F) {
	for _, s := range []string{`[[["[[["]]]`, `{"\\":[[`, `{"\"":[[[`, `"\\\"[[[["`, `[[[[`, `"`, `[]]]]][[[[`, `"[[[\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, depth, quoted := -1, 0, false
		for i := 0; i < len(s) && want < 0; i++ {
			switch c := s[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{', c == '[':
				if depth++; depth > 3 {
					want = i
				}
			case c == '}', c == ']':
				depth--
			}
		}
		if got := tooDeep([]byte(s), 3); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	})
}
