package router_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"

	"microhttp/router"
	"microhttp/server"
)

// guarded takes bodies from those who know the word.
var guarded = server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
	if r.PathValue("word") != "please" {
		w.Error(403)
		return
	}
	next.Serve(w, r)
})

// What the router refuses is refused before the body is sent; what a route takes is left to its handler.
func TestRoutedByTheHead(t *testing.T) {
	rt := router.New()
	ok := server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Write(r.PeekBody()) })
	rt.Handle("POST /take", ok)
	rt.Handle("POST /guarded/{word}", guarded(ok))
	rt.Group("/own").NotFound(ok)
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: rt}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	defer func() { s.Shutdown(context.Background()); <-ended }()

	for line, first := range map[string]string{
		"POST /take":           "HTTP/1.1 100 Continue\r\n",
		"POST /guarded/please": "HTTP/1.1 100 Continue\r\n",
		"POST /guarded/x":      "HTTP/1.1 403 Forbidden\r\n",
		"POST /nowhere":        "HTTP/1.1 404 Not Found\r\n",
		"PUT /take":            "HTTP/1.1 405 Method Not Allowed\r\n",
		"BREW /take":           "HTTP/1.1 501 Not Implemented\r\n",
		"OPTIONS /take":        "HTTP/1.1 204 No Content\r\n",
		"POST /x/../take":      "HTTP/1.1 307 Temporary Redirect\r\n",
		"POST /own/nowhere":    "HTTP/1.1 100 Continue\r\n",
	} {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", line)
		if got, err := bufio.NewReader(c).ReadString('\n'); got != first {
			t.Errorf("%s: %q, %v; want %q", line, got, err, first)
		}
		c.Close()
	}
}
