package websocket

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Frames may come with the handshake, and the end of TCP within a message is no message.
func TestEarlyFramesAndEnd(t *testing.T) {
	how := make(chan CloseError, 9)
	_, addr := startEcho(t, &Handler{OnClose: func(_ *Conn, h CloseError) { how <- h }})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = conn.Write(append([]byte(handshake+"\r\n"), frames(masked(0x81, "early"), masked(0x01, "half"))...))
	_ = conn.(*net.TCPConn).CloseWrite()
	c := &client{Conn: conn, t: t, r: bufio.NewReader(conn)}
	if c.res, err = http.ReadResponse(c.r, &http.Request{Method: "GET"}); err != nil {
		t.Fatal(err)
	}
	if got := c.transcript(); got != "81:early" {
		t.Errorf("%q", got)
	}
	if h := <-how; h.Code != CloseAbnormal {
		t.Errorf("closed with %v", h)
	}
}

// A peer that is silent gets a ping. It is reset when it does not answer, and stays when it does.
func TestPing(t *testing.T) {
	_, addr := startEcho(t, &Handler{PingInterval: 20 * time.Millisecond, PongTimeout: 100 * time.Millisecond})
	c := connect(t, addr, handshake)
	for range 5 {
		first, p, err := c.frame()
		if first != 0x89 || err != nil {
			t.Fatalf("%x %q %v", first, p, err)
		}
		_, _ = c.Write(masked(0x8a, string(p)))
	}
	if got := c.transcript(); !strings.Contains(got, "reset") {
		t.Errorf("%q", got)
	}
}

// Shutdown closes with 1001, and waits for the peer's close for a time.
func TestShutdown(t *testing.T) {
	for _, answers := range []bool{true, false} {
		s, addr := startEcho(t, &Handler{CloseTimeout: 200 * time.Millisecond})
		c := connect(t, addr, handshake)
		done := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			done <- s.Shutdown(ctx)
		}()
		first, p, err := c.frame()
		if first != 0x88 || err != nil || binary.BigEndian.Uint16(p) != 1001 {
			t.Fatalf("%x %q %v", first, p, err)
		}
		if answers {
			_, _ = c.Write(masked(0x88, code(1001, "")))
		}
		if _, _, err := c.frame(); err != io.EOF {
			t.Errorf("then %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A client that sends much and reads late gets everything, and is not read from meanwhile.
func TestBackPressure(t *testing.T) {
	_, addr := startEcho(t, &Handler{})
	c := connect(t, addr, handshake)
	const n, size = 64, 256 << 10
	message := masked(0x82, strings.Repeat("z", size))
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for range n {
			if _, err := c.Write(message); err != nil {
				return
			}
		}
		_, _ = c.Write(masked(0x88, ""))
	}()
	got := 0
	for {
		first, p, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if first == 0x88 {
			break
		}
		got += len(p)
	}
	if got != n*size {
		t.Errorf("%d bytes came", got)
	}
	<-wrote
}

// A hub reaches all. Who falls behind is closed with 1013, and the others are not.
func TestHub(t *testing.T) {
	var hub Hub
	how := make(chan CloseError, 9)
	_, addr := startEcho(t, &Handler{
		OnOpen:       func(c *Conn) { hub.Join(c) },
		OnClose:      func(c *Conn, h CloseError) { hub.Leave(c); how <- h },
		CloseTimeout: 100 * time.Millisecond,
	})
	good := connect(t, addr, handshake)
	squeezed := connect(t, addr, handshake+"Sec-WebSocket-Extensions: permessage-deflate\r\n")
	bad := connect(t, addr, handshake)
	for end := time.Now().Add(patience); hub.Len() < 3; {
		if time.Now().After(end) {
			t.Fatal("they did not join")
		}
	}
	_ = bad.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	m := Prepare(Text, []byte(strings.Repeat("m", 60<<10)))
	for i := 0; hub.Len() == 3 && i < 5000; i++ {
		hub.Broadcast(m)
		if _, p, err := good.frame(); err != nil || len(p) != 60<<10 {
			t.Fatalf("%d bytes, %v", len(p), err)
		}
		first, p, err := squeezed.frame()
		if first != 0xc1 || err != nil || len(p) > 1000 {
			t.Fatalf("%x, %d bytes, %v", first, len(p), err)
		}
	}
	if h := <-how; h.Code != CloseTryLater {
		t.Errorf("%v", h)
	}
}
