package nethttp_test

// How the body of a request crosses to a handler of ours.

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// supply is a body that counts what is read of it. It never waits.
type supply struct {
	left int64
	read atomic.Int64
}

func (s *supply) Read(p []byte) (int, error) {
	n := min(s.left, int64(len(p)))
	if s.left -= n; n == 0 {
		return 0, io.EOF
	}
	s.read.Add(n)
	return int(n), nil
}

// post asks h, by httptest, with a body that is chunked.
func post(h http.Handler, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = -1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestToReadsNoBodyUnasked holds that the body is not read before a handler asks for it.
func TestToReadsNoBodyUnasked(t *testing.T) {
	leavesNothing(t)
	for name, h := range map[string]server.Handler{
		"later": server.StreamingFunc(func(w *server.Response, r *server.Request) {
			p := w.Later()
			r.Reactor().CallLater(time.Millisecond, func() { p.Answer(func(w *server.Response) { w.WriteString("done") }) })
		}),
		"blocking": server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
			w.Stream().WriteString("done")
		})),
		"at once": server.StreamingFunc(func(w *server.Response, r *server.Request) { w.WriteString("done") }),
	} {
		body := &supply{left: 1 << 30}
		w := post(nethttp.To(h), body)
		if w.Code != 200 || w.Body.String() != "done" || body.read.Load() != 0 {
			t.Errorf("%s: %d %q, %d bytes read", name, w.Code, w.Body, body.read.Load())
		}
	}
}

// TestToPausesTheBody holds that a body is read no further than its handler takes it, and whole when it takes all.
func TestToPausesTheBody(t *testing.T) {
	leavesNothing(t)
	const all, ahead = 4 << 20, 256 << 10
	body := &supply{left: all}
	taken := int64(0)
	took := func(n int) { // on one goroutine at a time
		if taken += int64(n); body.read.Load()-taken > ahead {
			t.Errorf("%d bytes were read when %d were taken", body.read.Load(), taken)
		}
	}
	for name, h := range map[string]server.Handler{
		"on the loop": server.StreamingFunc(func(w *server.Response, r *server.Request) {
			loop, pieces := r.Reactor(), 0
			r.OnBody(func(p []byte, err error) {
				took(len(p))
				if pieces++; pieces%4 == 0 && err == nil {
					before := taken
					r.PauseBody()
					loop.CallLater(100*time.Microsecond, func() {
						if taken != before {
							t.Errorf("%d bytes came while the body was paused", taken-before)
						}
						r.ResumeBody()
					})
				}
				if err != nil {
					fmt.Fprint(w, taken, " ", err)
				}
			})
		}),
		"blocking": server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
			in, p := r.BodyReader(), make([]byte, 10_000)
			for {
				n, err := in.Read(p)
				if took(n); err != nil {
					fmt.Fprint(w, taken, " ", err)
					return
				}
			}
		})),
	} {
		body.left, taken = all, 0
		body.read.Store(0)
		if w := post(nethttp.To(h), body); w.Code != 200 || w.Body.String() != fmt.Sprint(all, " EOF") {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
}

// echoes are handlers that send each piece of a body back as it comes.
var echoes = map[string]server.Handler{
	"on the loop": server.StreamingFunc(func(w *server.Response, r *server.Request) {
		s := w.Stream()
		r.OnBody(func(p []byte, err error) {
			s.Write(p)
			if err != nil {
				s.Close()
			}
		})
	}),
	"blocking": server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
		s, in, p := w.Stream(), r.BodyReader(), make([]byte, 100)
		s.WriteString("") // the head goes out first
		for {
			n, err := in.Read(p)
			s.Write(p[:n])
			if err != nil {
				return
			}
		}
	})),
}

