package server_test

// Whole connections: whatever a peer sends, and however it arrives, the server answers with well-formed HTTP or not at
// all, and alike; and it keeps nothing of it.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/parser"
	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"
)

func FuzzConnection(f *testing.F) {
	for _, bytes := range server.Conversations {
		f.Add([]byte(bytes), uint64(1))
	}
	f.Add([]byte("GET /later HTTP/1.1\r\nHost: a\r\n\r\n"+
		"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n"), uint64(2))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"), uint64(3))
	f.Add([]byte("HEAD https://a/ HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), uint64(4))
	f.Add([]byte("++++OST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nbc"), uint64(3))
	f.Add([]byte("0 /000000 HTTP/1.0\r\n\r\n0"), uint64(168)) // reset within the answer
	f.Add([]byte("ET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /ignored HTTP/1.1\r\nHost: a\r\n"), uint64(205))
	f.Fuzz(func(t *testing.T, sent []byte, seed uint64) {
		whole := hear(t, sim.New(seed, sim.Calm()), sent, true)
		whole.check(t)
		c := restless()
		c.MinBuffer = 4 << 10 // the fuzzer has better things to do than to wait for tiny ones
		split := hear(t, sim.New(seed, c), sent, false)
		split.check(t)
		whole.bytes, split.bytes = withoutContinue(whole.bytes), withoutContinue(split.bytes)
		if split.reset && speaksOn(sent) && bytes.HasPrefix(whole.bytes, split.bytes) {
			return // that comes of it when it comes too late
		}
		if !bytes.Equal(whole.bytes, split.bytes) || whole.reset != split.reset {
			t.Fatalf("whole, reset %v:\n%q\nsplit, reset %v:\n%q", whole.reset, whole.bytes, split.reset, split.bytes)
		}
	})
}

// withoutContinue leaves out what depends on the pieces: whether there was something to wait for when the head had come.
func withoutContinue(heard []byte) []byte {
	return bytes.ReplaceAll(heard, []byte("HTTP/1.1 100 Continue\r\n\r\n"), nil)
}

// speaksOn reports whether more is sent behind a request that asks for the end of the connection.
func speaksOn(sent []byte) bool {
	var p parser.Parser
	var h parser.Head
	for {
		ev, n, err := p.Next(sent, &h)
		sent = sent[n:]
		switch {
		case err != nil || ev == parser.NeedMore && n == 0:
			return false
		case ev == parser.EventEnd && !h.KeepAlive:
			return len(sent) > 0
		}
	}
}

// An outcome is what a peer has heard.
type outcome struct {
	bytes   []byte
	reset   bool
	methods []string // of the requests that the handler has seen
}

// dateLine is what differs between two runs.
var dateLine = regexp.MustCompile(`Date: [^\r]*`)

// hear sends bytes to a server and returns what comes back, until the end.
func hear(t *testing.T, w *sim.World, sent []byte, whole bool) outcome {
	var o outcome
	port := host(w, func(loop *reactor.Reactor) server.HandlerFunc {
		return func(rw *server.Response, r *server.Request) {
			o.methods = append(o.methods, r.Method())
			tell(loop, rw, r)
		}
	})
	w.Go("reader", func() {
		conn, err := w.Dial(port.Addr())
		if err != nil {
			w.Errorf("dial: %v", err)
			return
		}
		write := func() {
			_, err := conn.Write(sent)
			if err == nil {
				err = conn.CloseWrite()
			}
			if err != nil && !isReset(err) {
				w.Errorf("write: %v", err)
			}
		}
		if whole {
			write()
		} else {
			w.Go("writer", write)
		}
		o.bytes, err = io.ReadAll(conn)
		if o.reset = isReset(err); err != nil && !o.reset {
			w.Errorf("read: %v", err)
		}
		conn.Close()
		w.Sleep(5 * time.Minute)
		for _, d := range w.Descriptors() {
			if strings.HasSuffix(d, "stream") {
				w.Errorf("at rest descriptor %s is open", d)
			}
		}
	})
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	o.bytes = dateLine.ReplaceAllFunc(o.bytes, func(line []byte) []byte {
		return append([]byte("Date: "), bytes.Repeat([]byte("d"), len(line)-len("Date: "))...)
	})
	return o
}

func isReset(err error) bool {
	return slices.ContainsFunc([]error{syscall.ECONNRESET, syscall.EPIPE, syscall.ENOTCONN},
		func(reset error) bool { return errors.Is(err, reset) })
}

// tell answers with what the request was, in the way that its path names.
func tell(loop *reactor.Reactor, w *server.Response, r *server.Request) {
	text := fmt.Sprintf("%s %q %q", r.Method(), r.Target(), r.Body())
	for name, value := range r.Headers() {
		text += fmt.Sprintf(" %q=%q", name, value)
	}
	switch r.Path() {
	case "/later":
		p := w.Later()
		loop.CallLater(time.Millisecond, func() {
			_ = p.Answer(func(w *server.Response) { w.WriteString(text) }) // the peer may be gone
		})
	case "/stream":
		s := w.Stream()
		_, _ = s.WriteString(text)
		loop.CallLater(time.Millisecond, func() {
			_, _ = s.WriteString(", streamed") // the peer may be gone
			_ = s.Close()
		})
	case "/large":
		w.WriteString(text)
		w.WriteString(strings.Repeat("x", 100_000))
	default:
		w.WriteString(text)
	}
}

// check takes the bytes apart: an answer for each request in their order, and at most one more, which ends the
// connection.
func (o outcome) check(t *testing.T) {
	in := bufio.NewReader(bytes.NewReader(o.bytes))
	methods := o.methods
	last := false
	for {
		if _, err := in.Peek(1); err != nil {
			break
		}
		if last {
			t.Fatalf("something follows the last answer: %q", o.bytes)
		}
		method := "GET" // an answer that the handler has not given
		if len(methods) > 0 {
			method = methods[0]
		}
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			o.broken(t, err)
			return
		}
		switch {
		case res.StatusCode == 100:
			continue
		case res.StatusCode >= 400: // not the handler's; nobody knows whether it was asked by HEAD
			last = res.StatusCode != 421
			if next, _ := in.Peek(5); len(next) == 0 || string(next) == "HTTP/" {
				continue
			}
		case len(methods) == 0:
			t.Fatalf("an answer to no request: %q", o.bytes)
		default:
			methods = methods[1:]
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			o.broken(t, err)
			return
		}
		if res.StatusCode == 200 && method != "HEAD" && !bytes.HasPrefix(body, []byte(method+" ")) {
			t.Fatalf("an answer to somebody else's request, not to %s: %q", method, body)
		}
	}
	if len(methods) > 0 && !o.reset {
		t.Fatalf("%d requests have no answer: %q", len(methods), o.bytes)
	}
}

// broken is an answer that is not whole, which only a reset excuses.
func (o outcome) broken(t *testing.T, err error) {
	if !o.reset {
		t.Fatalf("%v in %q", err, o.bytes)
	}
}
