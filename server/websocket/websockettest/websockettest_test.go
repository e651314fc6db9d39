package websockettest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"microhttp/server/servertest"
	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

func echo() *websocket.Handler {
	return &websocket.Handler{OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) { c.Write(kind, p) }}
}

func TestEcho(t *testing.T) {
	ws := websockettest.Dial(t, servertest.New(t, echo()), "/")
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 300_000} {
		text := strings.Repeat("x", n)
		if ws.Send(text); ws.Text() != text {
			t.Errorf("the echo of %d bytes is another", n)
		}
	}
	ws.SendBinary([]byte{0, 255})
	if m := ws.Receive(); m.Kind != websocket.Binary || string(m.Data) != "\x00\xff" {
		t.Errorf("%+v", m)
	}
	ws.SendFrame(websockettest.Frame{Op: websockettest.Text, Payload: []byte("in ")})
	ws.WantSilence()
	ws.SendFrame(websockettest.Frame{Fin: true, Op: websockettest.Continuation, Payload: []byte("pieces")})
	if text := ws.Text(); text != "in pieces" {
		t.Errorf("%q", text)
	}
	ws.Close(websocket.CloseNormal, "enough")
	ws.WantClose(websocket.CloseNormal)
}

// The server pings a silent peer, in virtual time, and closes one that breaks the rules.
func TestPingsAndRules(t *testing.T) {
	c := servertest.New(t, echo())
	ws := websockettest.Dial(t, c, "/")
	c.Advance(31 * time.Second)
	ws.Send("hello")
	if text := ws.Text(); text != "hello" || ws.Pings == 0 {
		t.Errorf("%q after %d pings", text, ws.Pings)
	}
	ws.SendFrame(websockettest.Frame{Fin: true, Op: 3})
	ws.WantClose(websocket.CloseProtocol)
}

func TestDeflate(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		h := echo()
		h.ContextTakeover = takeover
		ws := websockettest.Dial(t, servertest.New(t, h), "/", servertest.Header("Sec-WebSocket-Extensions", "permessage-deflate"))
		long := strings.Repeat("compressible ", 1000)
		for range 3 {
			if ws.Send(long); ws.Text() != long {
				t.Errorf("context takeover %t: the echo is another", takeover)
			}
		}
		ws.Send(long)
		if f := ws.Frame(); !f.RSV1 || len(f.Payload) > 200 {
			t.Errorf("context takeover %t: compressed: %t, %d bytes", takeover, f.RSV1, len(f.Payload))
		}
	}
}

func TestShutdownIsAnnounced(t *testing.T) {
	c := servertest.New(t, echo())
	ws := websockettest.Dial(t, c, "/")
	if err := c.Shutdown(time.Minute); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	ws.WantClose(websocket.CloseGoingAway)
}

// exampleT stands for the *testing.T of a test.
type exampleT struct{ testing.TB }

func (exampleT) Helper()        {}
func (exampleT) Cleanup(func()) {}

func ExampleDial() {
	var t exampleT // a *testing.T, in a test
	c := servertest.New(t, &websocket.Handler{
		OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) {
			c.Write(kind, append([]byte("you said "), p...))
		},
	})
	ws := websockettest.Dial(t, c, "/chat")
	ws.Send("hello")
	fmt.Println(ws.Text())
	// Output: you said hello
}