// TestToIsFullDuplex holds that an answer and a body cross at once, by HTTP/1.1 and by HTTP/2.
func TestToIsFullDuplex(t *testing.T) {
	leavesNothing(t)
	for name, h := range echoes {
		for _, two := range []bool{false, true} {
			s := httptest.NewUnstartedServer(nethttp.To(h))
			s.EnableHTTP2 = two
			s.StartTLS()
			out, in := io.Pipe()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			r, _ := http.NewRequestWithContext(ctx, "POST", s.URL, out)
			res, err := s.Client().Do(r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lines := bufio.NewReader(res.Body)
			for i := range 10 {
				line := fmt.Sprintf("line %d\n", i)
				io.WriteString(in, line)
				if got, err := lines.ReadString('\n'); got != line {
					t.Fatalf("%s, HTTP/%d: %q %v", name, res.ProtoMajor, got, err)
				}
			}
			in.Close()
			if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil || two != (res.ProtoMajor == 2) {
				t.Errorf("%s, HTTP/%d: %q %v at the end", name, res.ProtoMajor, rest, err)
			}
			res.Body.Close()
			cancel()
			s.Client().CloseIdleConnections()
			s.Close()
		}
	}
}

// TestToAnswersBeforeTheBody holds that an answer arrives whole though the client goes on to owe a part of the body, and
// that nothing goes on after it.
func TestToAnswersBeforeTheBody(t *testing.T) {
	leavesNothing(t)
	in := func(d time.Duration, h server.Handler) server.Handler {
		return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
			w.AnswerWithin(d, nil)
			next.Serve(w, r)
		})(h)
	}
	never := server.StreamingFunc(func(w *server.Response, r *server.Request) { r.OnBody(func([]byte, error) {}) })
	reads := server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) { io.Copy(io.Discard, r.BodyReader()) }))
	early := server.StreamingFunc(func(w *server.Response, r *server.Request) {
		s := w.Stream()
		r.OnBody(func(p []byte, err error) {
			if err == nil {
				s.WriteString("enough")
				s.Close()
			}
		})
	})
	for name, test := range map[string]struct {
		h    server.Handler
		want string
	}{
		"time over, buffered":  {in(time.Millisecond, server.HandlerFunc(func(*server.Response, *server.Request) {})), "503"},
		"time over, streaming": {in(time.Millisecond, never), "503"},
		"time over, blocking":  {in(time.Millisecond, reads), "503"},
		"in time":              {in(time.Hour, early), `200 "enough"`},
		"early":                {early, `200 "enough"`},
		"early, from blocking": {server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
			r.BodyReader().Read(make([]byte, 1))
			w.WriteString("enough")
		})), `200 "enough"`},
		"MaxBody": {server.MaxBody(2)(never), "413"},
	} {
		s := httptest.NewServer(nethttp.To(test.h))
		t.Cleanup(s.Close) // it waits half a second for a connection that net/http closes, so all of them wait at once
		for _, framing := range []string{"Content-Length: 10\r\n\r\nabc", "Content-Length: 1000000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
			if name == "MaxBody" && strings.Contains(framing, ": 10\r") {
				framing += "defghij" // it is refused unread, and net/http reads a little rest before it answers
			}
			c, br := connect(t, s.Listener.Addr().String(), "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Errorf("%s, %.20q: %v", name, framing, err)
				continue
			}
			body, err := io.ReadAll(res.Body)
			got := fmt.Sprintf("%d %q", res.StatusCode, body)
			if !strings.HasPrefix(got, test.want) || err != nil {
				t.Errorf("%s, %.20q: %s %v", name, framing, got, err)
			}
			c.Close()
		}
	}
}

// TestToContinues holds that net/http tells its client to continue when a handler asks for the body.
func TestToContinues(t *testing.T) {
	leavesNothing(t)
	s := httptest.NewServer(nethttp.To(refusing(server.Blocking(server.StreamingFunc(
		func(w *server.Response, r *server.Request) { io.Copy(w, r.BodyReader()) })))))
	defer s.Close()
	for path, want := range map[string]string{"/no": "HTTP/1.1 403 Forbidden\r\n", "/yes": "HTTP/1.1 100 Continue\r\n"} {
		c, br := connect(t, s.Listener.Addr().String(), "POST "+path+" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		if line, err := br.ReadString('\n'); line != want {
			t.Errorf("%s: %q %v", path, line, err)
		}
		if path == "/yes" {
			br.ReadString('\n')
			io.WriteString(c, "abc")
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); string(body) != "abc" || err != nil {
				t.Errorf("%q %v", body, err)
			}
		}
		c.Close()
	}
}

