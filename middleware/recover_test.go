package middleware_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

// boom writes what must not be seen, then panics with v.
func boom(v any) server.Handler {
	return handler(func(w *server.Response, _ *server.Request) {
		w.SetStatus(201)
		w.SetHeader("X-Secret", "half done")
		w.WriteString("half done")
		panic(v)
	})
}

func TestRecoverAnswers500WhereverThePanicIs(t *testing.T) {
	later := handler(func(w *server.Response, _ *server.Request) {
		p := w.Later()
		go func() {
			_ = p.Answer(func(w *server.Response) { boom("boom").Serve(w, nil) })
		}()
	})
	for name, h := range map[string]server.Handler{
		"on the loop":  boom("boom"),
		"off the loop": server.Blocking(boom("boom")),
		"later":        later,
	} {
		t.Run(name, func(t *testing.T) {
			log, logger := newLog()
			h := middleware.Recover(logger)(middleware.RequestID(h))
			c := serve(t, h)
			for range 2 { // the connection survives
				res, body := ask(t, c, "GET /a%20b?q=secret HTTP/1.1", "X-Request-Id: r-1")
				if res.StatusCode != 500 || body != "Internal Server Error\n" {
					t.Errorf("answered %d %q", res.StatusCode, body)
				}
				if got := res.Header.Get("X-Secret"); got != "" {
					t.Errorf("a field of the handler that panicked went out: %q", got)
				}
				if got := res.Header.Get("X-Request-Id"); got != "r-1" {
					t.Errorf("X-Request-Id: %q", got)
				}
				line := log.next(t)
				for key, want := range map[string]string{
					"level": "error", "panic": "boom", "method": "GET", "path": "/a%20b",
					"pattern": "", "request_id": "r-1",
				} {
					if line[key] != want {
						t.Errorf("logged %s: %v, want %q", key, line[key], want)
					}
				}
				if stack, _ := line["stack"].(string); !strings.Contains(stack, "recover_test.go") {
					t.Errorf("the stack does not lead to the panic:\n%s", stack)
				}
			}
		})
	}
}

func TestRecoverLogsAnyValue(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{errors.New("an error"), "an error"},
		{struct{ n int }{7}, "{7}"},
		{"a\nline \"quoted\"", "a\nline \"quoted\""},
	} {
		log, logger := newLog()
		c := serve(t, middleware.Recover(logger)(boom(test.value)))
		ask(t, c, "GET / HTTP/1.1")
		if got := log.next(t)["panic"]; got != test.want {
			t.Errorf("logged %q, want %q", got, test.want)
		}
	}
}

func TestRecoverWithASilentLogStillAnswers(t *testing.T) {
	c := serve(t, middleware.Recover(silence)(boom("boom")))
	if res, _ := ask(t, c, "GET / HTTP/1.1"); res.StatusCode != 500 {
		t.Errorf("answered %d", res.StatusCode)
	}
}

func TestRecoverLeavesErrAbortHandlerAlone(t *testing.T) {
	log, logger := newLog()
	c := serve(t, middleware.Recover(logger)(boom(server.ErrAbortHandler)))
	send(t, c, "GET / HTTP/1.1")
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("answered %q", got)
	}
	log.none(t)
}

// A stream's head is on its way when its handler panics: nothing may be added that looks
// like content, and the end must not look like one.
func TestRecoverBreaksAStreamOff(t *testing.T) {
	half := func(w *server.Response, _ *server.Request) {
		_, _ = w.Stream().WriteString("half")
		panic("boom")
	}
	for name, h := range map[string]server.Handler{
		"on the loop":  handler(half),
		"off the loop": server.BlockingFunc(half),
	} {
		t.Run(name, func(t *testing.T) {
			log, logger := newLog()
			c := serve(t, middleware.Recover(logger)(h))
			send(t, c, "GET / HTTP/1.1")
			got, _ := io.ReadAll(c)
			if strings.Contains(string(got), http.StatusText(500)) || strings.HasSuffix(string(got), "0\r\n\r\n") {
				t.Errorf("sent %q", got)
			}
			if line := log.next(t); line["panic"] != "boom" {
				t.Errorf("logged %v", line)
			}
		})
	}
}
