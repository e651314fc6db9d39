package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ask serves one request in memory and returns what h made of it.
func ask(t *testing.T, request string, h func(r *Request) string) string {
	t.Helper()
	got := "the handler was not called"
	p, m := inMemory(t, func(w *Response, r *Request) { got = h(r) })
	p.DataReceived([]byte(request))
	if !strings.HasPrefix(m.out.String(), "HTTP/1.1 200 ") {
		t.Fatalf("%q was answered with %q", request, m.out.String())
	}
	return got
}

func TestRequestLine(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"GET / HTTP/1.1", "GET / / ''  a 1"},
		{"GET /a%20b?x=1 HTTP/1.1", "GET /a%20b?x=1 /a b '/a%20b' x=1 a 1"},
		{"GET http://b:8/p?q HTTP/1.1", "GET http://b:8/p?q /p '/p' q b:8 1"},
		{"GET http://b HTTP/1.1", "GET http://b / '/'  b 1"},
		{"OPTIONS http://b HTTP/1.1", "OPTIONS http://b * '*'  b 1"},
		{"OPTIONS http://b?q HTTP/1.1", "OPTIONS http://b?q / '/' q b 1"},
		{"OPTIONS http://b? HTTP/1.1", "OPTIONS http://b? / '/'  b 1"},
		{"OPTIONS * HTTP/1.1", "OPTIONS * * '*'  a 1"},
		{"BREW /pot HTTP/1.0", "BREW /pot /pot '/pot'  a 0"},
		{"PATCH /? HTTP/1.9", "PATCH /? / '/'  a 1"},
	} {
		got := ask(t, c.line+"\r\nHost: a\r\n\r\n", func(r *Request) string {
			return fmt.Sprintf("%s %s %s '%s' %s %s %d", r.Method(), r.Target(), r.Path(), r.PeekEscapedPath(), r.RawQuery(), r.Host(), r.ProtoMinor())
		})
		want(t, c.line, got, strings.Replace(c.want, "''", "'/'", 1))
	}
}

func TestQuery(t *testing.T) {
	for query, expected := range map[string]string{
		"":               "",
		"a=1&b=2&a=3":    "a=1 b=2 a=3",
		"a&=b&&c=":       "a= =b c=",
		"a+b=c+d%2Be%26": "a b=c d+e&",
		"%E2%82%AC=%41":  "€=A",
		"v=%0D%0A":       "v=\r\n",
		"filter[a]=1":    "filter[a]=1",
	} {
		got := ask(t, "GET /?"+query+" HTTP/1.1\r\nHost: a\r\n\r\n", func(r *Request) string {
			var all []string
			for n, v := range r.Query() {
				all = append(all, n+"="+v)
			}
			if first := r.QueryValue("a"); strings.HasPrefix(query, "a=1") && first != "1" {
				t.Errorf("QueryValue: %q", first)
			}
			return strings.Join(all, " ")
		})
		want(t, query, got, expected)
	}
}

func TestFields(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\nx-One:  1 \r\nX-ONE: 2\r\nEmpty:\r\n\r\n"
	got := ask(t, request, func(r *Request) string {
		var all []string
		for n, v := range r.Headers() {
			all = append(all, n+":"+v)
		}
		return fmt.Sprintf("%s %s %q %q %v", strings.Join(all, "|"), r.Header("X-one"), r.Header("none"), r.PeekHeader("empty"), r.PeekHeader("none") == nil)
	})
	want(t, "fields", got, `Host:a|x-One:1|X-ONE:2|Empty: 1 "" "" true`)
}

func TestTrailers(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 9\r\nHost: evil\r\n\r\n"
	got := ask(t, request, func(r *Request) string {
		var all []string
		for n, v := range r.Trailers() {
			all = append(all, n+":"+v)
		}
		return fmt.Sprintf("%s %s %s %q %s", r.PeekBody(), r.Trailer("sum"), r.Host(), r.Header("Sum"), strings.Join(all, "|"))
	})
	want(t, "trailers", got, `hi 9 a "" Sum:9|Host:evil`)
}

