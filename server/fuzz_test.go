package server_test

// Whole connections: whatever a peer sends, and however it arrives, the server answers with well-formed HTTP or not at
// all, and alike; and it keeps nothing of it.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
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
	for _, path := range streamingPaths {
		f.Add([]byte("POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nHello there!GET / HTTP/1.1\r\nHost: a\r\n\r\n"), uint64(5))
		f.Add([]byte("POST "+path+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n7;a\r\n there!\r\n0\r\nT: 1\r\n\r\n"+
			"POST "+path+" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\nabc"), uint64(6))
		f.Add([]byte("POST "+path+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHelloXX"), uint64(7))
	}
	f.Add([]byte("T /pause HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\n\r\n"+ // its end comes between ResumeBody and what was kept
		"5\r\nHello\r\n7;-Lengre!\r\n0\r\nT: 1\r\n\r"), uint64(3))
	f.Add([]byte("T /bound HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+ // too large, and then malformed
		"5\r\nHello\r\n7;a ere!\r\n0\r\nT: 1\r\n\r\nPOST /bound HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"+
		"C\x86\x86\x86\x86\x86ontent-Length: 30\r\n\r\n"), uint64(76))
	f.Add([]byte("0 /both HTTP/1.0\r\nContent-Length:100\r\n\r\n"), uint64(3)) // reset after the head of the answer
	f.Add([]byte("0 /both HTTP/1.0\r\nContent-Length:1\r\n\r\n"), uint64(83))  // the same, when the content is on its way
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
		if n := min(len(whole.bytes), len(split.bytes)); whole.reset && split.reset && bytes.Equal(whole.bytes[:n], split.bytes[:n]) {
			return // a reset takes along what is under way
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
	cut     bool     // a handler has broken its answer off after the head
	methods []string // of the requests that the handler has seen
}

// dateLine is what differs between two runs.
var dateLine = regexp.MustCompile(`Date: [^\r]*`)

// hear sends bytes to a server and returns what comes back, until the end.
func hear(t *testing.T, w *sim.World, sent []byte, whole bool) outcome {
	var o outcome
	port := hostHandler(w, func(loop *reactor.Reactor) server.Handler {
		whole := server.HandlerFunc(func(rw *server.Response, r *server.Request) {
			o.methods = append(o.methods, r.Method())
			tell(loop, rw, r)
		})
		return server.Wrap(func(rw *server.Response, r *server.Request, next server.Handler) {
			if slices.Contains(streamingPaths, r.Path()) {
				next = server.StreamingFunc(func(rw *server.Response, r *server.Request) {
					o.tellStreaming(loop, rw, r)
				})
			}
			next.Serve(rw, r)
		})(whole)
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
			if err != nil && !isReset(err) && !errors.Is(err, net.ErrClosed) { // the server may end before all is sent, and the reader with it
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

// streamingPaths are those whose handlers take the body as it comes.
var streamingPaths = []string{"/body", "/pause", "/put-off", "/both", "/early", "/within", "/bound", "/break"}

// tellStreaming answers in the way that the path names. What it says does not depend on the pieces. An answer to a body
// that is not whole is the server's, but for one whose head has been sent: that is broken off.
func (o *outcome) tellStreaming(loop *reactor.Reactor, w *server.Response, r *server.Request) {
	method, path := r.Method(), r.Path()
	answered := func() { o.methods = append(o.methods, method) }
	n, sum := 0, uint32(0)
	var p *server.Pending
	var s *server.Stream
	switch path {
	case "/early":
		answered()
		fmt.Fprintf(w, "%s without its body", method)
		return
	case "/within":
		w.AnswerWithin(time.Hour, nil)
		r.ReadBody(0, func(w *server.Response, r *server.Request) {
			answered()
			fmt.Fprintf(w, "%s %q in time", method, r.Body())
		})
		return
	case "/bound":
		r.ReadBody(10, func(w *server.Response, r *server.Request) {
			answered()
			fmt.Fprintf(w, "%s %q, which is short", method, r.Body())
		})
		return
	case "/put-off":
		p = w.Later()
	case "/both":
		answered()
		s = w.Stream()
		fmt.Fprintf(s, "%s of a body: ", method)
	}
	r.OnBody(func(b []byte, err error) {
		n, sum = n+len(b), crc32.Update(sum, crc32.IEEETable, b)
		said := fmt.Sprintf("%s %d %x", method, n, sum)
		switch {
		case err == nil && path == "/pause":
			r.PauseBody()
			loop.CallLater(time.Millisecond, r.ResumeBody)
		case path == "/break" && n > 10:
			panic(server.ErrAbortHandler)
		case err == nil:
		case err != io.EOF && s != nil:
			o.cut = true
			panic(server.ErrAbortHandler)
		case s != nil:
			_, _ = s.WriteString(said) // the peer may be gone
			_ = s.Close()
		case p != nil:
			loop.CallLater(time.Millisecond, func() {
				_ = p.Answer(func(w *server.Response) {
					if err == io.EOF {
						answered()
						w.WriteString(said)
					}
				})
			})
		case err == io.EOF:
			answered()
			w.WriteString(said)
		}
	})
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
			last = res.Close // a bound that the announced length is above costs no connection, and 421 neither
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
		begins := []byte(method + " ")
		cut := o.reset && bytes.HasPrefix(begins, body) // a reset overtook what there was, of an answer without a length
		if res.StatusCode == 200 && method != "HEAD" && !bytes.HasPrefix(body, begins) && !cut {
			t.Fatalf("an answer to somebody else's request, not to %s: %q", method, body)
		}
	}
	if len(methods) > 0 && !o.reset {
		t.Fatalf("%d requests have no answer: %q", len(methods), o.bytes)
	}
}

// broken is an answer that is not whole, which only a reset excuses, or the handler.
func (o outcome) broken(t *testing.T, err error) {
	if !o.reset && (!o.cut || err != io.ErrUnexpectedEOF) {
		t.Fatalf("%v in %q", err, o.bytes)
	}
}
