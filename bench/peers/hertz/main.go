// Command hertz is the plaintext answer of github.com/cloudwego/hertz on its own event loop (netpoll). It listens on
// a free loopback port, prints the address, and serves until it is killed.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/cloudwego/hertz/pkg/app"
	"github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/common/hlog"
)

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())

	hlog.SetLevel(hlog.LevelError)
	h := server.New(server.WithListener(l), server.WithDisablePrintRoute(true))
	body := []byte("Hello, World!")
	h.GET("/plaintext", func(_ context.Context, c *app.RequestContext) { c.Data(200, "text/plain", body) })
	log.Fatal(h.Run())
}
