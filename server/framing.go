package server

import (
	"microhttp/parser"
	"microhttp/reactor"
)

// How an answer stands on the wire: its framing, its head, and whether the connection persists after it. All of it
// follows from the request, the status and what is known of the content, so no handler can get it wrong.

// framingKind says how the end of an answer's content is told (RFC 9112, 6.3).
type framingKind uint8

const (
	framedNone    framingKind = iota // no content and no word of any: 204, 304, HEAD of what is not known
	framedLength                     // Content-Length
	framedChunked                    // Transfer-Encoding: chunked
	framedClose                      // the end of the connection, for HTTP/1.0
)

// framing is how one answer is framed.
type framing struct {
	kind   framingKind
	length int64 // what Content-Length says
	mute   bool  // the content is not sent: HEAD, 204, 205, 304
}

// unknownLength is the length of content that is not known before it has been written.
const unknownLength = -1

// frame decides the framing of the answer w to the request h. written is the length of the content, or unknownLength.
func frame(w *Response, h *parser.Head, written int64) framing {
	head := h.MethodID == parser.MethodHead
	if written > 0 && !head && !bodyless(w.status) { // as mostly
		return framing{framedLength, written, false}
	}
	return frameRare(w, h, written)
}

// frameRare is frame for what few answers are.
//
//go:noinline
func frameRare(w *Response, h *parser.Head, written int64) framing {
	head := h.MethodID == parser.MethodHead
	length := written
	if written == unknownLength || head && written == 0 {
		length = w.declared // for HEAD: what GET would have, or nothing if it is not known (RFC 9110, 8.6)
	}
	switch {
	case w.status == 205:
		return framing{framedLength, 0, true}
	case w.status == 204, w.status == 304 && w.declared < 0:
		return framing{framedNone, 0, true}
	case w.status == 304:
		return framing{framedLength, w.declared, true}
	case length >= 0:
		return framing{framedLength, length, head}
	case head && (written != unknownLength || h.Minor == 0):
		return framing{framedNone, 0, true}
	case h.Minor == 0:
		return framing{framedClose, 0, false}
	}
	return framing{framedChunked, 0, head}
}

// persists reports whether the connection persists after the answer (RFC 9112, 9.3). It is decided here alone, when the
// head of the answer is made.
func (c *conn) persists(x *exchange, w *Response, f framing) bool {
	return x.req.head.KeepAlive && w.flags&closeAfter == 0 && f.kind != framedClose && !c.w.closing &&
		(c.intake == intakeComplete || c.intake == intakeBody && c.drains(x))
}

// maxDrained is how much of a body is read and thrown away after its answer, so that the connection persists.
const maxDrained = 256 << 10

// drains reports whether the rest of a body will be drained, for the sake of the next request. What counts is what is
// left of the announced length, so it does not depend on what has arrived already. A peer that awaits 100 (Continue)
// may never send the body, or may send it all the same. A peer that kept a reader waiting beyond its deadline is not waited for.
func (c *conn) drains(x *exchange) bool {
	h, conf := &x.req.head, &c.w.srv.conf
	return !h.Chunked && h.ContentLength-x.body.got <= maxDrained && !x.body.awaited &&
		conf.linger > 0 && conf.timeouts[phaseDiscard] > 0 && (x.req.reader == nil || !x.req.reader.missed.Load())
}

// answer sends the response that a handler has filled.
func (c *conn) answer(x *exchange) { c.answerBy(x, &x.res) }

// answerBy sends w as the answer to the request of x.
func (c *conn) answerBy(x *exchange, w *Response) {
	if x.hasBody && w.status < 400 && w.flags&decided == 0 {
		if err := x.body.failed.Load(); err != nil {
			w.refusal(err)
		}
	}
	length := w.body.length()
	known := length
	if w.flags&filtered != 0 {
		known = unknownLength
	}
	f := frame(w, &x.req.head, known)
	if f.mute {
		w.dropContent()
		length = 0
	}
	b := c.appendHead(c.t.Room(0), x, w, f)
	switch body := w.body.bytes(); {
	case f.kind == framedChunked && !f.mute:
		c.sendChunk(x, w, b)
	case len(body) < largeBody && w.body.kind != contentFile: // as mostly
		c.t.Commit(append(b, body...))
	default:
		c.sendContent(x, w, b, "")
	}
	c.lingers = x.req.head.KeepAlive || length >= largeBody || c.intake != intakeComplete
	w.sent = length
	x.given = true
}

// dropContent takes the content away that an answer cannot have.
//
//go:noinline
func (w *Response) dropContent() {
	if bodyless(w.status) && w.body.length() > 0 {
		w.logDropped()
	}
	w.body.clear()
}

// sendChunk sends a head and content, as one chunk, and the last chunk.
//
//go:noinline
func (c *conn) sendChunk(x *exchange, w *Response, head []byte) {
	end := lastChunk
	if n := w.body.length(); n > 0 {
		head, end = appendChunkSize(head, int(n)), "\r\n"+lastChunk
	}
	c.sendContent(x, w, head, end)
}

// lastChunk ends chunked content without a trailer section.
const lastChunk = "0\r\n\r\n"

// send sends pieces without an allocation.
func (c *conn) send(pieces ...reactor.Piece) {
	n := copy(c.w.pieces[:], pieces)
	c.t.Send(c.w.pieces[:n]...)
	clear(c.w.pieces[:n])
}

// largeBody is the size from which a body is not copied behind its head but sent from
// where it lies: copying it would cost more than the second piece of a writev(2).
const largeBody = 16 << 10

// appendHead appends the head of an answer. It decides whether the connection persists.
func (c *conn) appendHead(b []byte, x *exchange, w *Response, f framing) []byte {
	x.last = !c.persists(x, w, f)
	if f.kind == framedLength && !x.last && x.req.head.Minor > 0 && w.flags&ownDate == 0 { // as mostly
		b = appendLength(c.w.appendStart(b, w.status, true), f.length)
	} else {
		b = c.appendRare(b, x, w, f)
	}
	b = append(b, w.fields.b...)
	return append(b, "\r\n"...)
}

// appendRare appends what stands before the handler's fields, for what few answers are.
//
//go:noinline
func (c *conn) appendRare(b []byte, x *exchange, w *Response, f framing) []byte {
	sized := f.kind == framedLength
	if w.flags&ownDate == 0 {
		b = c.w.appendStart(b, w.status, sized)
	} else {
		b = append(b, statusLines[w.status]...)
		if sized {
			b = append(b, lengthName...)
		}
	}
	switch f.kind {
	case framedLength:
		b = appendLength(b, f.length)
	case framedChunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case x.last:
		b = append(b, "Connection: close\r\n"...)
	case x.req.head.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

// appendLength appends the length that a Content-Length says, and the end of its line. The digits are put where they stay:
// bytes that are copied right after they were written one by one make the processor wait.
func appendLength(b []byte, length int64) []byte {
	const none = "0000000000000000000\r\n"
	n, size := uint64(length), 1
	for m := n; m >= 10; m /= 10 {
		size++
	}
	b = append(b, none[len("0000000000000000000")-size:]...)
	for i := len(b) - len("\r\n") - 1; n > 0; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
	return b
}

// appendField appends a field line.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
