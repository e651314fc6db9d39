package middleware_test

import (
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

// The redirect names the configured host and the request's own target, whatever host the peer names.
func TestRedirectHTTPS(t *testing.T) {
	mw := server.Chain(
		middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")}),
		middleware.RedirectHTTPS("example.com:8443"),
	)
	c := serve(t, mw(handler(func(w *server.Response, _ *server.Request) { w.WriteString("passed") })))
	for line, want := range map[string]string{
		"GET / HTTP/1.1":                          "https://example.com:8443/",
		"GET /a%2Fb?c=d&e HTTP/1.1":               "https://example.com:8443/a%2Fb?c=d&e",
		"GET //evil.example/ HTTP/1.1":            "https://example.com:8443//evil.example/",
		"GET http://evil.example HTTP/1.1":        "https://example.com:8443/",
		"GET http://evil.example?x=/ HTTP/1.1":    "https://example.com:8443/?x=/",
		"GET http://evil.example/y?x= HTTP/1.1":   "https://example.com:8443/y?x=",
		"GET http://evil.example//y?x= HTTP/1.1":  "https://example.com:8443//y?x=",
		"OPTIONS * HTTP/1.1":                      "https://example.com:8443/",
		`GET /a?b=\c HTTP/1.1`:                    `https://example.com:8443/a?b=\c`,
		"DELETE /a HTTP/1.1":                      "https://example.com:8443/a",
		"GET /?to=http://other.example/ HTTP/1.1": "https://example.com:8443/?to=http://other.example/",
	} {
		res, _ := ask(t, c, line)
		if got := res.Header.Get("Location"); res.StatusCode != 308 || got != want {
			t.Errorf("%s: %d to %q, want %q", line, res.StatusCode, got, want)
		}
	}
	if res, body := ask(t, c, "GET / HTTP/1.1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"); res.StatusCode != 200 || body != "passed" {
		t.Errorf("over TLS: %d %q", res.StatusCode, body)
	}
	for _, host := range []string{"", "a/b", "a b", "u@a", "a\r\n", ":80", "https://a", "a?b", "a#b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken for a host", host)
				}
			}()
			middleware.RedirectHTTPS(host)
		}()
	}
}
