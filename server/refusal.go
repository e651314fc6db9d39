package server

import (
	"log/slog"

	"microhttp/parser"
)

// The line of a refused request. It is for the operator who is asked why a client gets 400: what was asked for, which rule
// was broken, and where. It shows no more of the message than that: never the query, never the value of a field but for the
// one byte at fault, and nothing longer than maxShown.

// maxShown bounds what a line shows of a path or of the name of a field, in bytes.
const maxShown = 256

// logRefused writes the line of a request that is refused with err. b is what was given to the parser, if the parser has
// refused it; otherwise it may be nil.
func (c *conn) logRefused(x *exchange, err *parser.Error, b []byte) {
	if c.mayLogRefusal(err.Status, err.Reason) {
		f := c.fault(x, b)
		if err == ErrBodyTooLarge && x.req.head.ContentLength >= 0 {
			f.Field = contentLength
		}
		c.logRefusal(err.Status, err.Reason, refusedFor(err), f)
	}
}

var contentLength = []byte("Content-Length")

// logTooLarge writes the line of a request whose body is too large for a Blocking handler, in the goroutine of that.
func (x *exchange) logTooLarge() {
	c := x.req.conn
	if c.mayLogRefusal(ErrBodyTooLarge.Status, ErrBodyTooLarge.Reason) {
		f := x.req.shown()
		if x.req.head.ContentLength >= 0 {
			f.Field = contentLength
		}
		c.logRefusal(ErrBodyTooLarge.Status, ErrBodyTooLarge.Reason, ErrRefused, f)
	}
}

// notSecured is said of a request for https on a connection of http.
const notSecured = "its target is https, and this connection is not secured"

// logUnserved writes the line of a request that is whole and well-formed but for which the server calls no handler.
func (c *conn) logUnserved(x *exchange, status int, what string) {
	if c.mayLogRefusal(status, what) {
		c.logRefusal(status, what, ErrRefused, x.req.shown())
	}
}

// mayLogRefusal counts a refusal for RefusalCounts, and reports whether its line may be written.
func (c *conn) mayLogRefusal(status int, what string) bool {
	c.w.srv.refused.count(status)
	return c.w.srv.mayLog(slog.LevelInfo, refused, what, linesPerWindow)
}

const refused = "request refused: "

func (c *conn) logRefusal(status int, what string, why CloseReason, f parser.Fault) {
	e := c.w.srv.log.Line(slog.LevelInfo).Int("status", status).Str("reason", why.Name())
	c.appendPeer(appendFault(e, &f)).Msg(refused + what)
}

// fault is what is known of a request that is refused.
func (c *conn) fault(x *exchange, b []byte) parser.Fault {
	if b == nil && c.in != nil {
		b = c.in.B
	}
	h := &x.req.head
	if x.body.head != nil {
		h = x.body.head // which the parser has filled since
	}
	f := c.p.Fault(b, h)
	if x.req.raw != nil { // the head is complete
		whole := x.req.shown()
		f.Method, f.Path = whole.Method, whole.Path
	}
	return f
}

// shown is what a line shows of a request whose head is whole.
func (r *Request) shown() parser.Fault {
	return parser.Fault{Offset: -1, Method: r.head.Method.In(r.raw), Path: r.shownPath()}
}

// shownPath is the path, escaped. CONNECT has none, but an authority.
func (r *Request) shownPath() []byte {
	switch {
	case r.head.Path.Len > 0:
		return r.head.Path.In(r.raw)
	case r.head.Form == parser.AuthorityForm:
		return r.head.Authority.In(r.raw)
	case r.head.Form == parser.AsteriskForm:
		return asterisk
	}
	return slash
}

// appendFault adds what a line shows of a request. All of it is ASCII without controls, as the parser has seen to.
func appendFault(e LogLine, f *parser.Fault) LogLine {
	if len(f.Method) > 0 {
		e = e.Bytes("method", f.Method)
	}
	if len(f.Path) > 0 {
		e = e.Bytes("path", f.Path[:min(len(f.Path), maxShown)])
	}
	if len(f.Field) > 0 {
		e = e.Bytes("field", f.Field[:min(len(f.Field), maxShown)])
	}
	if f.HasByte {
		e = e.Str("byte", showByte(f.Byte))
	}
	if f.Offset >= 0 {
		e = e.Int64("offset", f.Offset)
		if f.Section != parser.InHead {
			e = e.Str("section", f.Section.String())
		}
	}
	return e
}

// showByte shows a byte as a character in quotes, or, where that could not be seen, as a number.
func showByte(c byte) string {
	if c > ' ' && c < 0x7f {
		return "'" + string(rune(c)) + "'"
	}
	return "0x" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])
}

// appendPeer adds who is at the other end, and on which connection.
func (c *conn) appendPeer(e LogLine) LogLine {
	return e.Str("remote", remoteName(c.t.Info().RemoteAddr())).Uint64("conn", c.id)
}

// ConnID returns the number of the connection that the request came on. The server numbers its connections from 1, in the
// order in which they were let in. Lines of the log that are about a connection have the same number.
func (r *Request) ConnID() uint64 {
	r.lent()
	return r.conn.id
}

// logBusy writes the line of a request for which there is no goroutine.
func (x *exchange) logBusy(err error) {
	s := x.req.conn.w.srv
	s.refused.count(503)
	if s.mayLog(slog.LevelWarn, refused, err.Error(), linesPerWindow) {
		f := x.req.shown()
		e := appendFault(s.log.Line(slog.LevelWarn).Int("status", 503).Str("reason", "busy"), &f).Str("pattern", x.req.pattern)
		x.req.conn.appendPeer(e).Msg(refused + err.Error())
	}
}

const connectionRefused = "connection refused: "

const unanswered = "a Pending was not answered in time"

// logUnanswered writes the line of a request that the server answers with 503, since its Pending was not.
func (x *exchange) logUnanswered() {
	s := x.req.conn.w.srv
	if s.mayLog(slog.LevelWarn, unanswered, "", linesPerWindow) {
		f := x.req.shown()
		e := appendFault(s.log.Line(slog.LevelWarn).Int("status", 503), &f).Str("pattern", x.req.pattern)
		x.req.conn.appendPeer(e).Msg(unanswered)
	}
}

// logTurnedAway writes the line of a connection that is not let in.
func (w *worker) logTurnedAway(remote, refusal string) {
	if w.srv.mayLog(slog.LevelInfo, connectionRefused, refusal, linesPerWindow) {
		w.srv.log.Line(slog.LevelInfo).Int("status", 503).Str("reason", ErrTooManyConns.Name()).Str("remote", remote).Msg(connectionRefused + refusal)
	}
}
