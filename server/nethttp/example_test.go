package nethttp_test

import (
	"fmt"
	"net/http/httptest"

	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
)

// A router, and the handlers behind it, tested without a socket.
func ExampleTo() {
	routes := router.New()
	routes.Get("/hello/{name}", func(w *server.Response, r *server.Request) {
		w.WriteString("Hello, " + r.PathValue("name") + "!")
	})

	answer := httptest.NewRecorder()
	nethttp.To(routes).ServeHTTP(answer, httptest.NewRequest("GET", "/hello/Ada%20L", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 Hello, Ada L!
}
