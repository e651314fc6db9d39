package middleware_test

import (
	"compress/gzip"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/middleware/compress"
	"microhttp/reactor"
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
	typed := func(w *server.Response) *server.Response {
		w.SetHeader("Content-Type", "text/plain")
		return w
	}
	stream := func(w *server.Response, _ *server.Request) {
		s := typed(w).Stream()
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
		{"inline", handler(func(w *server.Response, _ *server.Request) { typed(w).WriteString(content) }), 200, content},
		{"late", handler(func(w *server.Response, _ *server.Request) {
			p := w.Later()
			go func() { _ = p.Answer(func(w *server.Response) { typed(w).WriteString(content) }) }()
		}), 200, content},
		{"streamed", handler(stream), 200, content},
		{"blocking", server.BlockingFunc(func(w *server.Response, _ *server.Request) { typed(w).WriteString(content) }), 200, content},
		{"blocking, streamed", server.BlockingFunc(stream), 200, content},
		{"file", handler(func(w *server.Response, _ *server.Request) { typed(w).SendFile(file, 0, int64(len(content))) }), 200, content},
		{"refused by the head", server.Wrap(func(w *server.Response, _ *server.Request, _ server.Handler) { w.Error(403) })(quiet), 403, "Forbidden\n"},
		{"upgraded", handler(func(w *server.Response, _ *server.Request) {
			if err := w.Upgrade("chat", new(chat)); err != nil {
				w.Error(500)
			}
		}), 101, ""},
		{"panic", handler(func(*server.Response, *server.Request) { panic("on purpose") }), 500, "Internal Server Error\n"},
	}
	log := server.Zerolog(zerolog.New(io.Discard))
	for name, m := range map[string]struct {
		mw    server.Middleware
		field string // that each answer has
	}{
		"Recover":             {middleware.Recover(log), ""},
		"RequestID":           {middleware.RequestID, ""}, // a panic outside of it would drop the field
		"AccessLog":           {middleware.AccessLog(middleware.AccessLogConfig{Log: log}), ""},
		"AccessLog, combined": {middleware.AccessLog(middleware.AccessLogConfig{Format: middleware.AccessCombined, Output: io.Discard}), ""},
		"AccessLog, text":     {middleware.AccessLog(middleware.AccessLogConfig{Format: middleware.AccessText, Output: io.Discard}), ""},
		"ETag":                {middleware.ETag, ""},
		"ConcurrencyLimit":    {middleware.ConcurrencyLimit(middleware.ConcurrencyLimitConfig{}), ""},
		"Hold": {server.Wrap(func(w *server.Response, _ *server.Request, next server.Handler) {
			h := w.Hold()
			go h.Serve(next)
		}), ""},
		"compress":         {compress.New(compress.Config{MinBytes: -1}), "Vary"},
		"compress, tagged": {server.Chain(compress.New(compress.Config{MinBytes: -1}), middleware.ETag), "Vary"},
		"tagged, compress": {server.Chain(middleware.ETag, compress.New(compress.Config{MinBytes: -1})), "Vary"},
		"ClientAddress":    {middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")}), ""},
		"SecureHeaders":    {middleware.SecureHeaders(middleware.SecureHeadersConfig{}), "X-Frame-Options"},
		"CacheControl":     {middleware.CacheControl("no-cache"), ""},
		"CORS":             {middleware.CORS(middleware.CORSConfig{Origins: []string{"*"}}), "Access-Control-Allow-Origin"},
		"CrossOrigin":      {middleware.CrossOrigin(middleware.CrossOriginConfig{}), ""},
		"Basic":            {middleware.Basic("r", middleware.User, middleware.Users(map[string]string{"ann": "x"})), ""},
		"RateLimit":        {middleware.RateLimit(middleware.RateLimitConfig{}), ""},
		"LoadShed":         {middleware.LoadShed(middleware.LoadShedConfig{MaxLag: time.Minute}), ""},
		"RedirectHTTPS": {server.Chain(
			middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")}), middleware.RedirectHTTPS("a.example"),
		), ""},
		"Timeout": {middleware.Timeout(time.Minute), ""},
		"Default": {middleware.Default(middleware.DefaultConfig{Log: log}), "X-Request-Id"},
	} {
		chains := map[string]server.Handler{}
		for _, k := range kinds {
			chains[k.name] = middleware.Recover(silence)(m.mw(k.h))
		}
		addr, stop := start(server.Wrap(func(w *server.Response, r *server.Request, _ server.Handler) {
			chains[r.QueryValue("kind")].Serve(w, r)
		})(quiet))
		for _, k := range kinds {
			c := connect(t, addr)
			target := "GET /?kind=" + url.QueryEscape(k.name) + " HTTP/1.1"
			for range 2 {
				fields := []string{"Origin: https://a.example", basic("ann:x"), "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Accept-Encoding: gzip"}
				if k.status == 101 {
					fields = append(fields, "Connection: upgrade", "Upgrade: chat")
				}
				res, body := ask(t, c, append([]string{target}, fields...)...)
				if res.Header.Get("Content-Encoding") == "gzip" {
					body = gunzip(t, body)
				}
				if res.StatusCode != k.status || body != k.body || k.status != 101 && m.field != "" && res.Header.Get(m.field) == "" {
					t.Errorf("%s, %s: %d %q %v", name, k.name, res.StatusCode, body, res.Header)
				}
				if k.status == 101 {
					_, _ = io.WriteString(c, "hello")
					if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
						t.Errorf("%s: the other protocol said %q, %v", name, b, err)
					}
					break
				}
			}
			c.Close()
		}
		stop()
	}
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// chat is a protocol that repeats what it hears first, and leaves.
type chat struct{ t reactor.Transport }

func (p *chat) ConnectionMade(t reactor.Transport) { p.t = t }
func (p *chat) DataReceived(b []byte) {
	p.t.Write(b)
	p.t.LoseConnection()
}
func (*chat) ConnectionLost(error) {}
