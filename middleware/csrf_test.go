package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

// CrossOrigin decides as http.CrossOriginProtection does.
func TestCrossOriginAsNetHTTP(t *testing.T) {
	theirs := http.NewCrossOriginProtection()
	for _, origin := range []string{"https://app.example.com", "https://other:8443"} {
		if err := theirs.AddTrustedOrigin(origin); err != nil {
			t.Fatal(err)
		}
	}
	theirs.AddInsecureBypassPattern("/hook")
	want := theirs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ours := middleware.CrossOrigin(middleware.CrossOriginConfig{
		TrustedOrigins: []string{"https://app.example.com", "https://other:8443"},
		Bypass:         func(r *server.Request) bool { return r.Path() == "/hook" },
	})(quiet)
	c := serve(t, ours)
	refused := 0
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"} {
		for _, path := range []string{"/", "/hook"} {
			for _, site := range []string{"", "same-origin", "none", "same-site", "cross-site", "odd"} {
				for _, origin := range []string{
					"", "null", "http://test", "https://test", "https://test:8443", "https://evil", "https://app.example.com",
					"https://other:8443", "https://other", "https://app.example.com.evil", "test", "http://test/",
				} {
					if origin == "http://test/" && site == "" {
						continue // no origin that a browser sends: ours refuses it, theirs reads it as a URL
					}
					lines := []string{method + " " + path + " HTTP/1.1", "Content-Length: 0"}
					req := httptest.NewRequest(method, path, nil)
					req.Host = "test"
					if site != "" {
						lines = append(lines, "Sec-Fetch-Site: "+site)
						req.Header.Set("Sec-Fetch-Site", site)
					}
					if origin != "" {
						lines = append(lines, "Origin: "+origin)
						req.Header.Set("Origin", origin)
					}
					rec := httptest.NewRecorder()
					want.ServeHTTP(rec, req)
					res, _ := ask(t, c, lines...)
					if res.StatusCode != rec.Code {
						t.Errorf("%q: %d, net/http says %d", lines, res.StatusCode, rec.Code)
					}
					if rec.Code == 403 {
						refused++
					}
				}
			}
		}
	}
	if refused < 50 {
		t.Errorf("only %d were refused", refused)
	}
}

func TestCrossOriginDeny(t *testing.T) {
	h := middleware.CrossOrigin(middleware.CrossOriginConfig{
		Deny: handler(func(w *server.Response, _ *server.Request) { w.WriteString("no") }),
	})(quiet)
	res, body := ask(t, serve(t, h), "POST / HTTP/1.1", "Content-Length: 0", "Origin: https://evil")
	if res.StatusCode != 403 || body != "no" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	for _, origin := range []string{"", "app.example.com", "https://a/", "https://", "null"} {
		mustPanic(t, "no origin", func() {
			middleware.CrossOrigin(middleware.CrossOriginConfig{TrustedOrigins: []string{origin}})
		})
	}
}

// Behind a proxy the host is what the proxy says, if the proxy is believed.
func TestCrossOriginBehindAProxy(t *testing.T) {
	protect := middleware.CrossOrigin(middleware.CrossOriginConfig{})
	for trusted, want := range map[string]int{"127.0.0.0/8": 200, "10.0.0.0/8": 403} {
		h := middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, trusted)})(protect(quiet))
		res, _ := ask(t, serve(t, h), "POST / HTTP/1.1", "Content-Length: 0", "Origin: https://shop.example",
			"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: shop.example")
		if res.StatusCode != want {
			t.Errorf("trusting %s: %d", trusted, res.StatusCode)
		}
	}
}
