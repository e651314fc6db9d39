package nethttp

import (
	"errors"
	"net/http"
	"net/netip"

	"microhttp/server"
)

// From returns a handler of package server that hands each request to h, as an http.Server would. h may block: it runs
// on a goroutine of its own, as [server.OwnGoroutine] handlers do. Server.MaxConns bounds these goroutines, and
// Server.MaxBlocking does not: long polls and event streams keep no other handler from running. A nil h is
// http.DefaultServeMux, as in http.Server.
//
// The request is as net/http reads it, with these differences. PathValue and Pattern are those of the router that found From, until an http.ServeMux within finds its own; URL.Path is the whole path, the prefix of a Mount
// included, which http.StripPrefix takes away. OPTIONS * is answered with 200, as by http.Server. Context ends as
// that of the server.Request does: when the answer is done, when the peer is gone or has half-closed, when the server
// is closed. Its http.LocalAddrContextKey is our address, if there is one and From was called on the loop. Its
// http.ServerContextKey is an http.Server that serves nothing and has the zero configuration; it is there because
// httputil.ReverseProxy breaks off an answer that it cannot copy whole only if it is, and ends it as if it were
// complete otherwise. TLS is nil.
//
// The body streams, and h takes as much of it as it reads: h is called when the head is complete, and what h does not read
// is not read from the peer. It has no bound but a server.MaxBody around From, and what h sets.
//
//   - 100 (Continue) is sent at the first Read.
//   - The answer may begin before the body is read, and both go on at once: EnableFullDuplex of http.ResponseController
//     changes nothing. If the rest of the body is longer than 256 KiB or of unknown length when the answer begins, the
//     connection ends with the answer.
//   - Trailers are in Request.Trailer when Read has returned io.EOF, those that were not announced too.
//   - A body that was cut off gives io.ErrUnexpectedEOF, a peer that was reset syscall.ECONNRESET, one that is too slow
//     os.ErrDeadlineExceeded, MaxBody an *http.MaxBytesError. errors.Is finds in each the error of package server as well.
//   - After Close, and when h has returned, Read returns http.ErrBodyReadAfterClose.
//   - If the body was refused while h read it, an answer whose status is below 400 is not sent: the refusal is.
//
// The answer begins with the fields that were set on the server.Response before. An answer of at most 2 KiB that is
// not flushed has a Content-Length, unless it has trailers, or Header()["Content-Length"] is nil; a larger one is
// streamed, and Write then waits for a peer that does not keep up. An answer that is shorter than its Content-Length is
// sent as far as it goes, and the connection closed. The error of a Write or Flush is that of every later one. The status is one that this server can send: WriteHeader panics with 101 and with more than
// 599. 100 is left to the server; 102 to 199 are interim responses, which, as always here, an HTTP/1.0 peer does not
// get. Trailers go to a peer that sent TE: trailers. Fields that net/http would send though they are invalid are
// dropped, and so is any Transfer-Encoding; Date is always there.
//
// Besides the http.ResponseWriter there are http.Flusher, FlushError for http.ResponseController, io.StringWriter and
// io.ReaderFrom.
// There is no http.Hijacker, no http.Pusher and no deadline: http.ResponseController answers these
// with http.ErrNotSupported. Once h has returned, what it left behind may go on to use both: the request is its own,
// and of the writer Write and Flush return server.ErrAnswered and the rest does nothing (but no two goroutines may use
// Header at once).
//
// A panic with http.ErrAbortHandler is one with server.ErrAbortHandler: the answer is broken off and nothing logged.
// Any other is that of the handler, with OnPanic and the server's log. Misuse, such as a second WriteHeader, is logged
// there once for each response.
func From(h http.Handler) server.Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	f := &from{handler: h, server: new(http.Server)}
	return f
}

type from struct {
	handler http.Handler
	server  *http.Server // for http.ServerContextKey
}

// TakesHead implements server.HeadTaker: the body streams.
func (f *from) TakesHead() {}

// Serve implements server.Handler.
func (f *from) Serve(w *server.Response, r *server.Request) {
	if string(r.PeekTarget()) == "*" && r.Method() == http.MethodOptions {
		return // 200 with nothing: it is about the server, and not about what the handler has
	}
	local := r.LocalAddr() // here: the loop may be asked, a goroutine may not
	server.OwnGoroutine(server.StreamingFunc(func(w *server.Response, r *server.Request) { f.serve(w, r, local) })).Serve(w, r)
}

// errNoReturn is how a handler has ended that neither returned nor panicked with a value: by runtime.Goexit, or by panic(nil)
// in a program that allows that (panicnil in GODEBUG).
var errNoReturn = errors.New("nethttp: the handler has ended its goroutine, or panicked with nil")

// serve is called off the loop.
func (f *from) serve(w *server.Response, r *server.Request, local netip.AddrPort) {
	req, err := f.request(r, local)
	if err != nil {
		w.Error(http.StatusBadRequest) // our parser and net/url do not agree
		return
	}
	rw, body := newWriter(w, req), req.Body
	returned := false
	defer func() {
		rw.end()         // whoever still holds it cannot reach the response any more
		_ = body.Close() // and Read returns http.ErrBodyReadAfterClose
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = errNoReturn
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			v = server.ErrAbortHandler
		}
		panic(v)
	}()
	f.handler.ServeHTTP(rw, req)
	returned = true
	rw.finish()
	if req.MultipartForm != nil {
		_ = req.MultipartForm.RemoveAll() // as net/http does: what is left are files of nobody
	}
}
