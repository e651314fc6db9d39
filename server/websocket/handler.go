// Package websocket speaks WebSocket (RFC 6455) with permessage-deflate (RFC 7692) on the loops of a server, without a
// goroutine for a connection.
//
// A [Handler] is a server.Handler, which takes the handshake and calls the program's functions on the loop. A [Conn] is one
// connection. A [Hub] sends the same message to many.
package websocket

import (
	"time"

	"microhttp/server"
)

// Handler takes WebSocket handshakes. Its functions are called on the loop of the connection and must not block; each may
// be nil. The fields must not change once it serves.
//
// What it refuses: 405 for another method than GET; 426 when no WebSocket is asked for, or another version than 13; 400
// for a handshake that is malformed; 403 for another origin.
type Handler struct {
	// OnUpgrade is called before the 101 is sent, while w and r are lent. It may set fields, and take from r what c needs, by
	// c.Data. If it returns false the handshake is over, and what it made of w is the answer.
	OnUpgrade func(w *server.Response, r *server.Request, c *Conn) bool

	// OnOpen is called first, when the connection is open.
	OnOpen func(c *Conn)

	// OnMessage is called for each message. p is lent until it returns. Text is valid UTF-8.
	OnMessage func(c *Conn, kind Kind, p []byte)

	// OnClose is called once, last. how has the peer's code, or ours if we closed, CloseNoCode when the peer gave none, and
	// CloseAbnormal when the connection ended without a close frame.
	OnClose func(c *Conn, how CloseError)

	// Subprotocols are those that are spoken. The first of the client's that is among them is agreed on.
	Subprotocols []string

	// CheckOrigin reports whether a request may come from where it does. By default a request without Origin may, and one
	// whose Origin names the Host of the request, with its port, whatever the scheme.
	CheckOrigin func(r *server.Request) bool

	// NoCompression declines permessage-deflate. It is agreed on by default with every client that offers it.
	NoCompression bool

	// ContextTakeover keeps the compression state of both directions from message to message: up to 50 KiB of memory for each
	// connection, for better compression of small messages that resemble each other. By default no state is kept.
	ContextTakeover bool

	// MaxMessage bounds a message in bytes, inflated; the default is 1 MiB. Beyond it the connection is closed with 1009.
	MaxMessage int

	// MaxFrame bounds the payload of one frame as it comes. The default is what MaxMessage allows.
	MaxFrame int

	// PingInterval is how long a peer may be silent before it is sent a ping; the default is 30 s. Negative is no pings.
	PingInterval time.Duration

	// PongTimeout is how long the peer may then be silent before the connection is reset; the default is 15 s.
	PongTimeout time.Duration

	// CloseTimeout bounds the wait for the peer's part of the close handshake; the default is 5 s.
	CloseTimeout time.Duration

	// MaxBehind bounds what waits for a peer that does not read the messages of [Conn.Send]: bytes, 64 KiB by default, and
	// MaxBehindMessages, 64 by default. Beyond either the connection is closed with 1013.
	MaxBehind, MaxBehindMessages int
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

func (h *Handler) maxMessage() int             { return orDefault(h.MaxMessage, 1<<20) }
func (h *Handler) pingInterval() time.Duration { return later(h.PingInterval, 30*time.Second) }
func (h *Handler) pongTimeout() time.Duration  { return max(later(h.PongTimeout, 15*time.Second), 1) }

func (h *Handler) closeTimeout() time.Duration { return max(later(h.CloseTimeout, 5*time.Second), 1) }

// TakesHead implements server.HeadTaker: a handshake with a body is refused before the body comes.
func (h *Handler) TakesHead() {}

// Serve implements server.Handler.
func (h *Handler) Serve(w *server.Response, r *server.Request) {
	if c := h.open(w, r); c != nil {
		if err := w.Upgrade("websocket", c); err != nil {
			w.Reset()
			w.Error(400)
		}
	}
}

// open judges a handshake and fills in the answer. It returns nil if that is a refusal.
func (h *Handler) open(w *server.Response, r *server.Request) *Conn {
	var f fields
	f.read(r)
	if status := f.judge(r, h); status != 0 {
		refuse(w, status)
		return nil
	}
	c := &Conn{h: h, kept: &nothing}
	if h.OnUpgrade != nil && !h.OnUpgrade(w, r, c) {
		return nil
	}
	w.SetHeader("Sec-WebSocket-Accept", accept(f.keys[0]))
	if c.protocol = h.choose(f.protocols); c.protocol != 0 {
		w.SetHeader("Sec-WebSocket-Protocol", c.Subprotocol())
	}
	if !h.NoCompression && len(f.offers) > 0 {
		var answer string
		if c.agreed, answer = negotiate(f.offers, h.ContextTakeover); answer != "" {
			w.SetHeader("Sec-WebSocket-Extensions", answer)
		}
		c.dec.rsv1 = c.agreed.on
	}
	return c
}

func refuse(w *server.Response, status int) {
	w.Error(status)
	switch status {
	case 405:
		w.SetHeader("Allow", "GET")
	case 426:
		w.SetHeader("Upgrade", "websocket")
		w.SetHeader("Connection", "Upgrade")
		w.SetHeader("Sec-WebSocket-Version", "13")
	}
}

// choose is the first subprotocol of the client's that is spoken: 1 and its index, or 0.
func (h *Handler) choose(offered []string) uint16 {
	for _, o := range offered {
		for i, p := range h.Subprotocols {
			if o == p {
				return uint16(i + 1)
			}
		}
	}
	return 0
}
