package middleware_test

import (
	"sync/atomic"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"
)

// A loop that lags refuses some requests early, and none again when it lags no more. A loop that keeps up refuses none.
func TestLoadShed(t *testing.T) {
	var slow atomic.Bool
	served := 0
	h := middleware.LoadShed(middleware.LoadShedConfig{MaxLag: 8 * time.Millisecond, RetryAfter: 1500 * time.Millisecond})(
		handler(func(w *server.Response, _ *server.Request) {
			served++ // on the one loop
			if slow.Load() {
				time.Sleep(20 * time.Millisecond) // what no handler should do
			}
			w.WriteString("hello")
		}))
	c := serve(t, h)
	asked := 0
	status := func() int {
		asked++
		res, _ := ask(t, c, "GET / HTTP/1.1")
		if res.StatusCode == 503 && res.Header.Get("Retry-After") != "2" {
			t.Fatalf("Retry-After: %q", res.Header.Get("Retry-After"))
		}
		return res.StatusCode
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !done(); {
			if time.Now().After(end) {
				t.Fatal("never came: " + what)
			}
		}
	}
	slow.Store(true)
	until("a refusal", func() bool { return status() == 503 })
	until("a request that is served all the same", func() bool { return status() == 200 })
	if served >= asked {
		t.Errorf("%d of %d reached the handler", served, asked)
	}
	slow.Store(false)
	until("a while without refusals", func() bool {
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
			if status() != 200 {
				return false
			}
		}
		return true
	})
}

func TestLoadShedAllocatesNothing(t *testing.T) {
	expectNoAllocs(t, middleware.LoadShed(middleware.LoadShedConfig{})(quiet))
}
