// Package websockettest is a WebSocket client for tests (RFC 6455). It talks to a server of package servertest, in memory and
// in virtual time.
//
//	ws := websockettest.Dial(t, servertest.New(t, routes), "/chat")
//	ws.Send("hello")
//	if got := ws.Text(); got != "hello" {
//		t.Errorf("the echo is %q", got)
//	}
package websockettest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"microhttp/server/servertest"
	"microhttp/server/websocket"
)

// A fixed key and mask keep recorded conversations the same.
const (
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

var mask = [4]byte{0x12, 0x34, 0x56, 0x78}

// An Opcode is the kind of a frame.
type Opcode byte

// The opcodes of RFC 6455, 5.2.
const (
	Continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	CloseFrame   Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10
)

// A Frame is one frame.
type Frame struct {
	Fin     bool
	RSV1    bool // of permessage-deflate: the message is compressed
	Op      Opcode
	Payload []byte
}

// A Message is a whole message.
type Message struct {
	Kind websocket.Kind
	Data []byte
}

// A Conn is the client's end of a WebSocket. It is for the goroutine of the test. What waits in it lets virtual time pass, and
// fails the test when nothing comes.
type Conn struct {
	// Conn is what is below, to leave without a word (Close, Abort).
	Conn *servertest.Conn
	// Response is the 101.
	Response *servertest.Response
	// Pings counts the pings of the server, which are answered.
	Pings int

	t      testing.TB
	window []byte // what the server has compressed before, for context takeover
	keeps  bool
}

// Dial opens a WebSocket. Parts are further field lines: a Sec-WebSocket-Protocol, an Origin, or a Sec-WebSocket-Extensions
// that offers permessage-deflate. Anything but a right 101 fails the test.
func Dial(t testing.TB, c *servertest.Client, target string, parts ...servertest.Part) *Conn {
	t.Helper()
	x := c.In(t).Start("GET "+target, append([]servertest.Part{
		servertest.Header("Connection", "Upgrade"), servertest.Header("Upgrade", "websocket"),
		servertest.Header("Sec-WebSocket-Version", "13"), servertest.Header("Sec-WebSocket-Key", key),
	}, parts...)...)
	res := x.Head()
	if res.Want(101).WantHeader("Sec-WebSocket-Accept", accept); res.Status != 101 {
		t.FailNow()
	}
	extension := res.Header("Sec-WebSocket-Extensions")
	return &Conn{
		Conn: x.Conn(), Response: res, t: t,
		keeps: extension != "" && !strings.Contains(extension, "server_no_context_takeover"),
	}
}

// Send sends a text message.
func (c *Conn) Send(text string) {
	c.t.Helper()
	c.SendFrame(Frame{Fin: true, Op: Text, Payload: []byte(text)})
}

// SendBinary sends a binary message.
func (c *Conn) SendBinary(p []byte) {
	c.t.Helper()
	c.SendFrame(Frame{Fin: true, Op: Binary, Payload: p})
}

// Close begins the close handshake. WantClose awaits the server's part of it.
func (c *Conn) Close(code int, reason string) {
	c.t.Helper()
	c.SendFrame(Frame{Fin: true, Op: CloseFrame, Payload: append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)})
}

