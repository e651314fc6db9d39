// Command fasthttp is the plaintext answer of github.com/valyala/fasthttp. It listens on a free loopback port,
// prints the address, and serves until it is killed.
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/valyala/fasthttp"
)

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
			ctx.Response.SetBodyRaw(body)
		},
	}
	log.Fatal(server.Serve(l))
}
