// Package websockettest has a WebSocket client for tests. It speaks RFC 6455 and 7692 over any net.Conn, and it judges what
// the server sends. It can also send frames that no well-behaved client would.
//
// All methods of a Client are for one goroutine, and end by the time-out of its Options.
package websockettest

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"microhttp/server/websocket"
)

// Options says how a Client opens a WebSocket. The zero value asks for "/" and offers nothing.
type Options struct {
	// Target is the request target. Default "/".
	Target string
	// Host is the Host field. Default "websocket.test".
	Host string
	// Header has more fields of the handshake, such as Origin.
	Header http.Header
	// Subprotocols are offered in that order.
	Subprotocols []string
	// Compression offers permessage-deflate, with context takeover.
	Compression bool
	// Extensions, unless it is empty, is sent as Sec-WebSocket-Extensions in place of that offer.
	Extensions string
	// Timeout bounds the opening, and then each call. Default 10 s.
	Timeout time.Duration
}

// ErrRefused says that the server has answered the handshake with something else than 101. The Client that comes with it has
// the answer in Response, and no WebSocket.
var ErrRefused = errors.New("websockettest: the handshake was refused")

// ErrServer says that the server has broken the protocol. It is wrapped with the reason.
var ErrServer = errors.New("websockettest: the server breaks the protocol")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrServer, fmt.Sprintf(format, args...))
}

// Client is the client's side of one WebSocket.
type Client struct {
	// Response is what the server has answered to the handshake. Its body is that of a refusal.
	Response *http.Response

	conn     net.Conn
	r        *bufio.Reader
	timeout  time.Duration
	protocol string
	deflate  *deflate // nil without permessage-deflate
	closed   bool     // our close frame was sent
	pongs    [][]byte
	peeked   *Frame
}

// Dial opens a WebSocket over TCP.
func Dial(addr string, o *Options) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, o.timeout())
	if err != nil {
		return nil, err
	}
	return New(conn, o)
}

func (o *Options) timeout() time.Duration {
	if o == nil || o.Timeout <= 0 {
		return 10 * time.Second
	}
	return o.Timeout
}

