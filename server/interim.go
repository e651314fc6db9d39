package server

import (
	"fmt"
	"strconv"

	"microhttp/parser"
)

// Field is one field line of an interim response.
type Field struct{ Name, Value string }

// Interim sends an interim response before the answer (RFC 9110, 15.2): 103 with Link fields
// tells a browser what it can fetch while the answer is still being made (RFC 8297). The
// fields are only those of the interim response. It may be called any number of times before
// the answer is given or a Stream is taken, on the loop and in a Blocking handler.
//
// It is never needed, and so never waits: nothing is sent to HTTP/1.0 (15.2), and nothing to
// a peer that does not keep up with reading. The error is ErrCommitted when a Stream was
// taken, and in OnDone, or wraps ErrField for a field that is invalid, or that no interim
// response has: Content-Length, Transfer-Encoding, Connection. It panics when status is not 102
// to 199; 101 is not interim to what follows.
func (w *Response) Interim(status int, fields ...Field) error {
	w.x.req.lent()
	if w.committed() {
		return ErrCommitted
	}
	w.x.req.open()
	return w.x.interim(status, fields)
}

// Interim is Response.Interim while the answer is owed, from any goroutine. Once the answer
// was given it does nothing.
func (p *Pending) Interim(status int, fields ...Field) error { return p.x.interim(status, fields) }

func (x *exchange) interim(status int, fields []Field) error {
	if status < 102 || status > 199 {
		panic(fmt.Sprintf("server: invalid interim status %d: 102 to 199", status))
	}
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(status)...)
	b = append(append(append(b, ' '), StatusText(status)...), "\r\n"...)
	for _, f := range fields {
		if !parser.ValidFieldName(f.Name) || !parser.ValidFieldValue(f.Value) || ofFraming(f.Name) {
			return x.res.refuse(f.Name)
		}
		b = appendField(b, f.Name, f.Value)
	}
	b = append(b, "\r\n"...)
	switch {
	case x.req.head.Minor == 0:
	case x.detached:
		c := x.req.conn
		if !c.w.loop.CallFromThread(func() { c.sendInterim(x, b) }) {
			return ErrServerClosed
		}
	default:
		x.req.conn.writeInterim(b)
	}
	return nil
}

// writeInterim sends an interim response to a peer that keeps up.
func (c *conn) writeInterim(b []byte) {
	if !c.outputFull && c.t.Buffered() <= c.w.srv.conf.unsent {
		c.t.Write(b)
	}
}

// ofFraming reports whether a field says how a message is framed or its connection used.
func ofFraming(name string) bool {
	return parser.EqualFold(name, "Content-Length") || parser.EqualFold(name, "Transfer-Encoding") ||
		parser.EqualFold(name, "Connection")
}

// sendInterim sends an interim response of an exchange that is detached, unless its answer
// has begun meanwhile.
func (c *conn) sendInterim(x *exchange, b []byte) {
	if c.cur == x && c.output == outputOwed {
		c.writeInterim(b)
	}
}
