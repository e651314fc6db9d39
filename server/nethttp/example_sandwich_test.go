package nethttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
)

// A middleware of net/http around a handler of ours: the request crosses to net/http and back. That costs several times what
// the handler costs on the loop (two crossings), so it is for middleware that has no equal here.
func ExampleFrom_middleware() {
	stamp := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Stamp", r.Method+" "+r.URL.Path)
			next.ServeHTTP(w, r)
		})
	}
	hello := server.HandlerFunc(func(w *server.Response, r *server.Request) { w.WriteString("Hello!") })
	routes := router.New()
	routes.Handle("GET /hello", nethttp.From(stamp(nethttp.To(hello))))

	answer := httptest.NewRecorder()
	nethttp.To(routes).ServeHTTP(answer, httptest.NewRequest("GET", "/hello", nil))
	fmt.Println(answer.Header().Get("X-Stamp"), answer.Body)
	// Output: GET /hello Hello!
}

// Our handlers behind net/http, with the limits of a server.
func ExampleToServer() {
	h := nethttp.ToServer(&server.Server{
		MaxBodyBytes: 1 << 30,
		Handler:      server.HandlerFunc(func(w *server.Response, r *server.Request) { fmt.Fprint(w, len(r.Body())) }),
	})
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest("POST", "/", http.NoBody))
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 0
}
