package router_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/router"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// connection is a connection of a server, without a socket: what the server writes is kept. It is the Transport
// too, as far as the server uses one while requests are answered at once.
type connection struct {
	reactor.Transport
	protocol reactor.Protocol
	out      bytes.Buffer
	room     []byte
}

func (c *connection) Write(p []byte)                    { c.out.Write(p) }
func (c *connection) Room(int) []byte                   { return c.room[:0] }
func (c *connection) Commit(b []byte)                   { c.out.Write(b) }
func (c *connection) Buffered() int                     { return 0 }
func (c *connection) SetTimeout(time.Duration)          {}
func (c *connection) RegisterProducer(reactor.Producer) {}

// connect returns a connection of a new server whose handler is h.
func connect(t testing.TB, h server.Handler) *connection {
	t.Helper()
	loop, err := reactor.New(reactor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loop.Close() })
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Handler: h, Log: nop}
	c := &connection{protocol: s.Factory(loop).BuildProtocol(netip.AddrPort{}), room: make([]byte, 0, 4<<10)}
	c.protocol.ConnectionMade(c)
	return c
}

// exchange sends a request and returns the answer.
func (c *connection) exchange(t testing.TB, method, target string) (*http.Response, string) {
	t.Helper()
	c.out.Reset()
	c.protocol.DataReceived(fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, target))
	res, err := http.ReadResponse(bufio.NewReader(&c.out), &http.Request{Method: method})
	if err != nil {
		t.Errorf("%s %s: %v", method, target, err)
		return new(http.Response), ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, target, err)
	}
	return res, string(body)
}

// tell answers with what the router told the handler.
func tell(w *server.Response, r *server.Request) {
	fmt.Fprintf(w, "%s|%s|%s|%s", r.Method(), r.Pattern(), r.PathValue("id"), r.PathValue("rest"))
}

func TestServe(t *testing.T) {
	rt := router.New()
	rt.HandleFunc("GET /users/{id}", tell)
	rt.Handle("/files/{id}/{rest...}", server.HandlerFunc(tell))
	rt.HandleFunc("POST /{$}", tell)
	rt.HandleFunc("OPTIONS /own", tell)
	rt.HandleFunc("GET /own", tell)
	rt.HandleFunc("LOCK /own", tell)
	c := connect(t, rt)
	for _, test := range []struct {
		method, target string
		status         int
		allow, body    string
	}{
		{"GET", "/users/7?x=/users/8", 200, "", "GET|GET /users/{id}|7|"},
		{"GET", "/users/a%2Fb%20c", 200, "", "GET|GET /users/{id}|a/b c|"},
		{"GET", "http://a/users/7", 200, "", "GET|GET /users/{id}|7|"},
		{"HEAD", "/users/7", 200, "", ""},
		{"PUT", "/files/7/a/%62/", 200, "", "PUT|/files/{id}/{rest...}|7|a/b/"},
		{"OPTIONS", "/files/7/", 200, "", "OPTIONS|/files/{id}/{rest...}|7|"},
		{"POST", "/", 200, "", "POST|POST /{$}||"},
		{"POST", "http://a", 200, "", "POST|POST /{$}||"},
		{"LOCK", "/own", 200, "", "LOCK|LOCK /own||"},
		{"OPTIONS", "/own", 200, "", "OPTIONS|OPTIONS /own||"},

		{"OPTIONS", "/users/7", 204, "GET, HEAD, OPTIONS", ""},
		{"OPTIONS", "*", 204, "DELETE, GET, HEAD, LOCK, OPTIONS, PATCH, POST, PUT, TRACE", ""},
		{"DELETE", "/users/7", 405, "GET, HEAD, OPTIONS", "Method Not Allowed\n"},
		{"HEAD", "/", 405, "OPTIONS, POST", ""},
		{"PUT", "/own", 405, "GET, HEAD, LOCK, OPTIONS", "Method Not Allowed\n"},
		{"UNLOCK", "/own", 501, "", "Not Implemented\n"},
		{"GET", "/nowhere", 404, "", "Not Found\n"},
		{"GET", "/files/7/../8", 307, "", "<a href=\"/files/8/\">Temporary Redirect</a>.\n\n"},
	} {
		res, body := c.exchange(t, test.method, test.target)
		if res.StatusCode != test.status || res.Header.Get("Allow") != test.allow || body != test.body {
			t.Errorf("%s %s: got %d, Allow %q, %q", test.method, test.target, res.StatusCode, res.Header.Get("Allow"), body)
		}
		if test.status >= 404 && !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s %s: Content-Type %q", test.method, test.target, res.Header.Get("Content-Type"))
		}
	}
}

func TestZeroRouterServes(t *testing.T) {
	c := connect(t, new(router.Router))
	for method, status := range map[string]int{"GET": 404, "OPTIONS": 404, "LOCK": 501} {
		if res, _ := c.exchange(t, method, "/"); res.StatusCode != status {
			t.Errorf("%s: status %d, want %d", method, res.StatusCode, status)
		}
	}
}

// panicOf returns what f panicked with.
func panicOf(t *testing.T, f func()) (message string) {
	t.Helper()
	defer func() {
		if message = fmt.Sprint(recover()); message == "<nil>" {
			t.Error("no panic")
		}
	}()
	f()
	return ""
}

func TestMistakesPanic(t *testing.T) {
	rt := router.New()
	rt.HandleFunc("/", tell)
	for want, mistake := range map[string]func(){
		`parsing pattern "GET /a/{x" (registered at `: func() { rt.HandleFunc("GET /a/{x", tell) },
		`): at offset 7: bad wildcard`:                func() { rt.HandleFunc("GET /a/{x", tell) },
		`nil handler for pattern "/a"`:                func() { rt.Handle("/a", nil) },
		`nil handler for pattern "/b"`:                func() { rt.HandleFunc("/b", nil) },
		"nil middleware":                              func() { rt.Use(nil) },
		"middleware returned a nil handler":           func() { swallowing().HandleFunc("/", tell) },
		"returned a nil handler": func() {
			router.New().HandleFunc("/", tell, func(server.Handler) server.Handler { return server.HandlerFunc(nil) })
		},
		"Handle called after the first request": func() { serving(t).HandleFunc("/a", tell) },
		"Use called after the first request":    func() { serving(t).Use() },
	} {
		if got := panicOf(t, mistake); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What people write who come from another router is refused, with what to write instead.
func TestNewcomersPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"GET /users/:id":         `write "GET /users/{id}"`,
		"/files/*":               `write "/files/{rest...}"`,
		"/users/<id>":            `"<id>" is no wildcard here: write "/users/{id}", or "/users/%3Cid>" for the text itself`,
		"/users/{id:[0-9]+}":     `bad wildcard name "id:[0-9]+": write {id}, and check the value in the handler`,
		"/users/{id?}":           `no segment is optional, register both paths`,
		"/users/{user-id}":       `it is an identifier of Go`,
		"/users/{id}.json":       `a wildcard is a whole segment`,
		"/users/u{id}":           `a wildcard is a whole segment`,
		"/files/{path...}/x":     `{...} wildcard not at end`,
		"get /users":             `methods are case-sensitive: write GET for get`,
		"/users?all=1":           `a pattern has no query`,
		"/a b":                   `invalid method "/a": a path has no spaces`,
		"GET https://a.org/x":    `a pattern has no scheme, write "a.org/x"`,
		"users":                  `path missing /`,
		"/users/../me":           `can never match`,
		"GET http://a.org/{x}/y": `write "a.org/{x}/y"`,
	} {
		if got := panicOf(t, func() { router.New().HandleFunc(pattern, tell) }); !strings.Contains(got, want) || !strings.Contains(got, "router_test.go:") {
			t.Errorf("%s: %q lacks %q", pattern, got, want)
		}
	}
	for _, good := range []string{"QUERY /x", "/a%3Fb", "localhost/x", "intranet/x", "GET /x/+"} {
		router.New().HandleFunc(good, tell)
	}
	router.New().Group("localhost").Get("/x", tell)
}

func swallowing() *router.Router {
	rt := router.New()
	rt.Use(func(server.Handler) server.Handler { return nil })
	return rt
}

func serving(t *testing.T) *router.Router {
	rt := router.New()
	connect(t, rt).exchange(t, "GET", "/")
	return rt
}

