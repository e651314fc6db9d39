package router_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
)

// ask has rt asked, and returns the status and the body of the answer.
func ask(rt server.Handler, method, target string) string {
	w := httptest.NewRecorder()
	nethttp.To(rt).ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return strings.TrimSpace(fmt.Sprintf("%d %s%s", w.Code, w.Header().Get("Allow")+w.Header().Get("Location"), w.Body))
}

// holds compares answers with what they should be, by request.
func holds(t *testing.T, rt server.Handler, answers map[string]string) {
	t.Helper()
	for request, want := range answers {
		method, target, _ := strings.Cut(request, " ")
		if got := ask(rt, method, target); got != want {
			t.Errorf("%s: got %q, want %q", request, got, want)
		}
	}
}

// mark is middleware that puts a letter in front of the answer.
func mark(letter string) router.Middleware {
	return func(next server.Handler) server.Handler {
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.WriteString(letter)
			next.Serve(w, r)
		})
	}
}

// say answers with the pattern and the values of a and b.
func say(w *server.Response, r *server.Request) {
	fmt.Fprintf(w, " %s %s%s", r.Pattern(), r.PathValue("a"), r.PathValue("b"))
}

func TestShortForms(t *testing.T) {
	rt := router.New()
	for method, register := range map[string]func(string, func(*server.Response, *server.Request), ...router.Middleware) *router.Route{
		"GET": rt.Get, "POST": rt.Post, "PUT": rt.Put, "PATCH": rt.Patch, "DELETE": rt.Delete,
	} {
		r := register("/x/{a}", say, mark("m"))
		if r.Pattern() != method+" /x/{a}" || r.Method() != method || r.Path() != "/x/{a}" || r.Host() != "" {
			t.Errorf("%s: the route is %s, %s, %s", method, r.Pattern(), r.Method(), r.Path())
		}
		if r := register("a.org/h", say); r.Host() != "a.org" || r.Pattern() != method+" a.org/h" {
			t.Errorf("%s with a host: %s", method, r.Pattern())
		}
	}
	holds(t, rt, map[string]string{
		"GET /x/1": "200 m GET /x/{a} 1", "POST /x/1": "200 m POST /x/{a} 1", "PUT /x/1": "200 m PUT /x/{a} 1",
		"PATCH /x/1": "200 m PATCH /x/{a} 1", "DELETE /x/1": "200 m DELETE /x/{a} 1",
		"OPTIONS /x/1": "204 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
		"GET /h":       "404 Not Found", "GET http://a.org:80/h": "200  GET a.org/h",
	})
}

func TestGroup(t *testing.T) {
	rt := router.New()
	rt.Use(mark("r"))
	rt.Use(mark("s"))
	users := rt.Group("/users/{a}", mark("u"))
	users.Use(mark("v"))
	users.Get("", say)
	users.Get("/{$}", say)
	users.Get("/posts/{b}", say, mark("1"), mark("2"))
	users.HandleFunc("/posts/", say)
	users.HandleFunc("PUT \t /posts", say)
	deep := users.Group("/deep", mark("d"))
	deep.Handle("LOCK /x", server.HandlerFunc(say))
	rt.Group("", mark("g")).Get("/plain", say)
	host := rt.Group("a.org")
	host.Get("/x", say)
	host.Group("/y").Get("/z", say)
	host.Get("a.org/w", say)
	holds(t, rt, map[string]string{
		"GET /users/7":            "200 rsuv GET /users/{a} 7",
		"GET /users/7/":           "200 rsuv GET /users/{a}/{$} 7",
		"GET /users/7/posts/8":    "200 rsuv12 GET /users/{a}/posts/{b} 78",
		"POST /users/7/posts/8/9": "200 rsuv /users/{a}/posts/ 7",
		"PUT /users/7/posts":      "200 rsuv PUT /users/{a}/posts 7",
		"LOCK /users/7/deep/x":    "200 rsuvd LOCK /users/{a}/deep/x 7",
		"GET /plain":              "200 rsg GET /plain",
		"GET http://a.org/x":      "200 rs GET a.org/x",
		"GET http://a.org/y/z":    "200 rs GET a.org/y/z",
		"GET http://a.org/w":      "200 rs GET a.org/w",
		"GET http://b.org/x":      "404 Not Found",
		"GET /users/7/posts":      "307 /users/7/posts/rsuv<a href=\"/users/7/posts/\">Temporary Redirect</a>.",
	})
}

