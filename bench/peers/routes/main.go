// Command routes is a server of this repository with two hundred routes: GET /plaintext, GET /users/{user}/posts/{post},
// and others beside them. It listens on a free loopback port, prints the address, and serves until it is killed.
package main

import (
	"fmt"
	"log"

	"microhttp/bench/routes"
	"microhttp/router"
	"microhttp/server"
)

// size is the number of routes in all.
const size = 200

func main() {
	rt := router.New()
	rt.Get("/plaintext", func(w *server.Response, _ *server.Request) {
		w.SetHeader("Content-Type", "text/plain")
		w.WriteString("Hello, World!")
	})
	rt.Get("/users/{user}/posts/{post}", func(w *server.Response, r *server.Request) {
		w.SetHeader("Content-Type", "text/plain")
		w.WriteString(r.PathValue("user"))
		w.WriteString(" wrote ")
		w.WriteString(r.PathValue("post"))
	})
	for _, r := range routes.Load("github")[:size-2] {
		rt.HandleFunc(r.Method+" "+r.Pattern, func(*server.Response, *server.Request) {})
	}
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: rt}
	addr, err := s.Listen()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", addr)
	log.Fatal(s.Run())
}
