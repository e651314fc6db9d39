package nethttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// How requests that crossed to our handlers end, when it is not by an answer.

// TestPeerGone holds that a request ends when its client does not wait any more, and that everybody is told.
func TestPeerGone(t *testing.T) {
	leavesNothing(t)
	for name, h := range map[string]server.HandlerFunc{
		"later": func(w *server.Response, _ *server.Request) { w.Later() },
		"stream": func(w *server.Response, _ *server.Request) {
			w.Stream().WriteString("x")
		},
		"blocking": func(w *server.Response, r *server.Request) {
			server.BlockingFunc(func(_ *server.Response, r *server.Request) { <-r.Context().Done() }).Serve(w, r)
		},
	} {
		done := make(chan error, 1)
		ctx, leave := context.WithCancel(t.Context())
		to := nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.OnDone(func(w *server.Response, _ *server.Request) { done <- w.Err() })
			h(w, r)
			leave()
		}))
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: what is not complete ended with %v", name, v)
				}
			}()
			to.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
		}()
		select {
		case err := <-done:
			if !errors.Is(err, server.ErrPeerGone) {
				t.Errorf("%s: told %v", name, err)
			}
		case <-time.After(patience):
			t.Errorf("%s: nobody was told", name)
		}
	}
}

// TestPeerGoneWhileAnswering holds that the response is done in the end, when a goroutine was just filling it.
func TestPeerGoneWhileAnswering(t *testing.T) {
	leavesNothing(t)
	done, filling, release := make(chan error, 1), make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	to := nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.OnDone(func(w *server.Response, _ *server.Request) { done <- w.Err() })
		p := w.Later()
		go p.Answer(func(*server.Response) { close(filling); <-release })
	}))
	go func() { <-filling; leave() }()
	func() {
		defer func() { recover() }()
		to.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	}()
	close(release)
	select {
	case err := <-done:
		if !errors.Is(err, server.ErrPeerGone) {
			t.Errorf("told %v", err)
		}
	case <-time.After(patience):
		t.Error("nobody was told")
	}
}

// TestLoopIsEndedByTheHandler holds that a request is over when the loop is that it is served on.
func TestLoopIsEndedByTheHandler(t *testing.T) {
	leavesNothing(t)
	for name, end := range map[string]func(*server.Request){
		"Stop":   func(r *server.Request) { r.Reactor().Stop() },
		"Goexit": func(*server.Request) { runtime.Goexit() },
	} {
		over := make(chan any, 1)
		go func() {
			defer func() { over <- recover() }()
			ask(func(w *server.Response, r *server.Request) {
				w.Later()
				r.Reactor().CallLater(time.Millisecond, func() { end(r) })
			}, "GET", "/", "")
		}()
		select {
		case v := <-over:
			if v != http.ErrAbortHandler {
				t.Errorf("%s: ended with %v", name, v)
			}
		case <-time.After(patience):
			t.Errorf("%s: the request does not end", name)
		}
	}
}

type watched struct {
	io.Reader
	read bool
}

func (b *watched) Read(p []byte) (int, error) { b.read = true; return b.Reader.Read(p) }

func TestPanics(t *testing.T) {
	leavesNothing(t)
	panics := func(w *server.Response, _ *server.Request) { panic(server.ErrAbortHandler) }
	for name, h := range map[string]server.HandlerFunc{
		"on the loop": panics,
		"blocking":    func(w *server.Response, r *server.Request) { server.BlockingFunc(panics).Serve(w, r) },
		"in a stream": func(w *server.Response, r *server.Request) { w.Stream(); panics(w, r) },
		"in a fill": func(w *server.Response, _ *server.Request) {
			w.Later().Answer(func(*server.Response) { panic(server.ErrAbortHandler) })
		},
	} {
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: panicked with %v", name, v)
				}
			}()
			ask(h, "GET", "/", "")
		}()
	}
	got := ask(func(w *server.Response, _ *server.Request) {
		w.OnPanic(func(w *server.Response, _ *server.Request, v any, _ []byte) { w.Error(500) })
		panic("expected")
	}, "GET", "/", "")
	if got != `500 "Internal Server Error\n"` {
		t.Errorf("mended: %s", got)
	}
}

// TestWhatIsLeftOnTheLoop holds that calls are made when a request has been answered at once, and that timers are
// dropped.
func TestWhatIsLeftOnTheLoop(t *testing.T) {
	leavesNothing(t)
	called, threaded := make(chan bool, 1), make(chan bool, 1)
	got := ask(func(w *server.Response, r *server.Request) {
		loop := r.Reactor()
		loop.CallFromThread(func() { called <- true })
		loop.CallInThread(func() { threaded <- true })
		loop.CallLater(time.Hour, func() { t.Error("the timer was called") })
		w.WriteString("done")
	}, "GET", "/", "")
	if got != `200 "done"` {
		t.Errorf("got %s", got)
	}
	for _, c := range []chan bool{called, threaded} {
		select {
		case <-c:
		case <-time.After(patience):
			t.Error("a call was not made")
		}
	}
}
