package server

import (
	"errors"
	"fmt"
	"log/slog"

	"microhttp/parser"
)

// A StatusError is an error that knows the status to answer with. [Server.ErrorHandler] sees it, wrapped or not, when a
// function of [Try] returns it.
type StatusError struct {
	Status int    // 400 to 599
	Detail string // what the client may know of it; for a status of 500 and more it stays in the log
	Err    error  // what it wraps, for the log; may be nil

	// Members are further members of the [Problem] that is answered with, below 500; may be nil.
	Members map[string]any
}

// Error implements error.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("%d %s", e.Status, StatusText(e.Status))
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *StatusError) Unwrap() error { return e.Err }

// Fail returns an error that has [Try] answer with that status, 400 to 599, and panics for another. detail is for the client;
// see [StatusError].
func Fail(status int, detail string) error {
	if status < 400 || status > maxStatus {
		panic(fmt.Sprintf("server: Fail with status %d: an error has 400 to 599", status))
	}
	return &StatusError{Status: status, Detail: detail}
}

// Try makes a handler of a function that may fail. An error that it returns becomes the answer, by [Server.ErrorHandler],
// in place of what was written. nil means that f has answered.
//
//   - When a Stream was taken, the head is out. The connection is then broken off, since the peer must not take the
//     answer for whole, and the error is logged. If the Stream was closed before, the error is only logged.
//   - When a Pending was taken, the answer is that of whoever holds it. The error is only logged.
//   - The handler is a leaf as any other: its body is buffered, and [Blocking] and [Streaming] may be put around it. The
//     methods of a router, such as Get, take it as it is.
//
// Try panics if f is nil.
func Try(f func(w *Response, r *Request) error) HandlerFunc {
	if f == nil {
		panic("server: Try of a nil function")
	}
	return func(w *Response, r *Request) {
		if err := f(w, r); err != nil {
			w.failed(r, err)
		}
	}
}

// TryJSON is [Try] for a function that returns what to answer with: [Response.JSON] answers with it. The status is 200 unless
// f has called [Response.SetStatus]. A function that has no content to answer with is for Try.
//
//	routes.Get("/notes/{id}", server.TryJSON(func(w *server.Response, r *server.Request) (note, error) {
//		id, err := r.PathInt("id")
//		if err != nil {
//			return note{}, err
//		}
//		return notes.find(r.Context(), id)
//	}))
//
// TryJSON panics if f is nil.
func TryJSON[T any](f func(w *Response, r *Request) (T, error)) HandlerFunc {
	if f == nil {
		panic("server: TryJSON of a nil function")
	}
	return Try(func(w *Response, r *Request) error {
		v, err := f(w, r)
		if err == nil {
			w.JSON(w.Status(), v)
		}
		return err
	})
}

// failed answers for an error that a function of Try has returned.
func (w *Response) failed(r *Request, err error) {
	switch {
	case w.x.mode == modePending:
		w.logFailure(r, err, "a handler has failed after Later")
	case w.committed():
		w.logFailure(r, err, "a handler has failed after the head of its answer was sent")
		if w.stream != nil && !w.stream.closed {
			panic(ErrAbortHandler)
		}
	default:
		if f := r.conn.w.srv.ErrorHandler; f != nil {
			f(w, r, err)
			return
		}
		HandleError(w, r, err)
	}
}

// HandleError is what a nil [Server.ErrorHandler] does, for those that do something for some errors only. It answers with a
// [Problem] whose status is:
//
//   - that of a [*StatusError] or a *[parser.Error] in err's chain
//   - that of a method Status() int or HTTPStatus() int of an error in the chain
//   - otherwise 500
//
// Below 500 the Detail and the Members of a StatusError are sent. For 500 and more nothing of err is sent, and one line in the log has it. The
// loss of the peer, a [CloseReason], is not logged, since no answer can be sent.
//
// What was written is dropped, with the fields that describe it, as [Response.Error] does. Other fields stay: a request ID,
// cookies, those of CORS.
func HandleError(w *Response, r *Request, err error) {
	status, p := 500, Problem{}
	var withStatus interface{ Status() int }
	var withHTTPStatus interface{ HTTPStatus() int }
	if e, ok := errors.AsType[*StatusError](err); ok {
		status, p.Detail, p.Members = e.Status, e.Detail, e.Members
	} else if e, ok := errors.AsType[*parser.Error](err); ok {
		status, p.Detail = e.Status, e.Reason
	} else if errors.As(err, &withStatus) {
		status = withStatus.Status()
	} else if errors.As(err, &withHTTPStatus) {
		status = withHTTPStatus.HTTPStatus()
	}
	if status < 400 || status > maxStatus {
		status = 500
	}
	if status >= 500 {
		p = Problem{}
		if _, gone := errors.AsType[CloseReason](err); !gone && !errors.Is(err, ErrPeerGone) {
			w.logFailure(r, err, "a handler has failed")
		}
	}
	w.Error(status) // which drops the fields of the content, and keeps those of middleware
	w.DelHeader("Content-Type")
	w.Problem(status, p)
}

// logFailure writes the line of an error that a handler has returned.
func (w *Response) logFailure(r *Request, err error, what string) {
	c := r.conn
	if s := c.w.srv; s.mayLog(slog.LevelError, what, r.pattern, linesPerWindow) {
		f := r.shown()
		e := appendFault(s.log.Line(slog.LevelError).Err(err), &f).Str("pattern", r.pattern)
		c.appendPeer(e).Msg(what)
	}
}
