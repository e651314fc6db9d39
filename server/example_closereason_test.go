package server_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"microhttp/server"

	"github.com/rs/zerolog"
)

// Connections are counted by the reason for which they have ended: this is what a metrics endpoint shows.
func ExampleServer_CloseCounts() {
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Log: nop}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") // without Host
	io.Copy(io.Discard, c)
	c.Close()

	s.Shutdown(context.Background())
	<-ended
	for why, n := range s.CloseCounts() {
		if n > 0 {
			fmt.Println(why.Name(), n)
		}
	}
	// Output: refused 1
}
