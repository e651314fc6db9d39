package middleware_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/router"
	"microhttp/server"
)

func TestSecureHeaders(t *testing.T) {
	trust := middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(t, "127.0.0.1")})
	secure := middleware.SecureHeaders(middleware.SecureHeadersConfig{
		ReferrerPolicy: "-", ContentSecurityPolicy: "default-src 'self'", HSTS: time.Hour, HSTSSubdomains: true,
	})
	h := middleware.Recover(silence)(trust(secure(handler(func(w *server.Response, r *server.Request) {
		switch r.Path() {
		case "/own":
			w.SetHeader("X-Frame-Options", "SAMEORIGIN")
		case "/panic":
			panic("a bug")
		}
	}))))
	c := serve(t, h)
	for path, frame := range map[string]string{"/": "DENY", "/own": "SAMEORIGIN", "/panic": "DENY"} {
		for proto, hsts := range map[string]string{"http": "", "https": "max-age=3600; includeSubDomains"} {
			res, _ := ask(t, c, "GET "+path+" HTTP/1.1", "X-Forwarded-Proto: "+proto)
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": frame, "Referrer-Policy": "",
				"Cross-Origin-Opener-Policy": "same-origin", "Content-Security-Policy": "default-src 'self'",
				"Permissions-Policy": "", "Strict-Transport-Security": hsts,
			} {
				if got := res.Header.Values(name); strings.Join(got, "|") != want {
					t.Errorf("%s over %s: %s: %q, want %q", path, proto, name, got, want)
				}
			}
		}
	}
	expectNoAllocs(t, secure(quiet))
	mustPanic(t, "no field may hold", func() {
		middleware.SecureHeaders(middleware.SecureHeadersConfig{FrameOptions: "a\r\nb"})
	})
}

func TestCacheControl(t *testing.T) {
	h := middleware.CacheControl("max-age=60")(handler(func(w *server.Response, r *server.Request) {
		switch r.Path() {
		case "/own":
			w.SetHeader("Cache-Control", "no-store")
		case "/error":
			w.SetStatus(404)
		case "/moved":
			w.SetStatus(301)
		}
	}))
	c := serve(t, h)
	for path, want := range map[string]string{"/": "max-age=60", "/own": "no-store", "/error": "", "/moved": "max-age=60"} {
		if res, _ := ask(t, c, "GET "+path+" HTTP/1.1"); res.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %q", path, res.Header.Get("Cache-Control"))
		}
	}
	mustPanic(t, "no field may hold", func() { middleware.CacheControl("") })
}

func TestCORS(t *testing.T) {
	some := middleware.CORSConfig{
		Origins:     []string{"https://app.example"},
		AllowOrigin: func(_ *server.Request, origin string) bool { return strings.HasSuffix(origin, ".preview.example") },
		Headers:     []string{"Content-Type", "X-Api"}, Expose: []string{"X-Total"}, Credentials: true, MaxAge: time.Hour,
	}
	const methods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	for name, c := range map[string]struct {
		config middleware.CORSConfig
		lines  []string
		status int
		want   map[string]string // of the fields Access-Control-Allow- and others; no others are there
		vary   string
	}{
		"no origin": {some, []string{"GET / HTTP/1.1"}, 200, nil, "Origin"},
		"allowed": {some, []string{"GET / HTTP/1.1", "Origin: https://app.example"}, 200, map[string]string{
			"Allow-Origin": "https://app.example", "Allow-Credentials": "true", "Expose-Headers": "X-Total",
		}, "Origin"},
		"allowed by function": {some, []string{"GET / HTTP/1.1", "Origin: https://7.preview.example"}, 200, map[string]string{
			"Allow-Origin": "https://7.preview.example", "Allow-Credentials": "true", "Expose-Headers": "X-Total",
		}, "Origin"},
		"not allowed": {some, []string{"GET / HTTP/1.1", "Origin: https://evil.example"}, 200, nil, "Origin"},
		"null":        {some, []string{"GET / HTTP/1.1", "Origin: null"}, 200, nil, "Origin"},
		"an error": {some, []string{"GET /error HTTP/1.1", "Origin: https://app.example"}, 500, map[string]string{
			"Allow-Origin": "https://app.example", "Allow-Credentials": "true", "Expose-Headers": "X-Total",
		}, "Origin"},
		"preflight": {some, []string{"OPTIONS / HTTP/1.1", "Origin: https://app.example", "Access-Control-Request-Method: PUT"}, 204, map[string]string{
			"Allow-Origin": "https://app.example", "Allow-Credentials": "true", "Allow-Methods": methods,
			"Allow-Headers": "Content-Type, X-Api", "Max-Age": "3600",
		}, "Origin|Access-Control-Request-Method|Access-Control-Request-Headers"},
		"preflight, not allowed": {
			some,
			[]string{"OPTIONS / HTTP/1.1", "Origin: https://evil.example", "Access-Control-Request-Method: PUT"},
			204, nil,
			"Origin|Access-Control-Request-Method|Access-Control-Request-Headers",
		},
		"plain OPTIONS": {some, []string{"OPTIONS / HTTP/1.1", "Origin: https://app.example"}, 200, map[string]string{
			"Allow-Origin": "https://app.example", "Allow-Credentials": "true", "Expose-Headers": "X-Total",
		}, "Origin"},
		"all": {middleware.CORSConfig{Origins: []string{"*"}}, []string{"GET / HTTP/1.1", "Origin: null"}, 200, map[string]string{
			"Allow-Origin": "*",
		}, "Origin"},
		"all, preflight": {middleware.CORSConfig{Origins: []string{"*"}, Headers: []string{"*"}}, []string{"OPTIONS / HTTP/1.1", "Origin: https://x", "Access-Control-Request-Method: PUT"}, 204, map[string]string{
			"Allow-Origin": "*", "Allow-Methods": methods, "Allow-Headers": "*",
		}, "Origin|Access-Control-Request-Method|Access-Control-Request-Headers"},
		"own Vary":  {some, []string{"GET /vary HTTP/1.1"}, 200, nil, "Accept, origin"},
		"own Vary2": {some, []string{"GET /vary2 HTTP/1.1"}, 200, nil, "Accept|Origin"},
	} {
		h := middleware.Recover(silence)(middleware.CORS(c.config)(handler(func(w *server.Response, r *server.Request) {
			switch r.Path() {
			case "/error":
				panic("a bug")
			case "/vary":
				w.SetHeader("Vary", "Accept, origin")
			case "/vary2":
				w.SetHeader("Vary", "Accept")
			}
		})))
		res, _ := ask(t, serve(t, h), c.lines...)
		got := map[string]string{}
		for field := range res.Header {
			if suffix, ok := strings.CutPrefix(field, "Access-Control-"); ok {
				got[suffix] = strings.Join(res.Header.Values(field), "|")
			}
		}
		if want := fmt.Sprint(c.want); res.StatusCode != c.status || fmt.Sprint(got) != want {
			t.Errorf("%s: %d %v, want %d %s", name, res.StatusCode, got, c.status, want)
		}
		if vary := strings.Join(res.Header.Values("Vary"), "|"); vary != c.vary {
			t.Errorf("%s: Vary %q, want %q", name, vary, c.vary)
		}
	}
}

