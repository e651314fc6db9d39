// Command fasthttp is the plaintext answer of github.com/valyala/fasthttp. It listens on a free loopback port,
// prints the address, and serves until it is killed. With two arguments, a certificate and its key, it speaks TLS.
package main

import (
	"fmt"
	"log"
	"net"
	"os"

	"github.com/valyala/fasthttp"
)

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
	server := fasthttp.Server{
		NoDefaultServerHeader: true, // the same fields as everybody else
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("text/plain")
			switch string(ctx.Path()) {
			case "/bytes/1048576":
				ctx.Response.SetBodyRaw(large[:1<<20])
			case "/bytes/10485760":
				ctx.Response.SetBodyRaw(large[:])
			default:
				ctx.Response.SetBodyRaw(body)
			}
		},
	}
	if len(os.Args) == 3 {
		log.Fatal(server.ServeTLS(l, os.Args[1], os.Args[2]))
	}
	log.Fatal(server.Serve(l))
}
