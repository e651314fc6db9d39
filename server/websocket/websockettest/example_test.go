package websockettest_test

import (
	"fmt"

	"microhttp/server"
	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

// A test of a handler that echoes, and of what it does with a frame that is forbidden.
func Example() {
	s := &server.Server{Addr: "127.0.0.1:0", Handler: &websocket.Handler{
		OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) { c.Write(kind, p) },
	}}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	c, err := websockettest.Dial(addr.String(), &websockettest.Options{Compression: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = c.WriteMessage(websocket.Text, []byte("hello"))
	_, p, err := c.ReadMessage()
	fmt.Printf("%s %v\n", p, err)
	_ = c.WriteFrame(websockettest.Frame{Opcode: 3})
	_, _, err = c.ReadMessage()
	fmt.Println(err)
	_, err = c.Close(1000, "")
	fmt.Println(err)
	_ = s.Close()
	<-ended
	// Output:
	// hello <nil>
	// websocket: closed with 1002 reserved opcode
	// <nil>
}