// New opens a WebSocket over conn, which is the Client's from now on. o may be nil. The error is ErrRefused when the server
// refuses; other errors leave conn closed.
func New(conn net.Conn, o *Options) (*Client, error) {
	if o == nil {
		o = &Options{}
	}
	c := &Client{conn: conn, r: bufio.NewReader(conn), timeout: o.timeout()}
	c.renew()
	key := make([]byte, 16)
	_, _ = rand.Read(key)
	encoded := base64.StdEncoding.EncodeToString(key)
	if _, err := conn.Write(o.handshake(encoded)); err != nil {
		conn.Close()
		return nil, err
	}
	var err error
	if c.Response, err = http.ReadResponse(c.r, &http.Request{Method: "GET"}); err != nil {
		conn.Close()
		return nil, err
	}
	if c.Response.StatusCode != 101 {
		return c, fmt.Errorf("%w with %s", ErrRefused, c.Response.Status)
	}
	if err := c.judge(encoded, o); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (o *Options) handshake(key string) []byte {
	target, host := o.Target, o.Host
	if target == "" {
		target = "/"
	}
	if host == "" {
		host = "websocket.test"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", target, host)
	fmt.Fprintf(&b, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", key)
	if len(o.Subprotocols) > 0 {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", strings.Join(o.Subprotocols, ", "))
	}
	if offer := o.offer(); offer != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Extensions: %s\r\n", offer)
	}
	_ = o.Header.Write(&b)
	b.WriteString("\r\n")
	return []byte(b.String())
}

func (o *Options) offer() string {
	if o.Extensions == "" && o.Compression {
		return "permessage-deflate"
	}
	return o.Extensions
}

// judge checks the 101 (RFC 6455, 4.1).
func (c *Client) judge(key string, o *Options) error {
	h := c.Response.Header
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	c.protocol = h.Get("Sec-WebSocket-Protocol")
	switch {
	case !strings.EqualFold(h.Get("Upgrade"), "websocket"), !strings.EqualFold(h.Get("Connection"), "upgrade"):
		return broken("Upgrade is %q, Connection %q", h.Get("Upgrade"), h.Get("Connection"))
	case h.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		return broken("Sec-WebSocket-Accept is %q", h.Get("Sec-WebSocket-Accept"))
	case c.protocol != "" && !contains(o.Subprotocols, c.protocol):
		return broken("the subprotocol %q was not offered", c.protocol)
	case len(h.Values("Sec-WebSocket-Protocol")) > 1, len(h.Values("Sec-WebSocket-Extensions")) > 1:
		return broken("a field is there twice")
	}
	answer := h.Get("Sec-WebSocket-Extensions")
	if answer == "" {
		return nil
	}
	if o.offer() == "" {
		return broken("the extension %q was not offered", answer)
	}
	var err error
	c.deflate, err = agree(answer)
	return err
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// Subprotocol returns what was agreed on, or "".
func (c *Client) Subprotocol() string { return c.protocol }

// Compresses reports whether permessage-deflate was agreed on.
func (c *Client) Compresses() bool { return c.deflate != nil }

// Conn returns the connection, for half-closes and resets.
func (c *Client) Conn() net.Conn { return c.conn }

func (c *Client) renew() { _ = c.conn.SetDeadline(time.Now().Add(c.timeout)) }

// WriteMessage sends a message in one frame, compressed if that was agreed on.
func (c *Client) WriteMessage(kind websocket.Kind, p []byte) error {
	f := Frame{Fin: true, Opcode: Opcode(kind), Payload: p}
	if c.deflate != nil {
		f.RSV1, f.Payload = true, c.deflate.compress(p)
	}
	return c.WriteFrame(f)
}

// ReadMessage returns the next message, inflated. It answers pings, and it checks that text is UTF-8. The server's close
// frame is answered, and returned as a *websocket.CloseError; one without a code has CloseNoCode. The end of the connection
// without one is io.EOF, or io.ErrUnexpectedEOF within a message.
func (c *Client) ReadMessage() (kind websocket.Kind, p []byte, err error) {
	squeezed, begun := false, false
	for {
		f, err := c.ReadFrame()
		if err != nil {
			if begun && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
		switch f.Opcode {
		case OpPing:
			if err := c.WriteFrame(Frame{Fin: true, Opcode: OpPong, Payload: f.Payload}); err != nil {
				return 0, nil, err
			}
			continue
		case OpPong:
			c.pongs = append(c.pongs, f.Payload)
			continue
		case OpClose:
			return 0, nil, c.answerClose(f.Payload)
		case OpContinuation:
			if !begun {
				return 0, nil, broken("a continuation of nothing")
			}
		default:
			if begun {
				return 0, nil, broken("a message within a message")
			}
			kind, squeezed, begun = websocket.Kind(f.Opcode), f.RSV1, true
		}
		p = append(p, f.Payload...)
		if !f.Fin {
			continue
		}
		if squeezed {
			if p, err = c.deflate.inflate(p); err != nil {
				return 0, nil, err
			}
		}
		if kind == websocket.Text && !utf8.Valid(p) {
			return 0, nil, broken("text that is not UTF-8")
		}
		return kind, p, nil
	}
}

// TakePongs returns the payloads of the pongs that ReadMessage has met since the last call.
func (c *Client) TakePongs() [][]byte {
	p := c.pongs
	c.pongs = nil
	return p
}

// answerClose takes the server's close frame.
func (c *Client) answerClose(p []byte) error {
	how := &websocket.CloseError{Code: websocket.CloseNoCode}
	switch {
	case len(p) == 1, len(p) >= 2 && !utf8.Valid(p[2:]):
		return broken("the close frame %x", p)
	case len(p) >= 2:
		how.Code, how.Reason = int(p[0])<<8|int(p[1]), string(p[2:])
	}
	if !c.closed {
		c.closed = true
		_ = c.WriteFrame(Frame{Fin: true, Opcode: OpClose, Payload: p[:min(len(p), 2)]})
	}
	return how
}

// Close sends a close frame, reads until the server has answered it and ended the connection (RFC 6455, 7.1.1), and closes
// the connection. Messages that come meanwhile are dropped. It returns how the server has closed: the same code, as a rule.
// With CloseNoCode the frame has no payload. After the server's close frame, Close only waits for the end.
func (c *Client) Close(code int, reason string) (how websocket.CloseError, err error) {
	defer c.conn.Close()
	if !c.closed {
		c.closed = true
		if err := c.WriteFrame(CloseFrame(code, reason)); err != nil {
			return how, err
		}
		for {
			_, _, err := c.ReadMessage()
			if e, ok := errors.AsType[*websocket.CloseError](err); ok {
				how = *e
				break
			}
			if err != nil {
				return how, err
			}
		}
	}
	if f, err := c.ReadFrame(); err != io.EOF {
		return how, broken("after its close frame came %v, %v", f, err)
	}
	return how, nil
}
