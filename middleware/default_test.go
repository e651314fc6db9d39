package middleware_test

import (
	"fmt"
	"io"
	"testing"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

func TestDefault(t *testing.T) {
	logged, log := newLog()
	stack := middleware.Default(middleware.DefaultConfig{Log: log, Trusted: prefixes(t, "127.0.0.1")})
	c := serve(t, stack(handler(func(w *server.Response, r *server.Request) {
		if r.Path() == "/panic" {
			panic("a bug")
		}
		fmt.Fprint(w, r.ClientAddr())
	})))
	for path, status := range map[string]int{"/": 200, "/panic": 500} {
		res, body := ask(t, c, "GET "+path+" HTTP/1.1", "X-Forwarded-For: 198.51.100.7")
		if res.StatusCode != status || status == 200 && body != "198.51.100.7" {
			t.Errorf("%s: %d %q", path, res.StatusCode, body)
		}
		id := res.Header.Get("X-Request-Id")
		if len(id) != 32 || res.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, res.Header)
		}
		line := logged.next(t)
		if status == 500 {
			if line["panic"] != "a bug" || line["request_id"] != id {
				t.Errorf("logged %v", line)
			}
			line = logged.next(t)
		}
		if line["status"] != float64(status) || line["request_id"] != id || line["client"] != "198.51.100.7" {
			t.Errorf("logged %v", line)
		}
	}
}

func TestDefaultAllocatesNothing(t *testing.T) {
	log := server.Zerolog(zerolog.New(io.Discard).With().Timestamp().Logger())
	expectNoAllocs(t, middleware.Default(middleware.DefaultConfig{Log: log, Trusted: prefixes(t, "10.0.0.0/8")})(quiet))
}