// TestToBodyErrors holds that what ends a body early reaches every kind of handler, and the client.
func TestToBodyErrors(t *testing.T) {
	leavesNothing(t)
	for _, test := range []struct {
		err    error
		want   error // what the handler gets, for errors.Is
		status int   // of the answer; 0 means that there is none
	}{
		{&http.MaxBytesError{Limit: 3}, server.ErrBodyTooLarge, 413},
		{fmt.Errorf("wrapped: %w", &http.MaxBytesError{Limit: 3}), server.ErrBodyTooLarge, 413},
		{io.ErrUnexpectedEOF, server.ErrBodyCut, 400},
		{os.ErrDeadlineExceeded, server.ErrBodyTimeout, 408},
		{errors.New("invalid byte in chunk length"), nil, 400},
		{&os.SyscallError{Syscall: "read", Err: syscall.ECONNRESET}, server.ErrPeerGone, 0},
		{context.Canceled, server.ErrPeerGone, 0},
	} {
		told := make(chan error, 1)
		for name, h := range map[string]server.Handler{
			"buffered": server.HandlerFunc(func(*server.Response, *server.Request) { t.Error("a buffered handler was called") }),
			"on the loop": server.StreamingFunc(func(w *server.Response, r *server.Request) {
				r.OnBody(func(_ []byte, err error) {
					if err != nil {
						told <- err
					}
				})
			}),
			"streams": server.StreamingFunc(func(w *server.Response, r *server.Request) {
				r.OnBody(func(_ []byte, err error) {
					if err != nil {
						told <- err
						w.Stream().Close()
					}
				})
			}),
			"blocking": server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
				_, err := io.Copy(io.Discard, r.BodyReader())
				told <- err
			})),
		} {
			w, broken := httptest.NewRecorder(), any(nil)
			func() {
				defer func() { broken = recover() }()
				r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(test.err)))
				r.ContentLength = -1
				nethttp.To(h).ServeHTTP(w, r)
			}()
			want := test.status
			if name == "streams" && want > 0 {
				want = 200 // it has answered itself
			}
			if want > 0 && (w.Code != want || broken != nil) || want == 0 && broken != http.ErrAbortHandler {
				t.Errorf("%v, %s: %d %q, broken off %v", test.err, name, w.Code, w.Body, broken)
			}
			if name == "buffered" {
				continue
			}
			select {
			case err := <-told:
				if test.want != nil && !errors.Is(err, test.want) || test.want == nil && !strings.Contains(err.Error(), test.err.Error()) {
					t.Errorf("%v, %s: the handler got %v", test.err, name, err)
				}
			case <-time.After(patience):
				t.Errorf("%v, %s: the handler got no error", test.err, name)
			}
		}
	}
}

// TestToBodyPanics holds that the panic of a body is that of ServeHTTP, as it is when a handler of net/http reads it.
func TestToBodyPanics(t *testing.T) {
	leavesNothing(t)
	for name, h := range map[string]server.Handler{
		"buffered": server.HandlerFunc(func(*server.Response, *server.Request) {}), "streaming": echoes["on the loop"], "blocking": echoes["blocking"],
	} {
		func() {
			defer func() {
				if v := recover(); v != "expected" {
					t.Errorf("%s: panicked with %v", name, v)
				}
			}()
			post(nethttp.To(h), readFunc(func([]byte) (int, error) { panic("expected") }))
		}()
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestToLosesItsClient holds that a client which goes away in the middle of a body ends the request.
func TestToLosesItsClient(t *testing.T) {
	leavesNothing(t)
	told := make(chan error, 1)
	s := httptest.NewServer(nethttp.To(server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
		_, err := io.Copy(io.Discard, r.BodyReader())
		told <- err
	}))))
	defer s.Close()
	for _, want := range []error{server.ErrBodyCut, server.ErrPeerReset} {
		c, _ := connect(t, s.Listener.Addr().String(), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		if want == server.ErrPeerReset {
			c.SetLinger(0)
			c.Close()
		} else {
			c.CloseWrite()
		}
		select {
		case err := <-told:
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		case <-time.After(patience):
			t.Errorf("%v: the handler was not told", want)
		}
		c.Close()
	}
}

// TestToLaneIsNotUsedAgain holds that a body which nobody has read is not taken for a part of the next request's.
func TestToLaneIsNotUsedAgain(t *testing.T) {
	to := nethttp.To(refusing(server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Write(r.PeekBody()) })))
	for range 20 {
		for path, want := range map[string]string{"/no": "Forbidden\n", "/yes": "abc"} {
			w := httptest.NewRecorder()
			to.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader("abc")))
			if w.Body.String() != want {
				t.Fatalf("%s: %d %q", path, w.Code, w.Body)
			}
		}
	}
}

// TestToKeepsHTTP2Connections holds that an answer before the end of a body ends its stream, and no other.
func TestToKeepsHTTP2Connections(t *testing.T) {
	leavesNothing(t)
	s := httptest.NewUnstartedServer(nethttp.To(server.StreamingFunc(func(w *server.Response, r *server.Request) { w.Error(403) })))
	s.EnableHTTP2 = true
	var conns atomic.Int32
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { conns.Add(1); return nil, nil }}
	s.StartTLS()
	defer s.Close()
	defer s.Client().CloseIdleConnections()
	for range 5 {
		out, in := io.Pipe()
		r, _ := http.NewRequest("POST", s.URL, out)
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		in.Close()
		if res.StatusCode != 403 || res.ProtoMajor != 2 {
			t.Errorf("%s %d", res.Proto, res.StatusCode)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
