package server

import (
	"fmt"
	"iter"
	"slices"
	"strconv"

	"microhttp/parser"
)

// Response is the answer that a handler fills: a status, fields, a body. Nothing
// is sent before the handler returns, unless it takes a Stream.
//
// A Response belongs to one goroutine at a time, as the Request does, and is lent
// until the response is done. Framing (Content-Length, Transfer-Encoding), Date
// and Connection are the server's work: see SetHeader.
type Response struct {
	_        noCopy
	x        *exchange
	status   int
	fields   fieldLines
	body     content
	declared int64    // the Content-Length that the handler set, or -1
	flags    wflags   //
	filters  *filters // when the head is decided, those that are yet to be called
	stream   *Stream  // if the handler took one
	counted  int      // what the body was last counted to hold: see memory.go
	sent     int64    // bytes of content handed to the transport
	err      error    // why the answer did not go out whole

	before  []before // see onhead.go
	onDone  []func(w *Response, r *Request)
	onPanic func(w *Response, r *Request, v any, stack []byte)
}

type wflags uint8

const (
	closeAfter wflags = 1 << iota // the handler asked for Connection: close
	ownDate                       // the handler set Date itself
	answered                      // OnDone's functions run: nothing changes the answer any more
	decided                       // OnHead's functions were called
	filtered                      // the length of the content is not known, since filters change it
	streamHead                    // a Stream is being taken, and its head is being decided
)

// noCopy has go vet report who copies what is lent.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// maxKeptBody is the largest body buffer that a Response keeps for its next use:
// a loop's few spare responses then hold little.
const maxKeptBody = 64 << 10

// SetStatus sets the status of the answer, 200 to 599; the default is 200. It
// panics on any other number. Once a Stream was taken, and in OnDone, it does nothing, but
// for a line in the log.
func (w *Response) SetStatus(code int) {
	w.x.req.lent()
	if code < minStatus || code > maxStatus {
		panic(fmt.Sprintf("server: invalid status %d: an answer's is %d to %d", code, minStatus, maxStatus))
	}
	if w.committed() {
		if code != w.status {
			_ = w.tooLate("SetStatus")
		}
		return
	}
	w.status = code
}

// committed reports whether the status and the fields are decided.
func (w *Response) committed() bool { return w.stream != nil || w.flags&answered != 0 }

// tooLate logs what cannot be done any more, and returns the error of those who can return one. After a panic it is no news.
func (w *Response) tooLate(what string) error {
	if w.err == nil {
		w.LogMisuse(what + " comes too late: the head of the response is committed")
	}
	return ErrCommitted
}

// Status returns the status as set so far.
func (w *Response) Status() int {
	w.x.req.lent()
	return w.status
}

// SetHeader sets a field, in place of lines that have the same name. A name that is not a token panics. A value that no field
// may hold (CR, LF, NUL and other controls, white space around it) is dropped: the field stays as it was, and the log has a
// line that names it. ValidFieldValue tells beforehand.
//
// Three fields are special. Content-Length declares the length of a Stream's body,
// or of the body that a HEAD request asks about: an answer to HEAD to which nothing was
// written has none without it (RFC 9110, 8.6). For other answers the server
// counts. Connection: close closes the connection after the answer.
// Transfer-Encoding is the server's own, and dropped. Once a Stream was taken, and in OnDone, SetHeader
// does nothing, but for a line in the log.
func (w *Response) SetHeader(name, value string) { w.putHeader(name, value, true) }

// AddHeader adds a field line, keeping others of the same name; of Date there is only one.
// Otherwise it is as SetHeader.
func (w *Response) AddHeader(name, value string) { w.putHeader(name, value, false) }

func (w *Response) putHeader(name, value string, replace bool) {
	w.x.req.lent()
	if w.committed() || !w.fields.again(name, value, replace) {
		w.putNewHeader(name, value, replace)
	}
}

//go:noinline
func (w *Response) putNewHeader(name, value string, replace bool) {
	mustBeFieldName(name)
	switch {
	case w.committed():
		_ = w.tooLate("the field " + name)
	case !parser.ValidFieldValue(value):
		w.dropField(name, badValue)
	default:
		w.takeField(name, value, replace)
	}
}

