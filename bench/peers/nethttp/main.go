// Command nethttp is the plaintext answer of the standard library's server. It listens on a free loopback port,
// prints the address, and serves until it is killed.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
)

// contentType is assigned, not Set: the handler then allocates nothing for it, which is the best that a user of
// net/http can do.
var contentType = []string{"text/plain"}

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())

	body := []byte("Hello, World!")
	log.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = contentType
		w.Write(body)
	})))
}
