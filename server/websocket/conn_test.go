package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

// Frames may come with the handshake, and the end of TCP within a message is no message.
func TestEarlyFramesAndEnd(t *testing.T) {
	how := make(chan websocket.CloseError, 9)
	_, addr := startEcho(t, &websocket.Handler{OnClose: func(_ *websocket.Conn, h websocket.CloseError) { how <- h }})
	conn, r, res := ask(t, addr, handshake+"\r\n"+string(sent(masked(0x81, "early"), masked(0x01, "half"))), false)
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(r); res.StatusCode != 101 || string(got) != "\x81\x05early" || err != nil {
		t.Errorf("%s, %q, %v", res.Status, got, err)
	}
	if h := <-how; h.Code != websocket.CloseAbnormal {
		t.Errorf("closed with %v", h)
	}
}

// A peer that is silent gets a ping. It is reset when it does not answer, and stays when it does.
func TestPing(t *testing.T) {
	how := make(chan websocket.CloseError, 1)
	_, addr := startEcho(t, &websocket.Handler{
		PingInterval: 20 * time.Millisecond, PongTimeout: 50 * time.Millisecond,
		OnClose: func(_ *websocket.Conn, h websocket.CloseError) { how <- h },
	})
	c := open(t, addr, nil)
	for range 3 {
		f, err := c.ReadFrame()
		if f.Opcode != websockettest.OpPing || err != nil {
			t.Fatalf("%v, %v", f, err)
		}
		_ = c.WriteFrame(masked(0x8a, string(f.Payload)))
	}
	if f, err := c.ReadFrame(); f.Opcode != websockettest.OpPing || err != nil {
		t.Fatalf("%v, %v", f, err)
	}
	if f, err := c.ReadFrame(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("without a pong: %v, %v", f, err)
	}
	if h := <-how; h.Code != websocket.CloseAbnormal || h.Reason != "no pong" {
		t.Errorf("%v", h)
	}
}

// Shutdown closes with 1001, and waits for the peer's close for a time.
func TestShutdown(t *testing.T) {
	for _, answers := range []bool{true, false} {
		const bound = 150 * time.Millisecond
		s, addr := startEcho(t, &websocket.Handler{CloseTimeout: bound})
		c := open(t, addr, nil)
		done := make(chan error)
		begun := time.Now()
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			done <- s.Shutdown(ctx)
		}()
		f, err := c.ReadFrame()
		if err != nil || f.Opcode != websockettest.OpClose || !strings.HasPrefix(string(f.Payload), code(1001, "")) {
			t.Fatalf("%v, %v", f, err)
		}
		if answers {
			_ = c.WriteFrame(masked(0x88, code(1001, "")))
		}
		if f, err := c.ReadFrame(); err != io.EOF {
			t.Errorf("then %v, %v", f, err)
		}
		if took := time.Since(begun); !answers && took < bound {
			t.Errorf("the close was awaited for %v only", took)
		}
		if answers {
			c.Conn().Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A client that has begun a close and never ends TCP is not waited for endlessly.
func TestCloseTimeout(t *testing.T) {
	how := make(chan websocket.CloseError, 1)
	_, addr := startEcho(t, &websocket.Handler{
		CloseTimeout: 20 * time.Millisecond,
		OnClose:      func(_ *websocket.Conn, h websocket.CloseError) { how <- h },
	})
	c := open(t, addr, nil)
	_ = c.WriteFrame(masked(0x88, code(3000, "bye")))
	if got := transcript(c); got != "close 3000" {
		t.Errorf("%q", got)
	}
	if h := <-how; h.Code != 3000 || h.Reason != "bye" {
		t.Errorf("%v", h)
	}
}

// A client that sends much and reads late gets everything, and is not read from meanwhile.
func TestBackPressure(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	c := open(t, addr, nil)
	const n, size = 24, 256 << 10
	message := sent(masked(0x82, strings.Repeat("z", size)))
	var wrote atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			if c.Write(message) != nil {
				return
			}
			wrote.Add(1)
		}
		_ = c.WriteFrame(masked(0x88, ""))
	}()
	got := 0
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if f.Opcode == websockettest.OpClose {
			break
		}
		got += len(f.Payload)
	}
	if got != n*size {
		t.Errorf("%d bytes came", got)
	}
	<-done
}

