package middleware

// One line for each request, written when its answer is done and so knowing how it went.
// Everything is appended to zerolog's buffer from where it lies: a line costs no
// allocation there.

import (
	"errors"
	"log/slog"
	"time"

	"microhttp/server"
)

// maxLogged bounds what a peer can put into a log line with one path or user agent; the
// rest of a longer one is cut off.
const maxLogged = 1 << 10

// AccessLog logs one line at level info for each request, when the response is done:
//
//	method       the method
//	path         the path as it came, escaped; never the query, which may hold secrets
//	pattern      the route that a router matched, if any
//	status       the status of the answer
//	bytes        how much content was sent
//	duration     from the end of the request's head to the end of the answer, in milliseconds
//	             (what zerolog.DurationFieldUnit says; under slog a Duration)
//	remote       address and port of the connection's peer; "unix" for that of a Unix socket
//	client       the client's address, when a trusted proxy has reported it: see ClientAddress
//	conn         the number of the connection, as in the server's own log
//	request_id   see RequestID; left out when there is none
//	user_agent   the request's User-Agent; left out when there is none
//	error        why the answer did not go out whole; left out when it did
//	reason       the short name of that, as server.CloseReason has it
//
// Path and user agent are cut off after 1 KiB. Whatever a peer sends is escaped, so that
// a line stays a line. A nil log is the default one: see server.Log.
//
// When log does not write lines of level info at the time of the wrapping, the handler is
// returned as it is: the log then costs nothing.
func AccessLog(log *server.Log) server.Middleware {
	if !log.Enabled(slog.LevelInfo) {
		return func(next server.Handler) server.Handler { return next }
	}
	line := func(w *server.Response, r *server.Request) { logAnswer(log, w, r) }
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnDone(line)
		next.Serve(w, r)
	})
}

func logAnswer(log *server.Log, w *server.Response, r *server.Request) {
	var buf [64]byte // longer than any address and port, but for one with a long zone
	remote := append(buf[:0], "unix"...)
	if addr := r.RemoteAddr(); addr.IsValid() {
		remote = addr.AppendTo(buf[:0])
	}
	e := appendRequest(log.Line(slog.LevelInfo), w, r).
		Int("status", w.Status()).
		Int64("bytes", w.BytesSent()).
		Dur("duration", time.Since(r.Received())).
		Bytes("remote", remote).
		Uint64("conn", r.ConnID())
	if client := r.Forwarded().For; client.IsValid() {
		e = e.Bytes("client", client.AppendTo(buf[:0]))
	}
	if agent := r.PeekHeader("User-Agent"); agent != nil {
		e = e.Bytes("user_agent", clip(agent))
	}
	if err := w.Err(); err != nil {
		e = e.Err(err)
		if why, ok := errors.AsType[server.CloseReason](err); ok {
			e = e.Str("reason", why.Name())
		}
	}
	e.Msg("request")
}

// appendRequest adds what a log line says of a request, whatever it is about.
func appendRequest(e server.LogLine, w *server.Response, r *server.Request) server.LogLine {
	e = e.Str("method", r.Method()).
		Bytes("path", clip(r.PeekEscapedPath())).
		Str("pattern", r.Pattern())
	if id := w.PeekHeader(RequestIDHeader); id != nil {
		e = e.Bytes("request_id", id)
	}
	return e
}

func clip(b []byte) []byte { return b[:min(len(b), maxLogged)] }
