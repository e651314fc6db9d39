// Package websocket speaks WebSocket (RFC 6455) with permessage-deflate (RFC 7692) on the loops of a server, without a
// goroutine for a connection.
//
// A [Handler] is a server.Handler, which takes the handshake and calls the program's functions on the loop. A [Conn] is one
// connection. A [Hub] sends the same message to many.
package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
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

	// ContextTakeover keeps the compression state of both directions from message to message: some 32 KiB and more of
	// memory for each connection, for better compression of small messages that resemble each other. By default no state is kept.
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

const key = "Sec-WebSocket-Key"

// Serve implements server.Handler.
func (h *Handler) Serve(w *server.Response, r *server.Request) {
	var f fields
	f.read(r)
	switch {
	case r.Method() != "GET":
		w.Error(405)
		w.SetHeader("Allow", "GET")
		return
	case !f.upgrade:
		h.askFor(w)
		return
	case len(f.versions) != 1 || f.versions[0] != "13":
		h.askFor(w)
		return
	case len(f.keys) != 1 || !validKey(f.keys[0]):
		w.Error(400)
		return
	case h.CheckOrigin == nil && !f.sameOrigin(r.Host()), h.CheckOrigin != nil && !h.CheckOrigin(r):
		w.Error(403)
		return
	}
	c := &Conn{h: h}
	if h.OnUpgrade != nil && !h.OnUpgrade(w, r, c) {
		return
	}
	w.SetHeader("Sec-WebSocket-Accept", accept(f.keys[0]))
	if c.protocol = h.choose(f.protocols); c.protocol != "" {
		w.SetHeader("Sec-WebSocket-Protocol", c.protocol)
	}
	if !h.NoCompression && len(f.extensions) > 0 {
		var answer string
		if c.agreed, answer = negotiate(f.extensions, h.ContextTakeover); answer != "" {
			w.SetHeader("Sec-WebSocket-Extensions", answer)
		}
		c.dec.rsv1 = c.agreed.on
	}
	if err := w.Upgrade("websocket", c); err != nil {
		w.Reset()
		w.Error(400)
	}
}

// askFor answers a request that asks for no WebSocket of this version.
func (h *Handler) askFor(w *server.Response) {
	w.Error(426)
	w.SetHeader("Upgrade", "websocket")
	w.SetHeader("Connection", "Upgrade")
	w.SetHeader("Sec-WebSocket-Version", "13")
}

// choose is the first subprotocol of the client's that is spoken.
func (h *Handler) choose(offered []string) string {
	for _, o := range offered {
		for _, p := range h.Subprotocols {
			if o == p {
				return p
			}
		}
	}
	return ""
}

// fields is what a handshake has.
type fields struct {
	upgrade                                        bool
	versions, keys, origins, protocols, extensions []string
}

func (f *fields) read(r *server.Request) {
	for name, value := range r.Headers() {
		switch {
		case strings.EqualFold(name, "Upgrade"):
			for _, t := range strings.Split(value, ",") {
				f.upgrade = f.upgrade || strings.EqualFold(strings.Trim(t, " \t"), "websocket")
			}
		case strings.EqualFold(name, "Sec-WebSocket-Version"):
			f.versions = append(f.versions, value)
		case strings.EqualFold(name, key):
			f.keys = append(f.keys, value)
		case strings.EqualFold(name, "Origin"):
			f.origins = append(f.origins, value)
		case strings.EqualFold(name, "Sec-WebSocket-Extensions"):
			f.extensions = append(f.extensions, value)
		case strings.EqualFold(name, "Sec-WebSocket-Protocol"):
			for _, t := range strings.Split(value, ",") {
				f.protocols = append(f.protocols, strings.Trim(t, " \t"))
			}
		}
	}
}

// sameOrigin reports whether the origin is none, or names host.
func (f *fields) sameOrigin(host string) bool {
	if len(f.origins) == 0 {
		return true
	}
	_, origin, ok := strings.Cut(f.origins[0], "://")
	return len(f.origins) == 1 && ok && strings.EqualFold(origin, host)
}

// validKey reports whether a key is 16 bytes in canonical base64.
func validKey(s string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 16 && len(s) == 24
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
