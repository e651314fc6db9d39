package nethttp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"
	"time"

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

// A handler of net/http, with middleware of net/http, served by this module's server.
func ExampleFrom() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.FormValue("name"))
	})
	s := &server.Server{
		Addr:    "127.0.0.1:0",
		Handler: nethttp.From(http.TimeoutHandler(hello, time.Minute, "too late")),
	}
	addr, err := s.Listen()
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	res, err := http.Get("http://" + addr.String() + "/?name=Ada+L")
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Println(res.StatusCode, string(body))

	http.DefaultClient.CloseIdleConnections()
	s.Shutdown(context.Background())
	<-ended
	// Output: 200 Hello, Ada L!
}

// A file server of net/http below a prefix of a router. Mount leaves the path as it is, so http.StripPrefix takes the
// prefix away: without its last slash, since the path that is left begins with one.
func ExampleFrom_mount() {
	files := fstest.MapFS{"notes/today.txt": {Data: []byte("Buy milk.")}}
	routes := router.New()
	routes.Mount("/files", nethttp.From(http.StripPrefix("/files", http.FileServerFS(files))))

	for _, path := range []string{"/files/notes/today.txt", "/files/none", "/files"} {
		answer := httptest.NewRecorder()
		nethttp.To(routes).ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		fmt.Println(answer.Code, answer.Header().Get("Location"), strings.TrimSpace(answer.Body.String()))
	}
	// Output:
	// 200  Buy milk.
	// 404  404 page not found
	// 307 /files/ <a href="/files/">Temporary Redirect</a>.
}
