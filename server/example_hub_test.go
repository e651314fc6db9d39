package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"time"

	"microhttp/server"
)

// A hub has no goroutine for a subscriber. Publish may be called by any goroutine.
func ExampleHub() {
	var hub server.Hub
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		hub.Subscribe(w.Events())
		_ = hub.Publish(server.Event{ID: "1", Name: "greeting", Data: "hello\nworld"}) // fails only for an event that cannot be sent
	}))
	defer end()
	res, err := http.Get(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Header.Get("Content-Type"))
	for lines := bufio.NewScanner(res.Body); lines.Scan() && lines.Text() != ""; {
		fmt.Println(lines.Text())
	}
	// Output:
	// text/event-stream
	// id: 1
	// event: greeting
	// data: hello
	// data: world
}

// RunUntil is what main calls, with the context of signal.NotifyContext.
func ExampleServer_RunUntil() {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1}
	s.OnShutdown(func() { fmt.Println("shutting down") })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(s.RunUntil(ctx, time.Second))
	// Output:
	// shutting down
	// <nil>
}