func TestMount(t *testing.T) {
	inner := router.New()
	inner.Use(mark("i"))
	inner.Get("/{$}", say).Named("home")
	inner.Get("/things/{b}", say).Named("thing")
	inner.HandleFunc("POST a.org/hosted", say)
	inner.NotFound(server.HandlerFunc(func(w *server.Response, r *server.Request) { w.WriteString("lost " + r.Pattern()) }))
	deep := router.New()
	deep.Get("/x", say)
	inner.Mount("/deep", deep, mark("d"))

	rt := router.New()
	rt.Use(mark("r"))
	rt.Group("/v1").Mount("/{a}", inner, mark("m"))
	rt.Mount("/opaque", server.HandlerFunc(func(w *server.Response, r *server.Request) { w.WriteString(r.Pattern() + r.Path()) }))
	holds(t, rt, map[string]string{
		"GET /v1/7/":                    "200 rmi GET /v1/{a}/{$} 7",
		"GET /v1/7/things/8":            "200 rmi GET /v1/{a}/things/{b} 78",
		"POST http://a.org/v1/7/hosted": "200 rmi POST a.org/v1/{a}/hosted 7",
		"GET /v1/7/deep/x":              "200 rmid GET /v1/{a}/deep/x 7",
		"GET /v1/7/nowhere":             "404 rmilost",
		"GET /v1/7":                     "307 /v1/7/rmi<a href=\"/v1/7/\">Temporary Redirect</a>.",
		"POST /v1/7":                    "405 GET, HEAD, OPTIONSMethod Not Allowed",
		"GET /nowhere":                  "404 Not Found",
		"DELETE /opaque/x/y":            "200 r/opaque//opaque/x/y",
		"GET /opaque":                   "307 /opaque/r<a href=\"/opaque/\">Temporary Redirect</a>.",
	})
	holds(t, inner, map[string]string{"GET /things/8": "200 i GET /things/{b} 8"}) // it may go on alone
	if u, err := rt.URL("thing", "a", "7", "b", "8"); u != "/v1/7/things/8" {
		t.Errorf("URL of a mounted route: %q, %v", u, err)
	}
	if got := panicOf(t, func() { inner.Get("/late", say) }); !strings.Contains(got, "after the Router was mounted at ") {
		t.Errorf("registered after it was mounted: %s", got)
	}
}

func TestNotFoundAndMethodNotAllowed(t *testing.T) {
	text := func(s string) server.Handler {
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			fmt.Fprintf(w, "%s %d %q", s, w.Status(), r.Pattern())
		})
	}
	rt := router.New()
	rt.NotFound(text("root"), mark("x"))
	rt.MethodNotAllowed(text("method"))
	api := rt.Group("/api")
	api.Get("/a", say)
	api.NotFound(text("api"))
	api.Group("/own").NotFound(server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.SetStatus(410) }))
	rt.Get("/b", say)
	holds(t, rt, map[string]string{
		"GET /nowhere":     `404 xroot 404 ""`,
		"GET /api/nowhere": `404 api 404 ""`,
		"GET /api":         `404 api 404 ""`,
		"GET /apis":        `404 xroot 404 ""`,
		"GET /api/own/x":   "410",
		"POST /api/a":      `405 GET, HEAD, OPTIONSmethod 405 ""`,
		"OPTIONS /b":       "204 GET, HEAD, OPTIONS",
		"OPTIONS /c":       `404 xroot 404 ""`,
		"BREW /b":          "501 Not Implemented",
		"GET /x/../b":      "307 /b<a href=\"/b\">Temporary Redirect</a>.",
		"GET /b":           "200  GET /b",
	})
}

