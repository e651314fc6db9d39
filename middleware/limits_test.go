package middleware_test

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"
)

func TestRateLimit(t *testing.T) {
	h := middleware.RateLimit(middleware.RateLimitConfig{Requests: 2, Per: time.Hour})(quiet)
	c := serve(t, h)
	for range 2 {
		if res, _ := ask(t, c, "GET / HTTP/1.1"); res.StatusCode != 200 {
			t.Fatalf("status %d", res.StatusCode)
		}
	}
	res, _ := ask(t, c, "GET / HTTP/1.1")
	wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if res.StatusCode != 429 || err != nil || wait < 1750 || wait > 1800 {
		t.Errorf("status %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

// What a request counts for can be chosen, and "" is not limited.
func TestRateLimitByKey(t *testing.T) {
	h := middleware.RateLimit(middleware.RateLimitConfig{
		Requests: 1, Per: time.Hour,
		Key:  func(r *server.Request) string { return r.Header("X-Api-Key") },
		Deny: handler(func(w *server.Response, _ *server.Request) { w.WriteString("slow down") }),
	})(quiet)
	c := serve(t, h)
	for _, ask1 := range []struct {
		key    string
		status int
	}{{"a", 200}, {"b", 200}, {"a", 429}, {"b", 429}, {"", 200}, {"", 200}} {
		res, body := ask(t, c, "GET / HTTP/1.1", "X-Api-Key: "+ask1.key)
		if res.StatusCode != ask1.status || (body == "slow down") != (ask1.status == 429) {
			t.Errorf("key %q: %d %q", ask1.key, res.StatusCode, body)
		}
	}
}

func TestRateLimitAllocatesNothing(t *testing.T) {
	expectNoAllocs(t, middleware.RateLimit(middleware.RateLimitConfig{Requests: 1e9, Per: time.Second})(quiet))
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	h := middleware.Timeout(20 * time.Millisecond)(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		if r.Path() == "/slow" {
			<-r.Context().Done()
			<-release
		}
		w.WriteString("hello")
	}))
	c := serve(t, h)
	if res, _ := ask(t, c, "GET /slow HTTP/1.1"); res.StatusCode != 503 {
		t.Errorf("slow: status %d", res.StatusCode)
	}
	close(release)
	if res, body := ask(t, c, "GET /fast HTTP/1.1"); res.StatusCode != 200 || body != "hello" {
		t.Errorf("fast: %d %q", res.StatusCode, body)
	}
	mustPanic(t, "not positive", func() { middleware.Timeout(0) })
}

func TestHealth(t *testing.T) {
	var broken atomic.Pointer[error]
	ready := middleware.Readiness(func() error { return nil }, func() error {
		if err := broken.Load(); err != nil {
			return *err
		}
		return nil
	})
	c := serve(t, ready)
	secret := errors.New("secret")
	for _, s := range []struct {
		err    *error
		status int
		body   string
	}{{nil, 200, "ready\n"}, {&secret, 503, "not ready\n"}, {nil, 200, "ready\n"}} {
		broken.Store(s.err)
		res, body := ask(t, c, "GET / HTTP/1.1")
		if res.StatusCode != s.status || body != s.body || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
		}
	}
	if res, body := ask(t, serve(t, middleware.Alive()), "GET / HTTP/1.1"); res.StatusCode != 200 || body != "alive\n" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}
