package middleware_test

import (
	"io"
	"testing"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// routes is a HeadHandler as a Router is one.
type routes struct{}

func (routes) ServeHead(w *server.Response, r *server.Request) (done bool) {
	if r.Path() == "/nowhere" {
		w.Error(404)
		return true
	}
	return false
}

func (rt routes) Serve(w *server.Response, r *server.Request) {
	if !rt.ServeHead(w, r) {
		w.Write(r.PeekBody())
	}
}

// A body that will be refused, by a check or by who stands within it, is refused before it is
// sent, whatever else is around; each refusal has its id and its one line in the log.
func TestRefusalsPassThroughByTheHead(t *testing.T) {
	logged, log := newLog()
	guard := middleware.Guard(func(w *server.Response, r *server.Request) bool {
		if r.Header("Authorization") == "Bearer member" {
			return false
		}
		w.Error(401)
		w.SetHeader("WWW-Authenticate", "Bearer")
		return true
	})
	h := middleware.Recover(log)(middleware.RequestID(middleware.AccessLog(log)(guard(routes{}))))
	for _, c := range []struct {
		path, token string
		status      int
	}{
		{"/", "guest", 401},
		{"/nowhere", "guest", 401}, // a stranger does not learn what there is
		{"/nowhere", "member", 404},
	} {
		res, _ := ask(t, serve(t, h), "POST "+c.path+" HTTP/1.1", "Authorization: Bearer "+c.token,
			"Content-Length: 5", "Expect: 100-continue") // no body is ever sent
		if res.StatusCode != c.status || !res.Close || res.Header.Get(middleware.RequestIDHeader) == "" {
			t.Errorf("%s, %s: status %d, fields %v", c.path, c.token, res.StatusCode, res.Header)
		}
		if line := logged.next(t); line["status"] != float64(c.status) {
			t.Errorf("logged %v", line)
		}
	}
	conn := serve(t, h)
	if res, _ := ask(t, conn, "POST / HTTP/1.1", "Authorization: Bearer member",
		"Content-Length: 5", "Expect: 100-continue"); res.StatusCode != 100 {
		t.Fatalf("status %d, want 100", res.StatusCode)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if line := logged.next(t); line["status"] != 200.0 || line["bytes"] != 5.0 {
		t.Errorf("logged %v", line)
	}
	// Who does not ask is refused all the same.
	res, _ := ask(t, serve(t, h), "GET / HTTP/1.1")
	if logged.next(t); res.StatusCode != 401 {
		t.Errorf("status %d", res.StatusCode)
	}
	logged.none(t)
}

// What is nil is found where it is written, not with each request.
func TestNilPanics(t *testing.T) {
	check := func(*server.Response, *server.Request) bool { return false }
	for want, mistake := range map[string]func(){
		"nil handler for AccessLog": func() { middleware.AccessLog(new(zerolog.Logger))(nil) },
		"nil handler for Guard":     func() { middleware.Guard(check)(server.HandlerFunc(nil)) },
		"nil handler for Recover":   func() { middleware.Recover(nil)(nil) },
		"nil handler for RequestID": func() { middleware.RequestID(nil) },
		"nil check for Guard":       func() { middleware.Guard(nil) },
	} {
		func() {
			defer func() {
				if got := recover(); got != "middleware: "+want {
					t.Errorf("panicked with %v, want %q", got, want)
				}
			}()
			mistake()
		}()
	}
}
