package router_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"microhttp/router"
	"microhttp/server"
)

func Example() {
	rt := router.New()
	rt.HandleFunc("GET /users/{id}", func(w *server.Response, r *server.Request) {
		w.WriteString("user " + r.PathValue("id"))
	})
	rt.HandleFunc("GET /users/me", func(w *server.Response, _ *server.Request) {
		w.WriteString("you")
	})
	rt.HandleFunc("/files/{path...}", func(w *server.Response, r *server.Request) {
		w.WriteString(r.Method() + " " + r.PathValue("path"))
	})

	get(rt, "/users/42", "/users/me", "/files/a/b%20c", "/users/")
	// Output:
	// 200 user 42
	// 200 you
	// 200 GET a/b c
	// 404 Not Found
}

func ExampleRouter_Use() {
	sign := func(next server.Handler) server.Handler {
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.WriteString(r.Pattern() + ": ")
			next.Serve(w, r)
		})
	}
	hello := func(w *server.Response, r *server.Request) {
		w.WriteString("Hello, " + r.PathValue("name"))
	}

	rt := router.New()
	rt.HandleFunc("/plain/{name}", hello)
	rt.Use(sign) // for what is registered from here on
	rt.HandleFunc("/signed/{name}", hello)

	get(rt, "/plain/Ada", "/signed/Ada")
	// Output:
	// 200 Hello, Ada
	// 200 /signed/{name}: Hello, Ada
}

// get serves h on a free port, and prints what it answers to each path.
func get(h server.Handler, paths ...string) {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	for _, path := range paths {
		res, err := http.Get("http://" + addr.String() + path)
		if err != nil {
			fmt.Println(err)
			break
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(res.StatusCode, string(body))
	}
	http.DefaultClient.CloseIdleConnections()
	s.Shutdown(context.Background())
	<-ended
}
