package router

// The law of servemux_test.go once more, from outside: both routers are asked by httptest as http.Handlers, ours through
// nethttp.To, and their whole answers are compared.

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"microhttp/reactor/sim"
	"microhttp/server"
	"microhttp/server/nethttp"
)

// TestServeMuxThroughNetHTTP compares random small routers.
func TestServeMuxThroughNetHTTP(t *testing.T) {
	const requestsEach = 40
	routers := sim.Seeds(400)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	count := make(map[int]int)
	for range routers {
		mux, rt := http.NewServeMux(), New()
		var patterns []string
		for range 1 + rng.IntN(8) {
			if p := randomPattern(rng); registerBoth(t, mux, rt, p) {
				patterns = append(patterns, p)
			}
		}
		to := nethttp.To(rt)
		for range requestsEach {
			method, host, target := randomMethod(rng), pick(rng, []string{"a.org", "b.org:80", "[::1]", "c.org"}), randomPath(rng)
			u, err := url.ParseRequestURI(target)
			if err != nil || u.EscapedPath() != target || method == "CONNECT" {
				continue
			}
			path, dotted := target, withLiteralDots(u).EscapedPath()
			if q := randomQuery(rng); q != "" {
				target += "?" + q
				dotted += "?" + q
			}
			got, want := httptest.NewRecorder(), httptest.NewRecorder()
			for _, ask := range []struct {
				h      http.Handler
				w      *httptest.ResponseRecorder
				target string
			}{{to, got, target}, {mux, want, dotted}} {
				r := httptest.NewRequest(method, ask.target, nil)
				r.Host = host
				ask.h.ServeHTTP(ask.w, r)
			}
			expect(want, method, rt.shared().tree.methods.known())
			if hidesDots(path) {
				want.Code = http.StatusBadRequest
				want.Header().Del("Location")
				want.Header().Del("Allow")
			}
			if got.Code != want.Code || got.Header().Get("Allow") != want.Header().Get("Allow") ||
				!leadAlike(path, got.Header().Get("Location"), want.Header().Get("Location")) ||
				got.Code < 300 && strings.TrimSpace(got.Body.String()) != strings.TrimSpace(want.Body.String()) {
				t.Fatalf("seed %d, patterns %q, request %s %s %s:\ngot  %d %v %q\nwant %d %v %q", seed, patterns, method, host,
					target, got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
			}
			count[got.Code]++
		}
	}
	for _, status := range []int{200, 204, 307, 404, 405, 501} {
		if count[status] < 20 {
			t.Errorf("only %d answers of %d were compared", count[status], status)
		}
	}
}

// registerBoth registers a pattern with both, whose handlers tell the pattern and the values, and reports whether both
// took it. If only one does, the test fails.
func registerBoth(t *testing.T, mux *http.ServeMux, rt *Router, pattern string) (ok bool) {
	t.Helper()
	parsed, err := parsePattern(pattern)
	if _, host, _ := splitPattern(pattern); isOurs(err) || host != canonicalHost(host) {
		return false
	}
	try := func(register func()) (v any) {
		defer func() { v = recover() }()
		register()
		return nil
	}
	tell := func(w interface{ Write([]byte) (int, error) }, pattern string, value func(string) string) {
		fmt.Fprint(w, pattern)
		for _, name := range parsed.names {
			fmt.Fprintf(w, "|%s=%s", name, value(name))
		}
	}
	ours := try(func() {
		rt.HandleFunc(pattern, func(w *server.Response, r *server.Request) { tell(w, r.Pattern(), r.PathValue) })
	})
	theirs := try(func() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { tell(w, r.Pattern, r.PathValue) })
	})
	if (ours == nil) != (theirs == nil) {
		t.Errorf("%s: we say %v, ServeMux says %v", pattern, ours, theirs)
	}
	return ours == nil
}

// expect makes the differences that are meant to what ServeMux has answered.
func expect(w *httptest.ResponseRecorder, method string, known []string) {
	switch w.Code {
	case 404, 405:
		if !slices.Contains(known, method) {
			w.Code = 501
			w.Header().Del("Allow")
		}
	}
	if w.Code == 405 {
		w.Header().Set("Allow", allowField(strings.Split(w.Header().Get("Allow"), ", ")))
		if method == "OPTIONS" {
			w.Code = 204
			w.Body.Reset()
		}
	}
	if method == "HEAD" {
		w.Body.Reset() // what a server would do
	}
}
