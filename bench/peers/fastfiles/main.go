// Command fastfiles serves a directory by fasthttp.FS. It listens on a free loopback port, prints the address, and serves
// until it is killed.
package main

import (
	"fmt"
	"log"
	"net"
	"os"

	"github.com/valyala/fasthttp"
)

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())
	fs := fasthttp.FS{Root: os.Args[1], AcceptByteRange: true}
	server := fasthttp.Server{NoDefaultServerHeader: true, Handler: fs.NewRequestHandler()}
	log.Fatal(server.Serve(l))
}
