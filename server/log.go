package server

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"

	"microhttp/parser"
	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// newLogger is the server's logger: the user's, or warnings on standard error.
func newLogger(l *zerolog.Logger) zerolog.Logger {
	if l != nil {
		return *l
	}
	return zerolog.New(os.Stderr).Level(zerolog.WarnLevel).With().Timestamp().Logger()
}

// reportError logs what a reactor reports: a panic in a callback, a handler that holds
// the loop up, or trouble with accepting.
func (s *Server) reportError(err error) {
	if p, ok := errors.AsType[*reactor.PanicError](err); ok {
		s.logPanic(p.Value, p.Stack)
		return
	}
	if stall, ok := errors.AsType[*reactor.StallError](err); ok {
		s.log.Warn().Dur("lasted", stall.Lasted).Str("serving", stall.Serving).Str("route", stall.Work).
			Bytes("stack", stall.Stack).
			Msg("a loop is held up")
		return
	}
	s.log.Error().Err(err).Msg("reactor")
}

func (s *Server) logPanic(v any, stack []byte) {
	s.log.Error().Str("panic", fmt.Sprint(v)).Bytes("stack", stack).Msg("panic")
}

// LogMisuse logs, as a warning, what the handler of w does wrong and nobody else would
// learn of. It is for packages that lend w in another form, as server/nethttp does.
func (w *Response) LogMisuse(what string) {
	w.x.req.lent()
	w.x.req.conn.w.srv.log.Warn().Str("pattern", w.x.req.pattern).Msg(what)
}

// logDropped tells of content that no peer will see, because an answer of that status has none.
func (w *Response) logDropped() {
	w.LogMisuse("the body of an answer that has none was dropped: its status is " + strconv.Itoa(w.status))
}

// logLateUse tells, once, of a handler that breaks the lifetime law.
func (s *Server) logLateUse() {
	s.lateUse.Do(func() {
		s.log.Error().Bytes("stack", debug.Stack()).Msg(lateUse + "; there may be more, see Server.DetectLateUse")
	})
}

// logRefused writes the one line that a refused request leaves.
func (c *conn) logRefused(err *parser.Error) { c.logRefusal(err.Status, err.Reason) }

func (c *conn) logRefusal(status int, reason string) {
	c.w.srv.log.Info().Int("status", status).Str("reason", reason).
		Str("remote", remoteName(c.t.RemoteAddr())).Msg("request refused")
}

// logEnd writes the line of a connection that has ended, if its reason has one.
func (c *conn) logEnd(reason error) {
	if c.why == ErrOverloaded && !c.cut {
		return // it was refused, and that line says it
	}
	e := c.w.srv.log.WithLevel(closeReasons[c.why].level)
	if !e.Enabled() {
		return
	}
	e = e.Str("reason", c.why.Name())
	if c.why == ErrNetwork || c.why == ErrUnwatchable {
		e = e.AnErr("cause", reason)
	}
	e.Str("remote", remoteName(c.t.RemoteAddr())).
		Msg("connection ended: " + closeReasons[c.why].text)
}

// remoteName is how a log names a peer: that of a Unix socket has no address.
func remoteName(remote netip.AddrPort) string {
	if !remote.IsValid() {
		return "unix"
	}
	return remote.String()
}
