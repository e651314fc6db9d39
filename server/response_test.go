package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// answerTo serves one request in memory and returns the bytes of the answer.
func answerTo(t *testing.T, request string, h HandlerFunc) string {
	t.Helper()
	p, m := inMemory(t, h)
	p.DataReceived([]byte(request))
	return undated(m.out.String())
}

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func TestNoHandlerMakesAMalformedAnswer(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"X", "a\r\nEvil: yes"},
		{"X", "a\nb"},
		{"X", "a\rb"},
		{"X", "a\x00b"},
		{"X", "a\x7fb"},
		{"X", " a"},
		{"X", "a\t"},
		{"", "a"},
		{"A B", "a"},
		{"A:", "a"},
		{"Ä", "a"},
		{"X\r\nEvil", "a"},
		{"Transfer-Encoding", "chunked"},
		{"transfer-encoding", "gzip"},
		{"Content-Length", "-1"},
		{"Content-Length", "1, 2"},
		{"Content-Length", "99999999999999999999"},
	} {
		got := answerTo(t, plainGet, func(w *Response, r *Request) {
			for _, set := range []func(string, string){w.SetHeader, w.AddHeader} {
				if panicked := panics(func() { set(c.name, c.value) }); panicked == ValidFieldName(c.name) {
					t.Errorf("%q: panicked: %v", c.name, panicked)
				}
			}
		})
		want(t, c.name, got, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// A value that is dropped leaves what was set before, and is not in the log: it may be a secret.
func TestDroppedFields(t *testing.T) {
	var out strings.Builder
	logger := Zerolog(zerolog.New(&out))
	p, m := inMemory(t, func(w *Response, r *Request) {
		r.SetMatch("/x", nil, nil)
		w.SetHeader("A", "1")
		w.SetHeader("A", "secret\n")
		w.AddHeader("A", "\x7fsecret")
		w.AddHeader("A", "2")
		if ValidFieldValue("secret\n") || !ValidFieldValue("a\tb \xe4") || ValidFieldName("a\n") || !ValidFieldName("a") {
			t.Error("what is told beforehand is not what is done")
		}
	}, func(s *Server) { s.Log = logger })
	p.DataReceived([]byte(plainGet))
	want(t, "answer", undated(m.out.String()), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: 1\r\nA: 2\r\n\r\n")
	line := `{"level":"warn","pattern":"/x","field":"A",` +
		`"message":"invalid response field dropped: its value holds what none may: controls, or white space around it"}` + "\n"
	want(t, "log", out.String(), line+line)
}

func TestFieldsOfTheAnswer(t *testing.T) {
	got := answerTo(t, plainGet, func(w *Response, r *Request) {
		w.SetHeader("A", "1")
		w.AddHeader("B", "2")
		w.AddHeader("b", "3")
		w.SetHeader("a", "obs \xe4 text")
		w.AddHeader("C", "")
		w.SetHeader("Connection", "Keep-Alive")
		w.SetHeader("Content-Length", "99") // the server counts
		want(t, "Header", w.Header("B")+w.Header("none"), "2")
		var all []string
		for n, v := range w.Headers() {
			all = append(all, n+":"+v)
		}
		want(t, "Headers", strings.Join(all, "|"), "B:2|b:3|a:obs \xe4 text|C:")
		w.WriteString("x")
	})
	want(t, "answer", got, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nB: 2\r\nb: 3\r\na: obs \xe4 text\r\nC: \r\n\r\nx")

	got = answerTo(t, plainGet, func(w *Response, r *Request) {
		w.AddHeader("B", "2")
		w.AddHeader("C", "3")
		w.AddHeader("b", "4")
		w.DelHeader("B")
		w.SetHeader("Date", "never")
		w.SetHeader("Connection", "close")
	})
	want(t, "answer", got, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nC: 3\r\n"+"\r\n") // its own Date line was removed by undated
}

func TestLogMisuse(t *testing.T) {
	var out strings.Builder
	logger := Zerolog(zerolog.New(&out))
	p, _ := inMemory(t, func(w *Response, r *Request) {
		r.SetMatch("/x", nil, nil)
		w.LogMisuse("so not")
	}, func(s *Server) { s.Log = logger })
	p.DataReceived([]byte(plainGet))
	want(t, "log", out.String(), `{"level":"warn","pattern":"/x","message":"so not"}`+"\n")
}

// What a handler says of the connection is what becomes of it, and there is one Date.
func TestConnectionAndDateOfTheAnswer(t *testing.T) {
	for value, connection := range map[string]string{
		"close":              "Connection: close\r\n",
		"Close ,":            "Connection: close\r\n",
		"keep-alive":         "",
		"keep-alive, close":  "Connection: close\r\n",
		"upgrade":            "Connection: upgrade\r\n",
		"upgrade, close":     "Connection: close\r\nConnection: upgrade, close\r\n",
		"upgrade,keep-alive": "Connection: upgrade,keep-alive\r\n",
	} {
		p, m := inMemory(t, func(w *Response, r *Request) {
			w.AddHeader("Connection", value)
			w.AddHeader("Date", "a")
			w.AddHeader("date", "b")
		})
		p.DataReceived([]byte(plainGet))
		want(t, value, m.out.String(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+connection+"date: b\r\n\r\n")
		if closes := strings.Contains(value, "lose"); closes != (m.ended != "") {
			t.Errorf("%q: ended %q", value, m.ended)
		}
	}
	got := answerTo(t, plainGet, func(w *Response, r *Request) {
		w.SetHeader("Date", "a")
		w.SetHeader("Date", "b")
		w.DelHeader("date")
	})
	want(t, "without one of its own", got, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

// The fields that are not simply lines are set anew, and taken back, as others are.
func TestSpecialFieldsAreReplacedAndDeleted(t *testing.T) {
	for _, c := range []struct {
		fill HandlerFunc
		want string
	}{
		{func(w *Response, _ *Request) { w.SetHeader("Connection", "close"); w.DelHeader("connection") }, "Content-Length: 0\r\n"},
		{func(w *Response, _ *Request) {
			w.SetHeader("Connection", "close")
			w.SetHeader("Connection", "Upgrade")
		}, "Content-Length: 0\r\nConnection: Upgrade\r\n"},
		{func(w *Response, _ *Request) {
			w.SetHeader("Connection", "Upgrade")
			w.SetHeader("Connection", "close")
		}, "Content-Length: 0\r\nConnection: close\r\n"},
		{func(w *Response, _ *Request) {
			w.SetHeader("Connection", "X")
			w.SetHeader("Connection", "Upgrade, close")
		}, "Content-Length: 0\r\nConnection: close\r\nConnection: Upgrade, close\r\n"},
		{func(w *Response, _ *Request) {
			w.AddHeader("Connection", "close")
			w.AddHeader("Connection", "Upgrade")
		}, "Content-Length: 0\r\nConnection: close\r\nConnection: Upgrade\r\n"},
		{func(w *Response, _ *Request) {
			w.SetHeader("Content-Length", "7")
			w.DelHeader("content-length") // as a middleware does that changes the content
			w.Stream().Close()
		}, "Transfer-Encoding: chunked\r\n\r\n0\r\n"},
	} {
		want(t, "answer", answerTo(t, plainGet, c.fill), "HTTP/1.1 200 OK\r\n"+c.want+"\r\n")
	}
}

func TestFramingFollowsStatusAndMethod(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		length string // declared by the handler
		body   string
		want   string
	}{
		{"GET", 200, "", "abc", "200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{"GET", 599, "", "abc", "599 \r\nContent-Length: 3\r\n\r\nabc"},
		{"GET", 204, "", "abc", "204 No Content\r\n\r\n"},
		{"GET", 205, "", "abc", "205 Reset Content\r\nContent-Length: 0\r\n\r\n"},
		{"GET", 304, "", "abc", "304 Not Modified\r\n\r\n"},
		{"GET", 304, "7", "", "304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
		{"HEAD", 200, "", "abc", "200 OK\r\nContent-Length: 3\r\n\r\n"},
		{"HEAD", 200, "7", "", "200 OK\r\nContent-Length: 7\r\n\r\n"},
		{"HEAD", 200, "0", "", "200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"HEAD", 200, "", "", "200 OK\r\n\r\n"}, // the handler may have left out what GET would have
		{"HEAD", 204, "", "", "204 No Content\r\n\r\n"},
		{"HEAD", 205, "", "", "205 Reset Content\r\nContent-Length: 0\r\n\r\n"},
	} {
		got := answerTo(t, c.method+" / HTTP/1.1\r\nHost: a\r\n\r\n", func(w *Response, r *Request) {
			w.SetStatus(c.status)
			if c.length != "" {
				w.SetHeader("Content-Length", c.length)
			}
			w.WriteString(c.body)
		})
		want(t, fmt.Sprint(c.method, c.status), got, "HTTP/1.1 "+c.want)
	}
}

func TestBodies(t *testing.T) {
	large := strings.Repeat("0123456789", 10_000)
	for name, h := range map[string]HandlerFunc{
		"Write":               func(w *Response, r *Request) { w.Write([]byte(large)) },
		"SetBody":             func(w *Response, r *Request) { w.WriteString("x"); w.SetBody([]byte(large)) },
		"SetBody, then Write": func(w *Response, r *Request) { w.SetBody([]byte(large[:9])); w.WriteString(large[9:]) },
		"Reset": func(w *Response, r *Request) {
			w.SetStatus(500)
			w.SetHeader("A", "b")
			w.Error(400)
			w.Reset()
			w.WriteString(large)
		},
	} {
		want(t, name, answerTo(t, plainGet, h), "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+large)
	}
	want(t, "Error", answerTo(t, plainGet, func(w *Response, r *Request) {
		w.SetHeader("ETag", `"x"`)
		w.WriteString("half")
		w.Error(503)
	}), "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 20\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nService Unavailable\n")
}

func TestInvalidStatusPanics(t *testing.T) {
	for _, status := range []int{0, 99, 100, 199, 600} {
		answerTo(t, plainGet, func(w *Response, r *Request) {
			defer func() {
				if recover() == nil {
					t.Errorf("SetStatus(%d) did not panic", status)
				}
			}()
			w.SetStatus(status)
		})
	}
}
