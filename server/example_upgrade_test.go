package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"

	"microhttp/reactor"
	"microhttp/server"
)

// shouting is a protocol that gives back what comes, in upper case.
type shouting struct{ t reactor.Transport }

func (s *shouting) ConnectionMade(t reactor.Transport) { s.t = t }
func (s *shouting) DataReceived(p []byte)              { s.t.Write([]byte(strings.ToUpper(string(p)))) }
func (s *shouting) ConnectionLost(error)               {}

// converse sends a request with an upgrade and a line, and prints what comes back.
func converse(url string) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nhello\n")
	in := bufio.NewReader(conn)
	status, _ := in.ReadString('\n')
	fmt.Println(strings.TrimSpace(status))
	for line := status; line != "\r\n"; {
		line, _ = in.ReadString('\n')
	}
	answer, _ := in.ReadString('\n')
	fmt.Print(answer)
}

// A request becomes another protocol, on the loop.
func ExampleResponse_Upgrade() {
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		if err := w.Upgrade("shout", &shouting{}); err != nil {
			w.Error(426)
			w.SetHeader("Upgrade", "shout")
		}
	}))
	defer end()
	converse(url)
	// Output:
	// HTTP/1.1 101 Switching Protocols
	// HELLO
}

// A Blocking handler takes the connection as a net.Conn.
func ExampleResponse_Hijack() {
	url, end := serve(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		conn, unread, err := w.Hijack()
		if err != nil {
			return // the peer is gone
		}
		defer conn.Close()
		in := bufio.NewReader(io.MultiReader(strings.NewReader(string(unread)), conn))
		line, _ := in.ReadString('\n')
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n")
		io.WriteString(conn, strings.ToUpper(line))
	}))
	defer end()
	converse(url)
	// Output:
	// HTTP/1.1 101 Switching Protocols
	// HELLO
}
