// Command from is the plaintext answer of a net/http handler, on our server by nethttp.From. It listens on a free loopback
// port, prints the address, and serves until it is killed. What it takes less than command nethttp is what a program gains that
// keeps its handlers.
package main

import (
	"fmt"
	"log"
	"net/http"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// contentType is assigned, not Set, as in command nethttp.
var contentType = []string{"text/plain"}

func main() {
	body := []byte("Hello, World!")
	s := server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: nethttp.From(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = contentType
			_, _ = w.Write(body)
		}))}
	addr, err := s.Listen()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", addr)
	log.Fatal(s.Run())
}
