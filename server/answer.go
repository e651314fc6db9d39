package server

import (
	"strconv"

	"microhttp/parser"
)

// An answer is appended to the transport's buffer in one go: status line, Date,
// framing, Connection, the handler's fields, the body. The framing follows from the
// request and the status alone (RFC 9112, 6.3), so no handler can get it wrong.

// largeBody is the size from which a body is not copied behind its head but written
// by itself: copying it would cost more than a second write.
const largeBody = 16 << 10

// framing says how the end of an answer's content is told.
type framing uint8

const (
	framedNone    framing = iota // no content and no word of any: 204, 304, HEAD of what is not known
	framedLength                 // Content-Length
	framedChunked                // Transfer-Encoding: chunked
	framedClose                  // the end of the connection, for HTTP/1.0
)

// answer sends the response that a handler has filled.
func (c *conn) answer(x *exchange) {
	w, h := &x.res, &x.req.head
	body := w.content()
	how, length := framedLength, int64(len(body))
	switch {
	case bodyless(w.status):
		if length > 0 {
			w.logDropped()
		}
		body, length = nil, max(w.declared, 0)
		if w.status == 204 || w.status == 304 && w.declared < 0 {
			how = framedNone
		}
		if w.status == 205 {
			length = 0
		}
	case h.MethodID == parser.MethodHead:
		if len(body) == 0 {
			// Nobody says what GET would have, and a wrong length may not be sent (RFC 9110, 8.6).
			if length = w.declared; length < 0 {
				how = framedNone
			}
		}
		body = nil
	}
	b := c.appendHead(c.t.AvailableBuffer(), x, how, length)
	if len(body) < largeBody {
		c.t.Write(append(b, body...))
	} else {
		c.t.Write(b)
		if w.given != nil && w.flags&givenAway != 0 {
			c.t.Give(body)
		} else {
			c.t.Write(body)
		}
	}
	c.asked = !h.KeepAlive && len(body) < largeBody
	w.sent = int64(len(body))
	c.gathered()
}

// appendHead appends the head of an answer and decides whether the connection
// persists behind it (RFC 9112, 9.3).
func (c *conn) appendHead(b []byte, x *exchange, how framing, length int64) []byte {
	w, h := &x.res, &x.req.head
	c.bye = !h.KeepAlive || w.flags&closeAfter != 0 || how == framedClose || c.w.closing

	if w.flags&ownDate == 0 {
		b = c.w.appendStart(b, w.status)
	} else {
		b = append(b, statusLines[w.status]...)
	}
	switch how {
	case framedLength:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendUint(b, uint64(length), 10)
		b = append(b, "\r\n"...)
	case framedChunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case c.bye:
		b = append(b, "Connection: close\r\n"...)
	case h.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, w.fields...)
	return append(b, "\r\n"...)
}

// refuse answers a request that a timeout or a bound refused, and ends the connection: what
// follows on it has no meaning any more.
func (c *conn) refuse(x *exchange, err *parser.Error) { c.refuseBytes(x, err, nil) }

// refuseBytes is refuse for a request that the parser has refused when it was given these bytes.
func (c *conn) refuseBytes(x *exchange, err *parser.Error, given []byte) {
	c.blame(refusedFor(err))
	c.logRefused(x, err, given)
	body := strconv.Itoa(err.Status) + " " + StatusText(err.Status) + ": " + err.Reason + "\n"
	b := c.w.appendStart(c.t.AvailableBuffer(), err.Status)
	if err.Status == 503 {
		b = append(b, "Retry-After: 1\r\n"...)
	}
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	if x == nil || x.req.head.MethodID != parser.MethodHead {
		b = append(b, body...)
	}
	c.t.Write(b)
	c.linger()
}
