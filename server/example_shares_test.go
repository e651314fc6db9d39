package server_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"microhttp/router"
	"microhttp/server"
)

// For metrics: what each route takes of each loop's time, as a counter of seconds.
func ExampleServer_RouteShares() {
	routes := router.New()
	routes.HandleFunc("GET /slow", func(w *server.Response, _ *server.Request) {
		time.Sleep(5 * time.Millisecond) // it should be Blocking
	})
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: routes}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	for len(s.RouteShares()) == 0 { // a look has not found it yet
		res, err := http.Get("http://" + addr.String() + "/slow")
		if err != nil {
			fmt.Println(err)
			return
		}
		res.Body.Close()
	}
	for _, share := range s.RouteShares() {
		fmt.Printf("route_seconds_total{route=%q,loop=\"%d\"} %.0f\n", share.Route, share.Loop, share.Total.Seconds())
	}
	http.DefaultClient.CloseIdleConnections()
	s.Shutdown(context.Background())
	<-ended
	// Output:
	// route_seconds_total{route="GET /slow",loop="0"} 0
}
