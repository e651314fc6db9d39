package nethttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"microhttp/server"
	"microhttp/server/nethttp"

	"github.com/rs/zerolog"
)

// TestToServer holds that the limits, the log and DetectLateUse of a server are those of its handler behind net/http.
func TestToServer(t *testing.T) {
	leavesNothing(t)
	out := new(lines)
	var left *server.Request
	s := &server.Server{
		MaxBodyBytes: 20 << 20, MaxHeaderFields: 3, DetectLateUse: true, Log: server.Zerolog(zerolog.New(out)),
		Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
			if r.Path() == "/panic" {
				panic("expected")
			}
			left = r
			fmt.Fprint(w, len(r.Body()))
		}),
	}
	h := nethttp.ToServer(s)
	ask := func(r *http.Request) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	post := func(n int) string {
		return ask(httptest.NewRequest("POST", "/", io.LimitReader(neverEnding{}, int64(n))))
	}
	for range 2 {
		if got := post(12 << 20); got != fmt.Sprint("200 ", 12<<20) {
			t.Errorf("a large body: %s", got)
		}
		if got := post(20<<20 + 1); !strings.HasPrefix(got, "413 ") {
			t.Errorf("a body that is too large: %s", got)
		}
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("late use does not panic")
			}
		}()
		left.Path()
	}()
	r := httptest.NewRequest("GET", "/", nil)
	for i := range 4 {
		r.Header.Set(fmt.Sprint("X-", i), "x")
	}
	if got := ask(r); !strings.HasPrefix(got, "431 ") {
		t.Errorf("too many fields: %s", got)
	}
	out.take()
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("a panic became %v", v)
			}
		}()
		ask(httptest.NewRequest("GET", "/panic", nil))
	}()
	if got := out.take(); !strings.Contains(got, `"panic":"expected"`) {
		t.Errorf("logged %q", got)
	}
}

// TestToServerPlaces holds that MaxBlocking is for all requests together.
func TestToServerPlaces(t *testing.T) {
	leavesNothing(t)
	begun, release := make(chan bool), make(chan bool)
	h := nethttp.ToServer(&server.Server{
		MaxBlocking: 1,
		Handler: server.BlockingFunc(func(*server.Response, *server.Request) {
			begun <- true
			<-release
		}),
	})
	done := make(chan bool)
	for range 2 {
		go func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			done <- true
		}()
	}
	<-begun
	select {
	case <-begun:
		t.Error("two handlers run at once")
	default:
	}
	release <- true
	<-begun
	release <- true
	<-done
	<-done
}

// neverEnding is a body of as many bytes as are read.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }
