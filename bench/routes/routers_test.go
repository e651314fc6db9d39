package routes

// The contestants. Each is filled with the same routes, and asked through what its own server calls for each request:
// a handler that gets a request and a place for the answer. Requests are made once, before anything is timed, as a
// server would have made them by then; the handlers do nothing but say which of them was called.

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"

	fasthttprouter "github.com/fasthttp/router"
	"github.com/julienschmidt/httprouter"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
)

// A contestant is a router with its requests: ask hands it the request for route i.
type contestant struct {
	name string
	ask  func(i int)
}

// tally is where handlers leave word: the route of the last one called, and, if verify is on, whether the parameters had
// the values of that route.
type tally struct {
	hit    int
	verify bool
	took   bool
}

// native are the routers in their own servers' terms. The rows named Lookup are the functions that only look up,
// where a router has one.
func native(tb testing.TB, routes []Route, t *tally) []contestant {
	mux, requests := serveMux(routes, t), httpRequests(routes)
	hr := httpRouter(routes, t)
	fr, contexts := fasthttpRouter(routes, t), fasthttpRequests(routes)
	rt := ours(routes, t)
	ws, rs := ourRequests(tb, routes)
	w := new(discard)
	return []contestant{
		{"microhttp", func(i int) { rt.Serve(ws[i], rs[i]) }},
		{"ServeMux", func(i int) { mux.ServeHTTP(w, requests[i]) }},
		{"httprouter", func(i int) { hr.ServeHTTP(w, requests[i]) }},
		{"fasthttp", func(i int) { fr.Handler(contexts[i]) }},
		{"httprouter.Lookup", func(i int) {
			h, params, _ := hr.Lookup(routes[i].Method, routes[i].Path)
			h(w, requests[i], params)
		}},
		{"fasthttp.Lookup", func(i int) {
			h, _ := fr.Lookup(routes[i].Method, routes[i].Path, contexts[i])
			h(contexts[i])
		}},
	}
}

// bridged are the routers behind the interface of net/http: ours through nethttp.To.
func bridged(routes []Route, t *tally) []contestant {
	mux, hr, requests := serveMux(routes, t), httpRouter(routes, t), httpRequests(routes)
	to := nethttp.To(ours(routes, t))
	w := new(discard)
	return []contestant{
		{"microhttp", func(i int) { to.ServeHTTP(w, requests[i]) }},
		{"ServeMux", func(i int) { mux.ServeHTTP(w, requests[i]) }},
		{"httprouter", func(i int) { hr.ServeHTTP(w, requests[i]) }},
	}
}

func ours(routes []Route, t *tally) *router.Router {
	rt := router.New()
	for i, r := range routes {
		rt.HandleFunc(r.Method+" "+r.Pattern, func(_ *server.Response, r *server.Request) {
			t.hit = i
			if t.verify {
				t.took = routes[i].took(r.PathValue)
			}
		})
	}
	return rt
}

// ourRequests makes requests as a server does, each on a connection of its own. The answers are owed for ever.
func ourRequests(tb testing.TB, routes []Route) (ws []*server.Response, rs []*server.Request) {
	loop, err := reactor.New(reactor.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { loop.Close() })
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Log: nop, Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.Later()
		ws, rs = append(ws, w), append(rs, r)
	})}
	factory := s.Factory(loop)
	for _, r := range routes {
		c := factory.BuildProtocol(netip.AddrPort{})
		c.ConnectionMade(silent{})
		c.DataReceived(fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: a.example\r\n\r\n", r.Method, r.Path))
	}
	if len(rs) != len(routes) {
		tb.Fatalf("%d of %d requests arrived", len(rs), len(routes))
	}
	return ws, rs
}

// silent is a transport on which nothing is ever sent.
type silent struct{ reactor.Transport }

func (silent) SetTimeout(time.Duration)          {}
func (silent) RegisterProducer(reactor.Producer) {}

func serveMux(routes []Route, t *tally) *http.ServeMux {
	mux := http.NewServeMux()
	for i, r := range routes {
		mux.HandleFunc(r.Method+" "+r.Pattern, func(_ http.ResponseWriter, r *http.Request) {
			t.hit = i
			if t.verify {
				t.took = routes[i].took(r.PathValue)
			}
		})
	}
	return mux
}

func httpRouter(routes []Route, t *tally) *httprouter.Router {
	hr := httprouter.New()
	for i, r := range routes {
		hr.Handle(r.Method, r.colons(), func(_ http.ResponseWriter, _ *http.Request, params httprouter.Params) {
			t.hit = i
			if t.verify {
				t.took = routes[i].took(params.ByName)
			}
		})
	}
	return hr
}

func httpRequests(routes []Route) []*http.Request {
	var requests []*http.Request
	for _, r := range routes {
		u, err := url.ParseRequestURI(r.Path)
		if err != nil {
			panic(err)
		}
		requests = append(requests, &http.Request{
			Method: r.Method, URL: u, RequestURI: r.Path, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Host: "a.example", Header: http.Header{}, Body: http.NoBody,
		})
	}
	return requests
}

func fasthttpRouter(routes []Route, t *tally) *fasthttprouter.Router {
	fr := fasthttprouter.New()
	for i, r := range routes {
		fr.Handle(r.Method, r.Pattern, func(ctx *fasthttp.RequestCtx) {
			t.hit = i
			if t.verify {
				t.took = routes[i].took(func(name string) string { s, _ := ctx.UserValue(name).(string); return s })
			}
		})
	}
	return fr
}

func fasthttpRequests(routes []Route) []*fasthttp.RequestCtx {
	var contexts []*fasthttp.RequestCtx
	for _, r := range routes {
		ctx := new(fasthttp.RequestCtx)
		ctx.Request.Header.SetMethod(r.Method)
		ctx.Request.Header.SetHost("a.example")
		ctx.Request.SetRequestURI(r.Path)
		ctx.Path() // parses, as the first look at a path does
		contexts = append(contexts, ctx)
	}
	return contexts
}

// discard is a ResponseWriter to which nothing is written that matters.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = make(http.Header)
	}
	return d.header
}

func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
