package middleware

// A panic is the end of one request, not of the connection and never of the server. It
// has been caught, where it happened, by the time anybody here hears of it; what is left
// to do is to tell the operator everything and the peer nothing.

import (
	"fmt"
	"log/slog"

	"microhttp/server"
)

// Recover answers 500 when a handler panics, on the loop or off it, in place of all that
// the handler had written; only the request id stays. Where the head of the answer is
// out already, because the handler took a Stream, the connection is broken off, which is
// the one way to tell the peer.
//
// It logs one line at level error: the panic's value, the stack, the method, the path as
// it came, the pattern and the request id. A nil log is the default one: see server.Log.
//
// A panic with [server.ErrAbortHandler] is no accident: nothing is logged or answered.
func Recover(log *server.Log) server.Middleware {
	answer := func(w *server.Response, r *server.Request, v any, stack []byte) {
		logPanic(log, w, r, v, stack)
		id := GetRequestID(w)
		w.Reset()
		if id != "" {
			w.SetHeader(RequestIDHeader, id) // it was a field value before
		}
		w.Error(500)
	}
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnPanic(answer)
		next.Serve(w, r)
	})
}

func logPanic(log *server.Log, w *server.Response, r *server.Request, v any, stack []byte) {
	appendRequest(log.Line(slog.LevelError), w, r).
		Str("panic", fmt.Sprint(v)).
		Bytes("stack", stack).
		Msg("panic in a handler")
}
