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
// It is never needed, and so never waits: nothing is sent to HTTP/1.0 (15.2), and nothing to a peer that does not keep up with
// reading. A field name that is not a token panics, and so does a status other than 102 to 199; 101 is not interim to what
// follows. A value that no field may hold is dropped, with a line in the log, and so are Content-Length, Transfer-Encoding and
// Connection, which no interim response has. Once a Stream was taken, and in OnDone, Interim does nothing, but for a line in
// the log.
func (w *Response) Interim(status int, fields ...Field) {
	w.x.req.lent()
	if w.committed() {
		_ = w.tooLate("Interim")
		return
	}
	w.x.req.open()
	w.x.interim(status, fields)
}

// Interim is Response.Interim while the answer is owed, from any goroutine. Once the answer
// was given it does nothing.
func (p *Pending) Interim(status int, fields ...Field) { p.x.interim(status, fields) }

func (x *exchange) interim(status int, fields []Field) {
	if status < 102 || status > 199 {
		panic(fmt.Sprintf("server: invalid interim status %d: 102 to 199", status))
	}
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(status)...)
	b = append(append(append(b, ' '), StatusText(status)...), "\r\n"...)
	for _, f := range fields {
		mustBeFieldName(f.Name)
		switch {
		case ofFraming(f.Name):
			x.res.dropField(f.Name, misplaced)
			continue
		case !parser.ValidFieldValue(f.Value):
			x.res.dropField(f.Name, badValue)
			continue
		}
		b = appendField(b, f.Name, f.Value)
	}
	b = append(b, "\r\n"...)
	switch {
	case x.req.head.Minor == 0:
	case x.detached:
		c := x.req.conn
		c.w.loop.CallFromThread(func() { c.sendInterim(x, b) }) // if the loop has ended, nobody waits for it
	default:
		x.req.conn.writeInterim(b)
	}
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
