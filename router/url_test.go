package router_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
)

func TestURL(t *testing.T) {
	rt := router.New()
	for name, pattern := range map[string]string{
		"home": "GET /{$}", "user": "/users/{id}", "post": "GET /users/{user}/posts/{post}", "files": "/files/{path...}",
		"tree": "/static/", "literal": "/a%20b/ö%2Fx/100%25", "host": "example.com/x/{id}",
		"slash": "/%2F/evil.org/{x}", "slashes": "/a/%2F/b/%2F", "line": "/a%0Ab", "v6": "[0:0::1]/{$}",
		"get": "GET /x/{id}", "me": "GET /x/me", "put": "PUT /x/you", "all": "/x/{rest...}", "deep": "/x/y/{rest...}",
	} {
		rt.HandleFunc(pattern, say).Named(name)
	}
	for _, test := range []struct {
		call, want string // name and parameters, separated by bars; no want: an error
	}{
		{"home", "/"},
		{"user|id|7", "/users/7"},
		{"user|id|a/b c?#%", "/users/a%2Fb%20c%3F%23%25"},
		{"user|id|é\xff", "/users/%C3%A9%FF"},
		{"user|id|..a", "/users/..a"},
		{"post|post|7|user|Ada L", "/users/Ada%20L/posts/7"},
		{"files|path|", "/files/"},
		{"files|path|a/b c/", "/files/a/b%20c/"},
		{"tree", "/static/"},
		{"literal", "/a%20b/%C3%B6%2Fx/100%25"},
		{"host|id|7", "//example.com/x/7"},
		{"slash|x|7", "/%2F/evil.org/7"},
		{"slashes", "/a/%2F/b/"},
		{"line", ""},
		{"v6", "//[::1]/"},
		{"me", "/x/me"},
		{"get|id|me", ""},
		{"get|id|you", "/x/you"},
		{"all|rest|you", "/x/you"}, // to POST, say
		{"all|rest|y", ""},
		{"all|rest|y/z", ""},
		{"deep|rest|z", "/x/y/z"},
		{"nobody", ""},
		{"user", ""},
		{"user|id", ""},
		{"user|ID|7", ""},
		{"user|id|7|x|8", ""},
		{"user|id|", ""},
		{"user|id|.", ""},
		{"user|id|..", ""},
		{"user|id|/", ""},
		{"user|id|a/../b", ""},
		{"user|id|../b", ""},
		{"user|id|a/.", ""},
		{"user|id|a/..b/", "/users/a%2F..b%2F"},
		{"user|id|a\x00b", ""},
		{"user|id|a\r\nb", ""},
		{"files|path|/a", ""},
		{"files|path|a//b", ""},
		{"files|path|a/../b", ""},
		{"files|path|..", ""},
		{"home|x|y", ""},
	} {
		args := strings.Split(test.call, "|")
		got, err := rt.URL(args[0], args[1:]...)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: got %q, %v", args, got, err)
		}
	}
}

// TestURLsLeadBack holds that a URL is an error or is matched with the values it was made of.
func TestURLsLeadBack(t *testing.T) {
	values := []string{"", "a", "a b", "a/b", "/", "//", "a/", ".", "..", "...", "%2F", "%", "é", "\xff", "a\nb", "{x}", "a?b#c", "a;b,c|d"}
	rt := router.New()
	tell := func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "%q %q", r.PathValue("x"), r.PathValue("y"))
	}
	rt.HandleFunc("/s/{x}/t/{y}", tell).Named("single")
	rt.HandleFunc("/m/{x}/{y...}", tell).Named("multi")
	built := 0
	for range 2000 {
		name := []string{"single", "multi"}[rand.IntN(2)]
		x, y := values[rand.IntN(len(values))], values[rand.IntN(len(values))]
		u, err := rt.URL(name, "y", y, "x", x)
		if err != nil {
			continue
		}
		built++
		w := httptest.NewRecorder()
		nethttp.To(rt).ServeHTTP(w, httptest.NewRequest("GET", u, nil))
		if want := fmt.Sprintf("%q %q", x, y); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s of %q and %q: %s led to %d %s", name, x, y, u, w.Code, w.Body)
		}
	}
	if built < 500 {
		t.Errorf("only %d were built", built)
	}
}

// TestNamedWhileListed holds that a list may be made while routes are still named; the race detector judges.
func TestNamedWhileListed(t *testing.T) {
	rt := router.New()
	r := rt.Get("/a", say)
	listed := make(chan error)
	go func() { listed <- rt.WriteTable(io.Discard) }()
	go func() { r.Name(); listed <- nil }()
	r.Named("a")
	for range 2 {
		if err := <-listed; err != nil {
			t.Error(err)
		}
	}
	if r.Name() != "a" {
		t.Errorf("the name is %q", r.Name())
	}
}

func TestWalk(t *testing.T) {
	rt, inner := router.New(), router.New()
	inner.Get("/z", say).Named("inner")
	rt.Post("/b", say)
	rt.Mount("/a", inner)
	rt.Get("/b", say)
	rt.HandleFunc("h.org/{x}/{y...}", say).Named("hosted")
	rt.HandleFunc("/{$}", say)
	var got []string
	for r := range rt.Walk() {
		got = append(got, strings.TrimSpace(r.Pattern()+" "+r.Name()+" "+strings.Join(r.Params(), ",")))
	}
	if want := "GET /a/z inner; GET /b; POST /b; /{$}; h.org/{x}/{y...} hosted x,y"; strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	for r := range rt.Walk() {
		if !strings.Contains(r.Site(), "url_test.go:") {
			t.Errorf("%s is said to be registered at %s", r.Pattern(), r.Site())
		}
		break // as a caller may
	}
	var table bytes.Buffer
	if err := rt.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table.String(), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[0], "METHOD  PATTERN ") ||
		!strings.HasPrefix(lines[5], "*       h.org/{x}/{y...}  hosted  url_test.go:") {
		t.Errorf("the table is\n%s", &table)
	}
}

func TestLookup(t *testing.T) {
	rt := router.New()
	rt.Get("/users/{id}", say)
	rt.HandleFunc("a.org/", say)
	for _, test := range []struct{ method, host, path, want string }{
		{"GET", "", "/users/7", "GET /users/{id}"},
		{"HEAD", "b.org", "/users/7", "GET /users/{id}"},
		{"POST", "a.org:80", "/users/7", "a.org/"},
		{"POST", "", "/users/7", ""},
		{"GET", "", "/users/./7", ""},
		{"GET", "", "", ""},
	} {
		r, ok := rt.Lookup(test.method, test.host, test.path)
		if ok != (test.want != "") || ok && r.Pattern() != test.want {
			t.Errorf("%+v: got %v, %t", test, r, ok)
		}
	}
	rt.Get("/still/open", say)
}
