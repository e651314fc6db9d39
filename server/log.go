package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"syscall"

	"microhttp/reactor"
)

// reportError logs what a reactor reports: a panic in a callback, a handler that holds
// the loop up, or trouble with accepting.
func (s *Server) reportError(err error) {
	if p, ok := errors.AsType[*reactor.PanicError](err); ok {
		s.logPanic(p.Value, p.Stack)
		return
	}
	if stall, ok := errors.AsType[*reactor.StallError](err); ok {
		s.log.Line(slog.LevelWarn).Dur("lasted", stall.Lasted).Str("serving", stall.Serving).Str("route", stall.Work).
			Bytes("stack", stall.Stack).
			Msg("a loop is held up")
		return
	}
	if share, ok := errors.AsType[*reactor.ShareError](err); ok {
		s.logShare(share)
		return
	}
	kind := err.Error()
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		kind = errno.Error() // each loop has its own text for the same trouble
	}
	if s.mayLogLast(slog.LevelError, lineKind{"", kind}, 1, err.Error()) {
		s.log.Line(slog.LevelError).Msg(err.Error())
	}
}

func (s *Server) logPanic(v any, stack []byte) {
	if s.mayLog(slog.LevelError, "panics", "", linesPerWindow) {
		s.log.Line(slog.LevelError).Str("panic", fmt.Sprint(v)).Bytes("stack", stack).Msg("panic on a loop")
	}
}

// logPanic writes the line of a panic of the handler.
func (x *exchange) logPanic(v any, stack []byte) {
	if isAbort(v) {
		return
	}
	c := x.req.conn
	if s := c.w.srv; s.mayLog(slog.LevelError, "panics", "", linesPerWindow) {
		f := x.req.shown()
		e := appendFault(s.log.Line(slog.LevelError).Str("panic", fmt.Sprint(v)), &f).Str("pattern", x.req.pattern)
		c.appendPeer(e).Bytes("stack", stack).Msg("panic in a handler")
	}
}

// LogMisuse logs, as a warning, what the handler of w does wrong and nobody else would
// learn of. It is for packages that lend w in another form, as server/nethttp does.
func (w *Response) LogMisuse(what string) {
	w.x.req.lent()
	w.logMisuse(what, "")
}

// logMisuse is LogMisuse of something about a field; "" is none.
func (w *Response) logMisuse(what, field string) {
	s, pattern := w.x.req.conn.w.srv, w.x.req.pattern
	about := pattern
	if about != "" {
		about = ", in " + about
	}
	if !s.mayLog(slog.LevelWarn, what, about, linesPerWindow) {
		return
	}
	e := s.log.Line(slog.LevelWarn).Str("pattern", pattern)
	if field != "" {
		e = e.Str("field", field[:min(len(field), maxShown)])
	}
	e.Msg(what)
}

// logDropped tells of content that no peer will see, because an answer of that status has none.
func (w *Response) logDropped() {
	w.LogMisuse("the body of an answer that has none was dropped: its status is " + strconv.Itoa(w.status))
}

// logLateUse tells, once, of a handler that breaks the lifetime law.
func (s *Server) logLateUse() {
	s.lateUse.Do(func() {
		s.log.Line(slog.LevelError).Bytes("stack", debug.Stack()).Msg(lateUse + "; there may be more, see Server.DetectLateUse")
	})
}

const connectionEnded = "connection ended: "

// logEnd writes the line of a connection that has ended, if its reason has one.
func (c *conn) logEnd(reason error) {
	if c.why == ErrOverloaded && !c.cut {
		return // it was refused, and that line says it
	}
	level, text := closeReasons[c.why].level, closeReasons[c.why].text
	if level == noLine || !c.w.srv.mayLog(level, connectionEnded, text, linesPerWindow) {
		return
	}
	e := c.w.srv.log.Line(level).Str("reason", c.why.Name())
	if c.cur != nil && (c.cur.detached || c.cur.file != nil) { // it was to be answered
		f := c.cur.req.shown()
		e = appendFault(e, &f)
	}
	if (c.why == ErrNetwork || c.why == ErrUnwatchable) && reason != nil {
		e = e.Str("cause", reason.Error())
	}
	c.appendPeer(e).Msg(connectionEnded + text)
}

// remoteName is how a log names a peer: that of a Unix socket has no address.
func remoteName(remote netip.AddrPort) string {
	if !remote.IsValid() {
		return "unix"
	}
	return remote.String()
}