func TestConflictNamesBothPlaces(t *testing.T) {
	line := func() int {
		_, _, line, _ := runtime.Caller(1)
		return line
	}
	rt := router.New()
	rt.HandleFunc("GET /a/{x}", tell)
	first := line() - 1
	got, second := panicOf(t, func() { rt.Handle("GET /{y}/b", server.HandlerFunc(tell)) }), line()
	for _, want := range []string{
		`pattern "GET /{y}/b" (registered at `, fmt.Sprintf("router_test.go:%d) conflicts with ", second),
		`pattern "GET /a/{x}" (registered at `, fmt.Sprintf("router_test.go:%d): ", first),
		`both match "GET /a/b"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// named is middleware that signs the answer and counts how often it was put around a handler.
func named(name string, wrapped *int) func(server.Handler) server.Handler {
	return func(next server.Handler) server.Handler {
		*wrapped++
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.WriteString(name + "(" + r.Pattern() + ") ")
			next.Serve(w, r)
		})
	}
}

func TestUse(t *testing.T) {
	var a, b, c int
	rt := router.New()
	rt.Use(named("a", &a), named("b", &b))
	rt.Use(named("c", &c))
	rt.HandleFunc("/one", tell)
	rt.HandleFunc("GET /two", tell)

	conn := connect(t, rt)
	for range 2 {
		for target, want := range map[string]string{
			"/one":     "a(/one) b(/one) c(/one) GET|/one||",
			"/two":     "a(GET /two) b(GET /two) c(GET /two) GET|GET /two||",
			"/nowhere": "Not Found\n",
		} {
			if _, body := conn.exchange(t, "GET", target); body != want {
				t.Errorf("%s: got %q, want %q", target, body, want)
			}
		}
	}
	if a != 3 || b != 3 || c != 3 { // two routes, and what the Router answers itself
		t.Errorf("wrapped %d, %d and %d handlers, want 3", a, b, c)
	}
}

// TestMiddlewareRegisters has middleware bring a route along, as one that serves its own figures would.
func TestMiddlewareRegisters(t *testing.T) {
	rt, done := router.New(), false
	rt.Use(func(next server.Handler) server.Handler {
		if !done {
			done = true
			rt.HandleFunc("/figures", tell)
		}
		return next
	})
	rt.HandleFunc("/", tell)
	if _, body := connect(t, rt).exchange(t, "GET", "/figures"); body != "GET|/figures||" {
		t.Errorf("got %q", body)
	}
}

// TestRouterWithin holds that a router is a handler as any other: the inner one's match is what its handlers see.
func TestRouterWithin(t *testing.T) {
	inner, outer := router.New(), router.New()
	inner.HandleFunc("/{id}/x/{rest...}", tell)
	outer.Handle("/{rest...}", inner)
	if _, body := connect(t, outer).exchange(t, "GET", "/1/x/2"); body != "GET|/{id}/x/{rest...}|1|2" {
		t.Errorf("got %q", body)
	}
}

// TestServeAllocatesNothing follows requests through a connection, with a handler that looks at nothing.
func TestServeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ok := func(w *server.Response, _ *server.Request) { w.WriteString("ok") }
	rt := router.New()
	for i := range 200 {
		rt.HandleFunc(fmt.Sprintf("GET /things%d/{thing}", i), ok)
	}
	rt.HandleFunc("GET /plaintext", ok)
	rt.HandleFunc("GET /users/{user}/posts/{post}", ok)
	rt.HandleFunc("/files/{path...}", ok)
	rt.HandleFunc("GET a/hosted/{x}", ok)
	rt.HandleFunc("/p/{a}/{b}/{c}/{d}/{e}/{f}", ok)
	c := connect(t, rt)
	for _, target := range []string{
		"/plaintext", "/%70laintext", "/things7/8", "/users/123/posts/456", "/users/1%323/%70osts/%34", "/files/a/b/c",
		"/hosted/1", "/p/1/2/3/4/5/6",
	} {
		request := []byte("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if n := testing.AllocsPerRun(100, func() {
			c.out.Reset()
			c.protocol.DataReceived(request)
		}); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
		if !strings.HasSuffix(c.out.String(), "\r\n\r\nok") {
			t.Errorf("%s: answered with %q", target, c.out.String())
		}
	}
}

// TestManyLoops lets the first requests of several loops meet, for the race detector to watch.
func TestManyLoops(t *testing.T) {
	const loops, requests = 4, 100
	rt := router.New()
	rt.HandleFunc("GET /users/{id}", tell)
	var wg sync.WaitGroup
	for range loops {
		c := connect(t, rt)
		wg.Go(func() {
			for i := range requests {
				want := fmt.Sprintf("GET|GET /users/{id}|%d|", i)
				if _, body := c.exchange(t, "GET", fmt.Sprintf("/users/%d", i)); body != want {
					t.Errorf("got %q, want %q", body, want)
				}
			}
		})
	}
	wg.Wait()
}