// TestRedirectsShowThePattern holds that a log of redirects has the pattern that is next.
func TestRedirectsShowThePattern(t *testing.T) {
	rt := router.New()
	rt.Get("/tree/", say)
	seen := ""
	h := server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.OnDone(func(_ *server.Response, r *server.Request) { seen = r.Pattern() })
		rt.Serve(w, r)
	})
	for target, want := range map[string]string{
		"/tree": "GET /tree/", "/x/../tree": "GET /tree/", "/x/../tree/y": "GET /tree/", "//nowhere": "", "/nowhere": "",
	} {
		if ask(h, "GET", target); seen != want {
			t.Errorf("%s: pattern %q, want %q", target, seen, want)
		}
	}
}

// TestScopeMistakesPanic holds that each mistake is told with its place in the source.
func TestScopeMistakesPanic(t *testing.T) {
	rt, other := router.New(), router.New()
	rt.Get("/a", say).Named("a")
	other.Get("/b", say).Named("a")
	rt.NotFound(server.HandlerFunc(say))
	place := regexp.MustCompile(`scope_test\.go:\d+`)
	for want, mistake := range map[string]func(){
		"a prefix has no method":             func() { rt.Group("GET /x") },
		"does not end in a slash":            func() { rt.Group("/x/") },
		"at offset 1: bad wildcard":          func() { rt.Group("/{x") },
		"{...} wildcard not at end":          func() { rt.Group("/{x...}") },
		"{$} not at end":                     func() { rt.Group("/{$}") },
		`its host is not a.org`:              func() { rt.Group("a.org").Get("b.org/x", say) },
		`host is not a.org, which`:           func() { rt.Group("a.org").Group("b.org") },
		`a second method beside GET, "POST"`: func() { rt.Get("POST /x", say) },
		`a path has no spaces, %20 is one`:   func() { rt.Get("/a b", say) },
		`"api" would be a host: write "/api" for the path, or "api." for the host`:   func() { rt.Group("api") },
		`"api" would be a host: write "/api/x" for the path, or "api./x" for the ho`: func() { rt.Get("api/x", say) },
		`parsing pattern "GET x"`:                      func() { rt.Get("x", say) },
		`parsing pattern ""`:                           func() { rt.HandleFunc("", say) },
		`duplicate wildcard name "x"`:                  func() { rt.Group("/{x}").Get("/{x}", say) },
		`duplicate wildcard name "b"`:                  func() { rt.Group("/{b}").Mount("/{b}", router.New()) },
		"nil handler":                                  func() { rt.Get("/x", nil) },
		`nil handler for pattern "/"`:                  func() { rt.NotFound(nil) },
		`nil handler for pattern "/m"`:                 func() { rt.Mount("/m", (*router.Router)(nil)) },
		`nil handler for pattern "/n"`:                 func() { rt.Mount("/n", nil) },
		`NotFound: pattern "/"`:                        func() { rt.NotFound(server.HandlerFunc(say)) },
		"mounted in itself":                            func() { rt.Mount("/x", rt) },
		`comes after pattern "GET /a" (registered at `: func() { rt.Use(mark("late")) },
		`comes after the Group "/g" (made at `: func() {
			late := router.New()
			late.Group("/g")
			late.Use(mark("late"))
		},
		"comes after the answer for 404 (registered at ": func() {
			late := router.New().Group("/g")
			late.NotFound(server.HandlerFunc(say))
			late.Use(mark("late"))
		},
		`cannot have the name "a"`:                     func() { rt.Get("/c", say).Named("a") },
		`is named "d" already`:                         func() { rt.Get("/d", say).Named("d").Named("e") },
		"empty name":                                   func() { rt.Get("/e", say).Named("") },
		`pattern "GET /m2/b" (registered at `:          func() { rt.Mount("/m2", other) },
		`pattern "GET /a" (registered at `:             func() { rt.HandleFunc("GET /a", say) },
		`both match "GET /a", and they match the same`: func() { rt.HandleFunc("GET /a", say) },
		`both match "GET /f/f"`:                        func() { rt.Get("/f/{x}", say); rt.Get("/{x}/f", say) },
	} {
		if got := panicOf(t, mistake); !strings.Contains(got, want) || !place.MatchString(got) {
			t.Errorf("got %q, want %q and a place", got, want)
		}
	}
}
