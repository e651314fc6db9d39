package server_test

import (
	"fmt"
	"time"

	"microhttp/server"
)

// Middleware that lets each request wait for a while, without a goroutine and without reading its body.
func ExampleResponse_Hold() {
	slow := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		held := w.Hold()
		r.Reactor().CallLater(10*time.Millisecond, func() { held.Serve(next) })
	})
	s := &server.Server{Addr: "127.0.0.1:0", Handler: slow(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.Text(200, fmt.Sprint("it took 10 ms or more: ", time.Since(r.Received()) >= 10*time.Millisecond))
	}))}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	go s.Run()
	defer s.Close()
	get("http://" + addr.String())
	// Output:
	// 200 it took 10 ms or more: true
}
