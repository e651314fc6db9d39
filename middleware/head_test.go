package middleware_test

import (
	"io"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

// routes refuses by the head, as a Router does.
var routes = server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
	if r.Path() == "/nowhere" {
		w.Error(404)
		return
	}
	next.Serve(w, r)
})(handler(func(w *server.Response, r *server.Request) { w.Write(r.PeekBody()) }))

// A body that will be refused, by a check or by who stands within it, is refused before it is
// sent, whatever else is around; each refusal has its id and its one line in the log.
func TestRefusalsPassThroughByTheHead(t *testing.T) {
	logged, log := newLog()
	guard := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if r.Header("Authorization") == "Bearer member" {
			next.Serve(w, r)
			return
		}
		w.Error(401)
		w.SetHeader("WWW-Authenticate", "Bearer")
	})
	h := middleware.Recover(log)(middleware.RequestID(middleware.AccessLog(middleware.AccessLogConfig{Log: log})(guard(routes))))
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
	for who, mistake := range map[string]func(){
		"AccessLog": func() { middleware.AccessLog(middleware.AccessLogConfig{})(nil) },
		"Recover":   func() { middleware.Recover(nil)(nil) },
		"RequestID": func() { middleware.RequestID(nil) },
	} {
		func() {
			defer func() {
				if got := recover(); got != "server: nil handler for Wrap" {
					t.Errorf("%s panicked with %v", who, got)
				}
			}()
			mistake()
		}()
	}
}