// Between Pause and Resume no message comes, and none is lost.
func TestPause(t *testing.T) {
	conns := make(chan *websocket.Conn, 1)
	got := make(chan string, 99)
	_, addr := startEcho(t, &websocket.Handler{
		OnOpen: func(c *websocket.Conn) { conns <- c },
		OnMessage: func(c *websocket.Conn, _ websocket.Kind, p []byte) {
			got <- string(p)
			if string(p) == "stop" {
				c.Pause()
			}
			if string(p) == "go on" {
				c.Pause()
				c.Resume()
			}
		},
	})
	c := open(t, addr, nil)
	server := <-conns
	_ = c.Write(sent(masked(0x81, "a"), masked(0x81, "stop"), masked(0x81, "b"), masked(0x81, "go on"), masked(0x81, "c"), masked(0x89, "p")))
	if a, b := <-got, <-got; a != "a" || b != "stop" {
		t.Errorf("%q, %q", a, b)
	}
	_ = c.WriteFrame(masked(0x81, "d"))
	looked := make(chan int)
	server.Reactor().CallFromThread(func() { looked <- len(got) })
	if n := <-looked; n != 0 {
		t.Errorf("%d messages came", n)
	}
	server.Reactor().CallFromThread(server.Resume)
	for _, want := range []string{"b", "go on", "c", "d"} {
		if p := <-got; p != want {
			t.Errorf("%q, want %q", p, want)
		}
	}
	if f, err := c.ReadFrame(); f.Opcode != websockettest.OpPong || err != nil {
		t.Errorf("%v, %v", f, err)
	}
	_ = c.WriteFrame(masked(0x81, "stop"))
	<-got
	server.Reactor().CallFromThread(func() { server.Close(1000, "") }) // which reads on, for the peer's close
	if _, _, err := c.ReadMessage(); err == nil || err.Error() != "websocket: closed with 1000 " {
		t.Errorf("%v", err)
	}
	if how, err := c.Close(1000, ""); err != nil {
		t.Errorf("%v, %v", how, err)
	}
}

// A hub reaches all, by a message that is encoded once for all that have agreed on the same. The one that falls behind is
// closed with 1013, and the others are not.
func TestHub(t *testing.T) {
	var hub websocket.Hub
	how := make(chan websocket.CloseError, 9)
	_, addr := startEcho(t, &websocket.Handler{
		OnOpen:       func(c *websocket.Conn) { hub.Join(c) },
		OnClose:      func(c *websocket.Conn, h websocket.CloseError) { hub.Leave(c); how <- h },
		CloseTimeout: 100 * time.Millisecond,
	})
	good := open(t, addr, nil)
	squeezed := open(t, addr, &websockettest.Options{Compression: true})
	bad := open(t, addr, nil)
	for end := time.Now().Add(patience); hub.Len() < 3; {
		if time.Now().After(end) {
			t.Fatal("they did not join")
		}
	}
	_ = bad.Conn().(*net.TCPConn).SetReadBuffer(4 << 10)
	m := websocket.Prepare(websocket.Text, []byte(strings.Repeat("m", 60<<10)))
	for i := 0; hub.Len() == 3 && i < 5000; i++ {
		hub.Broadcast(m)
		if f, err := good.ReadFrame(); err != nil || len(f.Payload) != 60<<10 {
			t.Fatalf("%v, %v", f, err)
		}
		f, err := squeezed.ReadFrame()
		if err != nil || !f.RSV1 || len(f.Payload) > 1000 {
			t.Fatalf("%v, %v", f, err)
		}
	}
	if h := <-how; h.Code != websocket.CloseTryLater {
		t.Errorf("%v", h)
	}
	if n := hub.Len(); n != 2 {
		t.Errorf("%d are left", n)
	}
}
