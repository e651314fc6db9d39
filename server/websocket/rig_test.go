package websocket_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"

	"github.com/rs/zerolog"
)

const patience = 10 * time.Second

// startEcho serves h, which echoes unless it has an OnMessage.
func startEcho(t testing.TB, h *websocket.Handler) (*server.Server, string) {
	t.Helper()
	if h.OnMessage == nil {
		h.OnMessage = func(c *websocket.Conn, kind websocket.Kind, p []byte) { c.Write(kind, p) }
	}
	return start(t, h)
}

func start(t testing.TB, h server.Handler) (*server.Server, string) {
	t.Helper()
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Log: nop, Handler: h}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Run: %v", err)
		}
	})
	return s, addr.String()
}

// open opens a WebSocket.
func open(t testing.TB, addr string, o *websockettest.Options) *websockettest.Client {
	t.Helper()
	c, err := websockettest.Dial(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn().Close() })
	return c
}

// sent is frames as they stand on the wire.
func sent(frames ...websockettest.Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	return b
}

// masked is a frame by its first byte.
func masked(first byte, p string) websockettest.Frame {
	return websockettest.Frame{
		Fin: first&0x80 != 0, RSV1: first&0x40 != 0, RSV2: first&0x20 != 0, RSV3: first&0x10 != 0,
		Opcode: websockettest.Opcode(first & 15), Payload: []byte(p),
	}
}

func code(n int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(n))) + reason
}

// transcript says what comes until the end: frames by their first byte and payload, and the code of a close frame.
func transcript(c *websockettest.Client) string {
	var b strings.Builder
	for {
		f, err := c.ReadFrame()
		switch {
		case err == io.EOF:
			return strings.TrimSpace(b.String())
		case err != nil:
			fmt.Fprintf(&b, "%v", err)
			return b.String()
		case f.Opcode == websockettest.OpClose && len(f.Payload) >= 2:
			fmt.Fprintf(&b, "close %d ", binary.BigEndian.Uint16(f.Payload))
		case f.Opcode == websockettest.OpClose:
			fmt.Fprintf(&b, "close ")
		default:
			fmt.Fprintf(&b, "%x:%s ", f.Append(nil)[0], f.Payload)
		}
	}
}

// drip sends byte by byte, until the server has ended.
func drip(c *websockettest.Client, p []byte) {
	for i := range p {
		if c.Write(p[i:i+1]) != nil {
			return
		}
	}
}

// halfClose ends the client's side.
func halfClose(c *websockettest.Client) { _ = c.Conn().(*net.TCPConn).CloseWrite() }
