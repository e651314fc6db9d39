// Command nethttp is the plaintext answer of the standard library's server. It listens on a free loopback port,
// prints the address, and serves until it is killed. With two arguments, a certificate and its key, it speaks TLS.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

// contentType is assigned, not Set: the handler then allocates nothing for it, which is the best that a user of
// net/http can do.
var contentType = []string{"text/plain"}

// large is no part of the heap. 10 MiB of live memory there would have the collector run a fifth as often as in a service
// that holds little.
var large [10 << 20]byte

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())

	body := []byte("Hello, World!")
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = contentType
		switch r.URL.Path {
		case "/bytes/1048576":
			w.Write(large[:1<<20])
		case "/bytes/10485760":
			w.Write(large[:])
		case "/upload":
			io.Copy(io.Discard, r.Body)
		default:
			w.Write(body)
		}
	})
	if len(os.Args) == 3 {
		log.Fatal(http.ServeTLS(l, h, os.Args[1], os.Args[2]))
	}
	log.Fatal(http.Serve(l, h))
}