func TestPathValues(t *testing.T) {
	const path = "/u/a%2Fb/c"
	got := ask(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n", func(r *Request) string {
		r.SetMatch("/u/{x}/{y}", []string{"x", "y"}, []Span{{Off: 3, Len: 5}, {Off: 9, Len: 1}})
		var all []string
		for n, v := range r.PathValues() {
			all = append(all, n+":"+v)
		}
		return r.Pattern() + " " + r.PathValue("x") + " " + r.PathValue("y") + " " + r.PathValue("z") + " " + strings.Join(all, "|")
	})
	want(t, "path values", got, "/u/{x}/{y} a/b c  x:a/b|y:c")
}

// The kernel is asked for our address on the loop alone: elsewhere the descriptor may be another's by now.
func TestLocalAddr(t *testing.T) {
	show := func(w *Response, r *Request) { w.WriteString(r.LocalAddr().String()) }
	off := BlockingFunc(show)
	_, addr := start(t, func(w *Response, r *Request) {
		switch r.Path() {
		case "/off":
			off.Serve(w, r)
		case "/later":
			p := w.Later()
			go p.Answer(func(w *Response) { show(w, p.Request()) })
		default:
			show(w, r)
		}
	})
	for path, expected := range map[string]string{
		"/on": addr.String(), "/off": "invalid AddrPort", "/later": "invalid AddrPort",
	} {
		want(t, path, dial(t, addr).get(path), expected)
	}
}

// What a handler keeps stays as it was, whatever the buffers are used for later.
func TestWhatIsReturnedIsKept(t *testing.T) {
	var kept []string
	var bodies [][]byte
	p, _ := inMemory(t, func(w *Response, r *Request) {
		kept = append(kept, r.Path(), r.Header("X"), r.Host(), r.Method())
		bodies = append(bodies, r.Body())
	})
	for i := range 20 {
		request := fmt.Sprintf("POST /%[1]d HTTP/1.1\r\nHost: h%[1]d\r\nX: %[2]s\r\nContent-Length: 4\r\n\r\n%04[1]d", i, strings.Repeat("x", 100*i)+fmt.Sprint(i))
		cut := (i * 37) % len(request)
		for _, piece := range []string{request[:cut], request[cut:]} {
			lent := []byte(piece)
			p.DataReceived(lent)
			clear(lent)
		}
	}
	for i := range 20 {
		x := strings.Repeat("x", 100*i) + fmt.Sprint(i)
		if got, expected := kept[4*i:4*i+4], []string{fmt.Sprintf("/%d", i), x, fmt.Sprintf("h%d", i), "POST"}; !slices.Equal(got, expected) {
			t.Errorf("request %d became %q", i, got)
		}
		want(t, "body", string(bodies[i]), fmt.Sprintf("%04d", i))
	}
}

var timesKey = NewConnKey[int]("times")

// A value of a ConnKey goes from one request of a connection to the next, and to no other connection.
func TestConnKey(t *testing.T) {
	otherKey := NewConnKey[any]("other")
	s, addr := start(t, func(w *Response, r *Request) {
		n := timesKey.Get(r) + 1
		timesKey.Set(r, n)
		otherKey.Set(r, nil)
		BlockingFunc(func(w *Response, r *Request) {
			fmt.Fprint(w, n, panics(func() { timesKey.Get(r) }), panics(func() { timesKey.Set(r, 0) }))
		}).Serve(w, r)
	})
	for range 2 {
		p := dial(t, addr)
		for i := range 3 {
			want(t, timesKey.String(), p.get("/"), fmt.Sprint(i+1, true, true))
		}
		p.Close()
	}
	await(t, "the connections to end", func() bool { return s.doors.open.Load() == 0 })
	held := make(chan int)
	s.workers[0].loop.CallFromThread(func() { held <- len(s.workers[0].connValues) })
	if n := <-held; n != 0 {
		t.Errorf("values of %d connections are held", n)
	}
}
