package middleware_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// Every middleware lets every kind of answer through as it is, twice on one connection, and a refusal by the head too. Where
// it adds a field, the field is in each of them.
func TestEveryMiddlewareAndEveryAnswer(t *testing.T) {
	const content = "the content of the answer"
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() }) // after the servers have ended
	stream := func(w *server.Response, _ *server.Request) {
		s := w.Stream()
		_, _ = s.WriteString(content[:5])
		_, _ = s.WriteString(content[5:])
		_ = s.Close()
	}
	kinds := []struct {
		name   string
		h      server.Handler
		status int
		body   string
	}{
		{"inline", handler(func(w *server.Response, _ *server.Request) { w.WriteString(content) }), 200, content},
		{"late", handler(func(w *server.Response, _ *server.Request) {
			p := w.Later()
			go func() { _ = p.Answer(func(w *server.Response) { w.WriteString(content) }) }()
		}), 200, content},
		{"streamed", handler(stream), 200, content},
		{"blocking", server.BlockingFunc(func(w *server.Response, _ *server.Request) { w.WriteString(content) }), 200, content},
		{"blocking, streamed", server.BlockingFunc(stream), 200, content},
		{"file", handler(func(w *server.Response, _ *server.Request) { w.SendFile(file, 0, int64(len(content))) }), 200, content},
		{"refused by the head", server.Wrap(func(w *server.Response, _ *server.Request, _ server.Handler) { w.Error(403) })(quiet), 403, "Forbidden\n"},
		{"panic", handler(func(*server.Response, *server.Request) { panic("on purpose") }), 500, "Internal Server Error\n"},
	}
	log := server.Zerolog(zerolog.New(io.Discard))
	for name, m := range map[string]struct {
		mw    server.Middleware
		field string // that each answer has
	}{
		"Recover":       {middleware.Recover(log), ""},
		"RequestID":     {middleware.RequestID, ""}, // a panic outside of it would drop the field
		"AccessLog":     {middleware.AccessLog(middleware.AccessLogConfig{Log: log}), ""},
		"ClientAddress": {middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")}), ""},
		"SecureHeaders": {middleware.SecureHeaders(middleware.SecureHeadersConfig{}), "X-Frame-Options"},
		"CacheControl":  {middleware.CacheControl("no-cache"), ""},
		"CORS":          {middleware.CORS(middleware.CORSConfig{Origins: []string{"*"}}), "Access-Control-Allow-Origin"},
		"CrossOrigin":   {middleware.CrossOrigin(middleware.CrossOriginConfig{}), ""},
		"Basic":         {middleware.Basic("r", middleware.User, middleware.Users(map[string]string{"ann": "x"})), ""},
		"RateLimit":     {middleware.RateLimit(middleware.RateLimitConfig{}), ""},
		"LoadShed":      {middleware.LoadShed(middleware.LoadShedConfig{MaxLag: time.Minute}), ""},
		"RedirectHTTPS": {server.Chain(
			middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")}), middleware.RedirectHTTPS("a.example"),
		), ""},
		"Timeout": {middleware.Timeout(time.Minute), ""},
		"Default": {middleware.Default(middleware.DefaultConfig{Log: log}), "X-Request-Id"},
	} {
		for _, k := range kinds {
			c := serve(t, middleware.Recover(silence)(m.mw(k.h)))
			for range 2 {
				res, body := ask(t, c, "GET / HTTP/1.1", "Origin: https://a.example", basic("ann:x"), "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
				if res.StatusCode != k.status || body != k.body || m.field != "" && res.Header.Get(m.field) == "" {
					t.Errorf("%s, %s: %d %q %v", name, k.name, res.StatusCode, body, res.Header)
				}
			}
		}
	}
}