func TestCORSPanics(t *testing.T) {
	for words, c := range map[string]middleware.CORSConfig{
		"no origin":       {},
		"cannot allow":    {Origins: []string{"*"}, Credentials: true},
		"cannot allow \"": {Origins: []string{"https://a"}, Headers: []string{"*"}, Credentials: true},
		"no origin, ":     {Origins: []string{"https://a/b"}},
		"no name":         {Origins: []string{"https://a"}, Methods: []string{"A B"}},
	} {
		mustPanic(t, words, func() { middleware.CORS(c) })
	}
}

// In a group, CORS also gets preflights and what else the router answers.
func TestCORSInAGroup(t *testing.T) {
	r := router.New()
	api := r.Group("/api", middleware.CORS(middleware.CORSConfig{Origins: []string{"https://app.example"}}))
	api.Put("/things/{id}", func(w *server.Response, _ *server.Request) { w.WriteString("put") })
	r.HandleFunc("PUT /other", func(w *server.Response, _ *server.Request) {})
	c := serve(t, r)
	for _, q := range []struct {
		line   string
		status int
		cors   bool
	}{
		{"OPTIONS /api/things/1", 204, true},
		{"PUT /api/things/1", 200, true},
		{"GET /api/things/1", 405, true},
		{"GET /api/nothing", 404, true},
		{"GET /api/x/../things/1", 307, true},
		{"OPTIONS /other", 204, false},
		{"GET /nothing", 404, false},
	} {
		res, _ := ask(t, c, q.line+" HTTP/1.1", "Origin: https://app.example", "Access-Control-Request-Method: PUT", "Content-Length: 0")
		allowed := res.Header.Get("Access-Control-Allow-Origin") != ""
		if res.StatusCode != q.status || allowed != q.cors {
			t.Errorf("%s: %d, allowed %t", q.line, res.StatusCode, allowed)
		}
		if preflight := strings.HasPrefix(q.line, "OPTIONS /api"); preflight != (res.Header.Get("Access-Control-Allow-Methods") != "") {
			t.Errorf("%s: %v", q.line, res.Header)
		}
	}
}

func TestRequestIDOfATrace(t *testing.T) {
	c := serve(t, middleware.RequestID(quiet))
	const trace, rest = "0af7651916cd43dd8448eb211c80319c", "-b7ad6b7169203331-01"
	for parent, taken := range map[string]bool{
		"00-" + trace + rest:                   true,
		"01-" + trace + rest + "-more":         true,
		"00-" + trace + rest + "-more":         false,
		"01-" + trace + rest + "more":          false,
		"ff-" + trace + rest:                   false,
		"00-" + strings.ToUpper(trace) + rest:  false,
		"00-" + strings.Repeat("0", 32) + rest: false,
		"00-" + trace + "-0000000000000000-01": false,
		"00-" + trace:                          false,
		"00x" + trace + rest:                   false,
	} {
		res, _ := ask(t, c, "GET / HTTP/1.1", "Traceparent: "+parent)
		if id := res.Header.Get("X-Request-Id"); (id == trace) != taken || len(id) != 32 {
			t.Errorf("%s: %s", parent, id)
		}
	}
	res, _ := ask(t, c, "GET / HTTP/1.1", "Traceparent: 00-"+trace+rest, "X-Request-Id: mine")
	if ids := res.Header.Values("X-Request-Id"); !slices.Equal(ids, []string{"mine"}) {
		t.Errorf("%v", ids)
	}
}
