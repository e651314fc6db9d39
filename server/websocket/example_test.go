package websocket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"microhttp/server"
	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

// An echo, and what a client of few words sees of it.
func ExampleHandler() {
	s := &server.Server{Addr: "127.0.0.1:0", Handler: &websocket.Handler{
		OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) { c.Write(kind, p) },
		OnClose:   func(_ *websocket.Conn, how websocket.CloseError) { fmt.Println("closed with", how.Code) },
	}}
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
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	fmt.Fprint(c, "\x81\x82\x00\x00\x00\x00hi"+"\x88\x82\x00\x00\x00\x00\x03\xe8") // text, and a close frame of 1000
	b, _ := io.ReadAll(c)
	fmt.Printf("%q\n", b[len(b)-8:])
	c.Close()

	s.Shutdown(context.Background())
	<-ended
	// Output:
	// "\x81\x02hi\x88\x02\x03\xe8"
	// closed with 1000
}

// A page of news: each message is encoded once for all.
func ExampleHub() {
	var hub websocket.Hub
	h := &websocket.Handler{
		OnOpen:  func(c *websocket.Conn) { hub.Join(c) },
		OnClose: func(c *websocket.Conn, _ websocket.CloseError) { hub.Leave(c) },
	}
	_ = h // register it
	hub.Broadcast(websocket.Prepare(websocket.Text, []byte("news")))
	fmt.Println(hub.Len(), "were there to hear it")
	// Output: 0 were there to hear it
}

// A handler that blocks: one goroutine for each connection, which reads, works and writes in turn.
func ExampleHandler_Accept() {
	var sockets websocket.Handler
	s := &server.Server{Addr: "127.0.0.1:0", Handler: server.BlockingFunc(func(w *server.Response, r *server.Request) {
		c, err := sockets.Accept(w, r)
		if err != nil {
			return // w has the answer
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for {
			kind, p, err := c.Read(ctx)
			if err != nil {
				fmt.Println(err)
				return
			}
			if err := c.Write(ctx, kind, bytes.ToUpper(p)); err != nil {
				return
			}
		}
	})}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	c, err := websockettest.Dial(addr.String(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = c.WriteMessage(websocket.Text, []byte("hello"))
	_, p, _ := c.ReadMessage()
	fmt.Printf("%s\n", p)
	_, _ = c.Close(1000, "bye")
	_ = s.Shutdown(context.Background())
	<-ended
	// Output:
	// HELLO
	// websocket: closed with 1000 bye
}