// takeField takes a field that is valid. The lengths of the names of the special ones tell them from most others at once.
func (w *Response) takeField(name, value string, replace bool) {
	plain := true
	switch len(name) {
	case len("Date"):
		if parser.EqualFold(name, "Date") {
			w.flags |= ownDate
			replace, plain = true, false
		}
	case len("Connection"):
		if parser.EqualFold(name, "Connection") {
			if replace {
				w.DelHeader(name)
			}
			if w.ownConnection(value) {
				return
			}
			plain = false
		}
	case len("Content-Length"):
		if parser.EqualFold(name, "Content-Length") {
			if n, err := strconv.ParseUint(value, 10, 63); err == nil {
				w.declared = int64(n)
			} else {
				w.dropField(name, badLength)
			}
			return
		}
	case len("Transfer-Encoding"):
		if parser.EqualFold(name, "Transfer-Encoding") {
			w.dropField(name, ownField)
			return
		}
	}
	if replace && len(w.fields.lines) > 0 {
		w.fields.del(name)
	}
	w.fields.add(name, value, plain)
}

// ownConnection takes what a Connection field says of persistence, and reports whether that
// is all that it says.
func (w *Response) ownConnection(value string) bool {
	all := true
	for option := range parser.Tokens([]byte(value)) {
		switch {
		case parser.EqualFold(option, "close"):
			w.flags |= closeAfter
		case !parser.EqualFold(option, "keep-alive"):
			all = false
		}
	}
	return all
}

// DelHeader removes all lines of a field; of the fields that are special to SetHeader it undoes
// what was set. Once a Stream was taken, and in OnDone, it does nothing.
func (w *Response) DelHeader(name string) {
	w.x.req.lent()
	if w.committed() {
		return
	}
	w.fields.del(name)
	switch {
	case parser.EqualFold(name, "Date"):
		w.flags &^= ownDate
	case parser.EqualFold(name, "Connection"):
		w.flags &^= closeAfter
	case parser.EqualFold(name, "Content-Length"):
		w.declared = -1
	}
}

// Header returns the value of the first line of a field that was set, or "".
func (w *Response) Header(name string) string { return string(w.PeekHeader(name)) }

// PeekHeader is Header, lent until the next change of a field; nil when the field
// is not set.
func (w *Response) PeekHeader(name string) []byte {
	w.x.req.lent()
	return w.fields.get(name)
}

// Headers iterates over the field lines that were set so far, in order, as they are when
// the iteration begins: they may be changed meanwhile. The fields that are special to
// SetHeader are not among them, but for Date.
func (w *Response) Headers() iter.Seq2[string, string] {
	w.x.req.lent()
	return func(yield func(string, string) bool) {
		lines, b := slices.Clone(w.fields.lines), string(w.fields.b)
		for _, l := range lines {
			if !yield(b[l.start:l.colon], b[l.colon+2:l.end-2]) {
				return
			}
		}
	}
}

// Write appends a copy of p to the body; it fails in OnDone alone, with ErrCommitted. Once a
// Stream was taken it is the Stream's Write.
func (w *Response) Write(p []byte) (int, error) {
	w.x.req.lent()
	if w.committed() {
		return w.writeLate(p)
	}
	w.unshare()
	w.body.buf = append(w.body.buf, p...)
	if w.x.detached {
		return w.wrote(len(p))
	}
	return len(p), nil
}

// WriteString is Write for a string, and returns nothing: without a Stream it can only fail because nobody waits for the answer
// any more. A handler that wants to know uses io.WriteString, which has Write's results, or takes a Stream.
func (w *Response) WriteString(s string) {
	w.x.req.lent()
	if w.committed() {
		_, _ = w.writeLate([]byte(s))
		return
	}
	w.unshare()
	w.body.buf = append(w.body.buf, s...)
	if w.x.detached {
		_, _ = w.wrote(len(s))
	}
}

// wrote is the end of Write for an exchange that is detached: there may be nobody to answer any more.
func (w *Response) wrote(n int) (int, error) {
	if w.x.fate.Load() == fateGone {
		return 0, w.x.reason
	}
	w.recount()
	return n, nil
}

// writeLate is Write for a response whose head is out.
func (w *Response) writeLate(p []byte) (int, error) {
	if w.flags&answered != 0 {
		return 0, w.tooLate("Write")
	}
	return w.stream.Write(p)
}

// unshare makes the body one that can be appended to.
func (w *Response) unshare() {
	if w.body.kind != contentWritten {
		if w.body.kind == contentFile {
			w.LogMisuse("what is written after SendFile takes the place of the file")
		}
		w.body.room()
	}
}

