package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const wsAsk = " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// openSocket opens a WebSocket of the demo.
func openSocket(t *testing.T, addr, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET "+path+wsAsk)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	return c, r
}

func wantFrame(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

func TestWebSockets(t *testing.T) {
	addr := startDemo(t)
	c, r := openSocket(t, addr, "/ws/echo")
	_, _ = io.WriteString(c, "\x82\x82\x00\x00\x00\x00hi\x88\x80\x00\x00\x00\x00")
	wantFrame(t, r, "\x82\x02hi\x88\x00")

	a, fromA := openSocket(t, addr, "/chat/ws")
	_, _ = io.WriteString(a, "\x81\x81\x00\x00\x00\x00a")
	wantFrame(t, fromA, "\x81\x01a") // it has joined
	b, fromB := openSocket(t, addr, "/chat/ws")
	_, _ = io.WriteString(b, "\x81\x81\x00\x00\x00\x00b")
	wantFrame(t, fromB, "\x81\x01b")
	wantFrame(t, fromA, "\x81\x01b")

	if _, page := dial(t, addr).ask("GET /chat HTTP/1.1"); !strings.Contains(page, "/chat/ws") {
		t.Errorf("the page is %q", page)
	}
}