// SendFrame sends a frame as it is, masked, and has the server handle it. It may be a wrong one.
func (c *Conn) SendFrame(f Frame) {
	c.t.Helper()
	first := byte(f.Op)
	if f.Fin {
		first |= 0x80
	}
	if f.RSV1 {
		first |= 0x40
	}
	b := []byte{first}
	switch n := len(f.Payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i, v := range f.Payload {
		b = append(b, v^mask[i%4])
	}
	c.Conn.Send(string(b))
}

// Frame waits for the next frame and returns it as it came.
func (c *Conn) Frame() Frame {
	c.t.Helper()
	f, err := c.readFrame()
	if err != nil {
		c.fatal("waiting for a frame: %v", err)
	}
	return f
}

// maxPayload bounds a frame.
const maxPayload = 64 << 20

func (c *Conn) readFrame() (f Frame, err error) {
	head := []byte(c.Conn.Text(2))
	f.Fin, f.RSV1, f.Op = head[0]&0x80 != 0, head[0]&0x40 != 0, Opcode(head[0]&0x0f)
	n := uint64(head[1] & 0x7f)
	switch {
	case head[0]&0x30 != 0 || head[1]&0x80 != 0:
		return f, fmt.Errorf("reserved bits, or a mask, in % x", head)
	case n == 126:
		n = uint64(binary.BigEndian.Uint16([]byte(c.Conn.Text(2))))
	case n == 127:
		n = binary.BigEndian.Uint64([]byte(c.Conn.Text(8)))
	}
	if n > maxPayload {
		return f, fmt.Errorf("a frame of %d bytes", n)
	}
	f.Payload = []byte(c.Conn.Text(int(n)))
	return f, nil
}

// Receive waits for the next message and returns it, inflated. Pings are answered meanwhile, and counted; pongs are passed
// over. A close frame fails the test.
func (c *Conn) Receive() Message {
	c.t.Helper()
	m, closed := c.next()
	if closed != nil {
		c.fatal("the server closes with %d %q where a message is awaited", closed.Code, closed.Reason)
	}
	return m
}

// Text waits for the next message and returns it as a string. One that is not text fails the test.
func (c *Conn) Text() string {
	c.t.Helper()
	m := c.Receive()
	if m.Kind != websocket.Text {
		c.t.Errorf("websockettest: the message is not text: %q", m.Data)
	}
	return string(m.Data)
}

// WantClose waits for the server's close frame, answers it if the client has not begun, and awaits the end of the connection. It
// fails the test if the code is another one, and returns the reason. Messages that come before are passed over.
func (c *Conn) WantClose(code int) (reason string) {
	c.t.Helper()
	var closed *websocket.CloseError
	for closed == nil {
		_, closed = c.next()
	}
	if closed.Code != code {
		c.t.Errorf("websockettest: the server closes with %d %q, want %d", closed.Code, closed.Reason, code)
	}
	if c.Conn.CloseWrite() == nil {
		if rest := c.Conn.Rest(); rest != "" {
			c.t.Errorf("websockettest: after the close frame the server sends %q", rest)
		}
	}
	return closed.Reason
}

// WantSilence fails the test if the server has sent something that was not read, or has ended the connection.
func (c *Conn) WantSilence() {
	c.t.Helper()
	c.Conn.WantSilence()
}

// next waits for a message, or a close frame.
func (c *Conn) next() (Message, *websocket.CloseError) {
	c.t.Helper()
	var m Message
	compressed, begun := false, false
	for {
		f := c.Frame()
		switch f.Op {
		case Ping:
			c.Pings++
			c.SendFrame(Frame{Fin: true, Op: Pong, Payload: f.Payload})
			continue
		case Pong:
			continue
		case CloseFrame:
			if len(f.Payload) < 2 {
				return m, &websocket.CloseError{Code: websocket.CloseNoCode}
			}
			return m, &websocket.CloseError{Code: int(binary.BigEndian.Uint16(f.Payload)), Reason: string(f.Payload[2:])}
		}
		if (f.Op == Continuation) != begun {
			c.fatal("opcode %d is out of place", f.Op)
		}
		if !begun {
			begun, compressed, m.Kind = true, f.RSV1, websocket.Kind(f.Op)
		}
		m.Data = append(m.Data, f.Payload...)
		if !f.Fin {
			continue
		}
		if compressed {
			m.Data = c.inflate(m.Data)
		}
		return m, nil
	}
}

// maxWindow is what DEFLATE looks back at.
const maxWindow = 32 << 10

// inflate undoes permessage-deflate (RFC 7692, 7.2.2).
func (c *Conn) inflate(p []byte) []byte {
	c.t.Helper()
	whole := io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	data, err := io.ReadAll(flate.NewReaderDict(whole, c.window))
	if err != nil {
		c.fatal("the message does not inflate: %v", err)
	}
	if c.keeps {
		c.window = append(c.window, data...)
		c.window = c.window[max(0, len(c.window)-maxWindow):]
	}
	return data
}

func (c *Conn) fatal(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("websockettest: "+format+"\n%s", append(args, c.Conn.Conversation())...)
}