// keepLent copies a body that is lent: it may be the request's, which lay in the read buffer.
func (w *Response) keepLent() {
	if w.body.kind == contentLent {
		w.body.room()
	}
}

// SetBody makes p the body, in place of what was written, without copying it: p is
// lent to the server and must not change until the response is done. nil is no body. Once
// a Stream was taken, and in OnDone, it does nothing, but for a line in the log.
func (w *Response) SetBody(p []byte) { w.setBody("SetBody", contentLent, p) }

// GiveBody is SetBody for bytes that nobody changes any more: a page that is always the
// same, or what was made for this answer alone. However slowly the peer reads, they are not
// copied. What is only lent, as PeekBody, is for SetBody.
func (w *Response) GiveBody(p []byte) { w.setBody("GiveBody", contentGiven, p) }

func (w *Response) setBody(method string, kind contentKind, p []byte) {
	w.x.req.lent()
	if w.committed() {
		_ = w.tooLate(method)
		return
	}
	w.body.set(kind, p)
	w.recount()
}

// Error makes this an answer of the given status whose body is its reason phrase, if that
// status has a body, in place of what was written and of the fields that described it. Once
// a Stream was taken, and in OnDone, it does nothing.
func (w *Response) Error(code int) {
	w.x.req.lent()
	if w.committed() {
		return
	}
	w.SetStatus(code)
	w.dropFilters()
	w.body.clear()
	w.declared = -1
	w.DelHeader("Content-Encoding")
	w.DelHeader("ETag")
	w.DelHeader("Last-Modified")
	w.DelHeader("Cache-Control")
	if bodyless(code) {
		w.DelHeader("Content-Type")
		return
	}
	w.SetHeader("Content-Type", textPlain)
	w.WriteString(StatusText(code))
	w.WriteString("\n")
}

// BytesSent returns how many bytes of content have been handed to the connection. It is final in OnDone. The range of a
// file counts as a whole from when the answer begins, also if the connection is lost before its end.
func (w *Response) BytesSent() int64 { return w.sent }

// Err returns, in OnDone, why the answer did not go out whole: a CloseReason, such as ErrPeerReset
// or ErrSendTimeout. It is nil when all of the answer was handed to the connection.
func (w *Response) Err() error { return w.err }

// OnDone adds a function that is called on the loop, once, when the response is
// done: when it has been handed to the connection whole, or when the connection is
// lost. Functions are called in the order they were added. They see what the answer was and
// cannot change it: Later, Stream and Blocking panic, and a function that is added then is not
// called. A function that captures nothing of the request costs no allocation: it gets both.
// OnDone panics for nil.
func (w *Response) OnDone(f func(w *Response, r *Request)) {
	w.x.req.lent()
	if f == nil {
		panic("server: OnDone of a nil function")
	}
	if w.flags&answered != 0 {
		_ = w.tooLate("OnDone")
		return
	}
	w.onDone = append(w.onDone, f)
}

// OnPanic sets a function that is called when the handler of this response panics,
// on or off the loop, in the goroutine that panicked and before anything is sent.
// It may fill w anew; if a Stream was taken, the connection is reset. Without it the panic is
// logged, there is no answer, and the connection ends behind those to earlier requests.
func (w *Response) OnPanic(f func(w *Response, r *Request, v any, stack []byte)) {
	w.x.req.lent()
	w.onPanic = f
}

// Reset makes the response as a handler gets it: status 200, no fields, no body.
// Functions of OnHead, OnDone and OnPanic stay. Once a Stream was taken, and in OnDone, it does
// nothing.
func (w *Response) Reset() {
	w.x.req.lent()
	if !w.committed() {
		w.reset()
	}
}

func (w *Response) reset() {
	if len(w.before) > 0 || w.filters != nil {
		w.dropFilters()
	}
	w.status, w.declared, w.flags = 200, -1, 0
	w.fields.reset()
	w.body.clear()
}

// recycle readies the response for another request.
func (w *Response) recycle() {
	w.reset()
	w.sent, w.err = 0, nil
	if cap(w.body.buf) > maxKeptBody {
		w.body.buf = nil
	}
	w.onPanic = nil
	if len(w.before) > 0 || len(w.onDone) > 0 {
		w.letGo()
	}
}

// letGo is the rest of recycle, for what not all responses have.
//
//go:noinline
func (w *Response) letGo() {
	clear(w.before) // there was no answer
	w.before = w.before[:0]
	clear(w.onDone)
	w.onDone = w.onDone[:0]
}
