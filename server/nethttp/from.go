package nethttp

import (
	"errors"
	"net/http"

	"microhttp/server"
)

// From returns a handler of package server that hands each request to h, as an http.Server would. h may block: it runs
// on a goroutine of its own, as [server.OwnGoroutine] handlers do. Server.MaxConns bounds these goroutines, and
// Server.MaxBlocking does not: long polls and event streams keep no other handler from running. A nil h is
// http.DefaultServeMux, as in http.Server.
//
// The request is as net/http reads it, with these differences. PathValue and Pattern are those of the router that found
// From, until an http.ServeMux within finds its own. URL.Path is the whole path, the prefix of a Mount included, which
// http.StripPrefix takes away. OPTIONS * is answered with 200, as by http.Server. Context ends as that of the
// server.Request does: when the answer is done, when the peer is gone or has half-closed, when the server is closed. It has
// the values of SetContext of our middleware. Its http.LocalAddrContextKey is our address, if there is one and From was
// called on the loop. Its http.ServerContextKey is an http.Server that serves nothing; see [FromServer].
//
// The body streams, and h takes as much of it as it reads: h is called when the head is complete, and what h does not read
// is not read from the peer. It has no bound but a server.MaxBody around From, and what h sets.
//
//   - 100 (Continue) is sent at the first Read.
//   - The answer may begin before the body is read, and both go on at once: EnableFullDuplex of http.ResponseController
//     changes nothing. If the rest of the body is longer than 256 KiB or of unknown length when the answer begins, the
//     connection ends with the answer. So it does when the limit of an http.MaxBytesReader was met.
//   - Trailers are in Request.Trailer when Read has returned io.EOF, those that were not announced too.
//   - A body that was cut off gives io.ErrUnexpectedEOF, a peer that was reset syscall.ECONNRESET, one that is too slow
//     os.ErrDeadlineExceeded, MaxBody an *http.MaxBytesError. errors.Is finds in each the error of package server as well.
//   - After Close, and when h has returned, Read returns http.ErrBodyReadAfterClose.
//   - If the body was refused while h read it, an answer whose status is below 400 is not sent: the refusal is.
//
// The answer begins with the fields that were set on the server.Response before. An answer of at most 2 KiB that is
// not flushed has a Content-Length, unless it has trailers, or Header()["Content-Length"] is nil; a larger one is
// streamed, and Write then waits for a peer that does not keep up. An answer that is shorter than its Content-Length is
// sent as far as it goes, and the connection closed. The error of a Write or Flush is that of every later one.
//
// WriteHeader panics with a status above 599. 100 is left to the server; 102 to 199 are interim responses, which, as always
// here, an HTTP/1.0 peer does not get. 101 is sent by Hijack, or else when h returns, and then the connection ends. Trailers
// go to every peer of HTTP/1.1. Fields that net/http would send though they are invalid are dropped, and so is any
// Transfer-Encoding; Date is always there.
//
// Besides the http.ResponseWriter there are http.Flusher, http.Hijacker, http.CloseNotifier, io.StringWriter, io.ReaderFrom,
// and all that http.ResponseController knows:
//
//   - A head that was written before Hijack is sent, and so is what was flushed. The net.Conn is that of
//     server.Response.Hijack. What was received and not used, the rest of the body included, is in the bufio.Reader.
//   - SetReadDeadline ends Read of the body. It does not end the Context.
//   - SetWriteDeadline ends Write. The answer is broken off if the time comes before its end is written.
//
// There is no http.Pusher. Once h has returned, what it left behind may go on to use both: the request is its own, and of
// the writer Write, Flush and the deadlines return server.ErrAnswered, Hijack and CloseNotify panic as in net/http, and the
// rest does nothing (but no two goroutines may use Header at once).
//
// A panic with http.ErrAbortHandler is one with server.ErrAbortHandler: the answer is broken off and nothing logged. What was
// flushed is sent before the connection ends, as from net/http. An answer that would then look whole is reset instead. Any other is that of the handler, with OnPanic and the server's log. Misuse, such as a second WriteHeader, is logged
// there once for each response.
func From(h http.Handler) server.Handler { return FromServer(&http.Server{Handler: h}) }

// FromServer is [From] for the Handler of s, with more of what a program may have set on its http.Server:
//
//   - http.ServerContextKey is s.
//   - BaseContext is called once, at the first request, with a net.Listener that has an Addr and accepts nothing. When the
//     context ends, those of all requests end.
//   - ConnContext is called at the first request of each connection. Its net.Conn has LocalAddr and RemoteAddr; the rest
//     returns errors.ErrUnsupported, for the connection is the server's.
//   - DisableGeneralOptionsHandler has OPTIONS * reach the Handler.
//
// BaseContext and ConnContext are called on the loop, so they must not block. Time-outs, limits, TLS and logs are fields of
// server.Server, under the same names or others. s is not served by FromServer, and must not be changed after it.
func FromServer(s *http.Server) server.Handler {
	f := &from{server: s, handler: s.Handler, peers: server.NewConnKey[*peer]("nethttp.From")}
	if f.handler == nil {
		f.handler = http.DefaultServeMux
	}
	return f
}

type from struct {
	server  *http.Server
	handler http.Handler
	base    base
	peers   server.ConnKey[*peer] // of this handler: another one has other contexts
}

// TakesHead implements server.HeadTaker: the body streams.
func (f *from) TakesHead() {}

// Serve implements server.Handler.
func (f *from) Serve(w *server.Response, r *server.Request) {
	if string(r.PeekTarget()) == "*" && r.Method() == http.MethodOptions && !f.server.DisableGeneralOptionsHandler {
		return // 200 with nothing: it is about the server, and not about what the handler has
	}
	f.peerOf(r).leaf.Serve(w, r)
}

// errNoReturn is how a handler has ended that neither returned nor panicked with a value: by runtime.Goexit, or by panic(nil)
// in a program that allows that (panicnil in GODEBUG).
var errNoReturn = errors.New("nethttp: the handler has ended its goroutine, or panicked with nil")

// call is one request, and all that is made for it.
type call struct {
	writer writer
	body   body
	ctx    callContext
}

// serve is called off the loop.
func (f *from) serve(w *server.Response, r *server.Request, p *peer) {
	c := new(call)
	req, err := c.request(r, p)
	if err != nil {
		w.Error(http.StatusBadRequest) // our parser and net/url do not agree
		return
	}
	defer c.ctx.stop()
	rw, sent := c.newWriter(w, req), req.Body // the handler may set another one
	returned := false
	defer func() {
		rw.end()         // whoever still holds it cannot reach the response any more
		_ = sent.Close() // and Read returns http.ErrBodyReadAfterClose
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
	rw.finish()
	returned = true
	if req.MultipartForm != nil {
		_ = req.MultipartForm.RemoveAll() // as net/http does: what is left are files of nobody
	}
}
