// Command coder echoes WebSocket messages with github.com/coder/websocket on net/http. It listens on a free loopback port,
// prints the address, and serves until it is killed.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())
	log.Fatal(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		ctx := context.Background()
		for {
			kind, p, err := c.Read(ctx)
			if err != nil || c.Write(ctx, kind, p) != nil {
				return
			}
		}
	})))
}
