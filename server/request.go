package server

import (
	"bytes"
	"context"
	"iter"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"microhttp/parser"
	"microhttp/reactor"

	"github.com/valyala/bytebufferpool"
)

// wholeCopy is the largest head that is copied in one piece when a handler first
// asks for a string of it. Strings of a larger head are copied alone, so that
// keeping ten bytes never pins 32 KiB.
const wholeCopy = 1 << 10

// Request is one request, as its head came and with its body read whole.
//
// What its methods return is yours to keep, except what is named Peek…: that is
// lent until the response is done, as the Request itself is, but what a handler on the loop
// has peeked at before it took a Pending or a Stream, or called a Blocking handler, only
// until it returns. A Request belongs to one goroutine at a time: the loop, or the goroutine
// that answers.
type Request struct {
	conn *conn
	x    *exchange // that it is part of
	head parser.Head
	oneRequest

	bodyBuf  *bytebufferpool.ByteBuffer // where body lies, if it did not lie in one read with the head
	gathered gatherer                   // what of a large body has arrived, behind bodyBuf: see gather.go
	trailers atomic.Pointer[trailers]
	keyed    []keyed         // what Keys have set
	spare    [16]parser.Span // room for values: router.Router takes no pattern with more

	forwarded   Forwarded // what a proxy says of the request
	isForwarded bool      // and one has said it

	late    atomic.Bool // the response is done, and Server.DetectLateUse is on
	done    bool        // the response is done, and this awaits its next use
	tainted bool        // it was used between the end of one response and the next request

	ctxMu  sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
}

// oneRequest is what a Request forgets, as it is, when it is used for another request.
type oneRequest struct {
	raw  []byte // the head; lent by the connection, until detach
	text string // the one copy of raw, made when first asked for

	body   []byte
	reader *bodyReader // BodyReader's
	form   *form       // of the body, once it was parsed

	pattern string
	names   []string
	values  []parser.Span

	received time.Time // when the head was complete, once that is not this tick

	kept  bool // body is the handler's: Body was called
	asked bool // the body was asked for
	whole bool // … and is whole: it may be looked at
	ended bool // the context has ended
}

const lateUse = "a Request or Response was used after its response was done"

// lent is called by whatever shows or changes what is lent, and holds those to the
// lifetime law whom the server was told to watch. Of the others it finds, for nothing, who
// comes while there is no next request: the server says so, once, and what they have done
// to the response is undone before it is used again. Only done is read here, for a goroutine
// that is late is also a race.
func (r *Request) lent() {
	if r.late.Load() || r.done {
		r.usedLate()
	}
}

// usedLate is the rest of lent, apart from it so that lent is inlined.
//
//go:noinline
func (r *Request) usedLate() {
	if r.late.Load() {
		panic("server: " + lateUse)
	}
	r.tainted = true
	r.conn.w.srv.logLateUse()
}

// open is lent for what would take the next request's answer away: who comes late panics, and who
// is called because the response is done.
func (r *Request) open() {
	r.lent()
	switch {
	case r.done:
		panic("server: " + lateUse)
	case r.x.res.flags&answered != 0:
		panic("server: the response is done, and OnDone cannot answer again")
	}
}

// begin readies the request for its head, on c.
func (r *Request) begin(c *conn) {
	r.conn, r.done = c, false
	if r.tainted {
		r.tainted = false
		r.x.recycle()
	}
}

// over reports whether the response is done and the head gone. What is asked then is late, and lent has said so; it gets
// nothing, since a panic in a goroutine of the program would end all of it.
func (r *Request) over() bool { return r.raw == nil }

// str is the string of a span of the head.
func (r *Request) str(s parser.Span) string {
	r.lent()
	if s.Len == 0 || r.over() {
		return ""
	}
	if r.text == "" {
		if len(r.raw) > wholeCopy {
			return string(s.In(r.raw))
		}
		r.text = string(r.raw)
	}
	return r.text[s.Off : s.Off+s.Len]
}

// Method returns the method, in the case it came in (RFC 9110, 9.1). For those of
// RFC 9110 and PATCH it is a constant.
func (r *Request) Method() string {
	r.lent()
	if id := r.head.MethodID; id != parser.MethodOther {
		return id.String()
	}
	return r.str(r.head.Method)
}

// Target returns the request target as it came (RFC 9112, 3.2).
func (r *Request) Target() string { return r.str(r.head.Target) }

// PeekTarget is Target, lent.
func (r *Request) PeekTarget() []byte {
	r.lent()
	if r.over() {
		return nil
	}
	return r.head.Target.In(r.raw)
}

// slash and asterisk are the paths of targets that spell none.
var slash, asterisk = []byte("/"), []byte("*")

// Path returns the path of the target with its escapes decoded; "*" for the
// asterisk form, "/" for an absolute form without a path ("*" if it is of OPTIONS and
// has no query either).
func (r *Request) Path() string {
	r.lent()
	if r.head.PathEscaped && !r.over() {
		return string(parser.Unescape(nil, r.head.Path.In(r.raw)))
	}
	if r.head.Path.Len == 0 {
		return string(r.PeekEscapedPath())
	}
	return r.str(r.head.Path)
}

// PeekEscapedPath is Path as it came, escaped and lent.
func (r *Request) PeekEscapedPath() []byte {
	r.lent()
	if r.head.Path.Len > 0 && !r.over() {
		return r.head.Path.In(r.raw)
	}
	if r.head.MethodID == parser.MethodOptions && !r.head.HasQuery {
		return asterisk // the asterisk form, or what it was for a proxy (RFC 9112, 3.2.4)
	}
	return slash
}

// RawQuery returns the query of the target as it came, without its "?".
func (r *Request) RawQuery() string { return r.str(r.head.Query) }

// Query iterates over the parameters of the query, in order, decoded as
// application/x-www-form-urlencoded: "+" is a space.
func (r *Request) Query() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for pair := range strings.SplitSeq(r.RawQuery(), "&") {
			if pair == "" {
				continue
			}
			name, value, _ := strings.Cut(pair, "=")
			if !yield(formDecode(name), formDecode(value)) {
				return
			}
		}
	}
}

// QueryValue returns the first parameter of the query with that name, decoded, or
// "".
func (r *Request) QueryValue(name string) string {
	for n, v := range r.Query() {
		if n == name {
			return v
		}
	}
	return ""
}

// formDecode undoes the escapes of one form field. They are well-formed: the
// parser refuses a target whose escapes are not.
func formDecode(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	b := []byte(strings.ReplaceAll(s, "+", " "))
	return string(parser.Unescape(b[:0], b))
}

// ProtoMinor returns the minor version of HTTP/1 that the request was sent with:
// 0, or 1 for 1.1 and later.
func (r *Request) ProtoMinor() int { return int(min(r.head.Minor, 1)) }

// Host returns the authority that the request is for: that of an absolute target,
// else the Host field (RFC 9112, 3.2).
func (r *Request) Host() string { return r.str(r.head.Authority) }

// PeekHost is Host, lent.
func (r *Request) PeekHost() []byte {
	r.lent()
	if r.over() {
		return nil
	}
	return r.head.Authority.In(r.raw)
}

// Header returns the value of the first field with that name, or "". Names
// compare without regard to ASCII case.
func (r *Request) Header(name string) string {
	r.lent()
	if r.over() {
		return ""
	}
	for i := range r.head.Fields {
		f := &r.head.Fields[i]
		if int(f.Name.Len) == len(name) && parser.EqualFold(f.Name.In(r.raw), name) {
			return r.str(f.Value)
		}
	}
	return ""
}

// PeekHeader is Header, lent; nil when there is no such field.
func (r *Request) PeekHeader(name string) []byte {
	r.lent()
	if r.over() {
		return nil
	}
	v, _ := r.head.Get(r.raw, name)
	return v
}

// Headers iterates over all fields, in order, names as they came. Lines with one
// name are not combined.
func (r *Request) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		r.lent()
		for i := range r.head.Fields {
			if !yield(r.str(r.head.Fields[i].Name), r.str(r.head.Fields[i].Value)) {
				return
			}
		}
	}
}

// Span is a piece of a head, by offset and length.
type Span = parser.Span

// SetMatch is for routers: it stores the pattern that was matched, the names of
// its wildcards, and where in PeekEscapedPath the value of each lies. values is
// copied, names is kept. It panics if there are fewer values than names.
func (r *Request) SetMatch(pattern string, names []string, values []Span) {
	r.lent()
	if len(values) < len(names) {
		panic("server: SetMatch of fewer values than names")
	}
	r.pattern, r.names = pattern, names
	if len(values) > 0 {
		r.keepValues(values)
	}
	if !r.x.detached { // else this may be another goroutine
		r.conn.w.route(pattern)
	}
}

func (r *Request) keepValues(values []Span) { r.values = append(r.spare[:0], values...) }

// Pattern returns the pattern that a router matched, or "".
func (r *Request) Pattern() string {
	r.lent()
	return r.pattern
}

// PathValue returns the value of the wildcard of that name in the pattern that was
// matched, decoded; "" also when it has none of that name, as in net/http.
func (r *Request) PathValue(name string) string {
	r.lent()
	for i, n := range r.names {
		if n == name {
			return r.pathValue(r.values[i])
		}
	}
	return ""
}

// PathValues iterates over the wildcards of the pattern that was matched, in order: the
// name of each and its value as PathValue gives it.
func (r *Request) PathValues() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, n := range r.names {
			if !yield(n, r.pathValue(r.values[i])) {
				return
			}
		}
	}
}

func (r *Request) pathValue(v parser.Span) string {
	r.lent()
	if r.head.Path.Len == 0 || r.over() {
		return "" // the path is not of the head, and too short to have values
	}
	v.Off += r.head.Path.Off
	if r.head.PathEscaped {
		return string(parser.Unescape(nil, v.In(r.raw)))
	}
	return r.str(v)
}

// RemoteAddr returns the address of the peer of the connection: behind a proxy, the proxy's;
// the zero AddrPort over a Unix socket.
func (r *Request) RemoteAddr() netip.AddrPort {
	r.lent()
	return r.conn.t.Info().RemoteAddr()
}

// LocalAddr returns the address of our end of the connection. It asks the kernel, and only
// on the loop: in a Blocking handler, once Later was called, and for a connection without such
// an address (a Unix socket), it is the zero AddrPort.
func (r *Request) LocalAddr() netip.AddrPort {
	r.lent()
	if r.x.mode != modeInline {
		return netip.AddrPort{}
	}
	return r.conn.t.Info().LocalAddr()
}

// Elapsed returns how long ago the head of the request was complete, by the server's clock: the real one, or the virtual one of
// package servertest. It reads the clock.
func (r *Request) Elapsed() time.Duration {
	r.lent()
	if clock := r.conn.w.srv.clock; clock != nil {
		return clock().Sub(r.Received())
	}
	return time.Since(r.Received())
}

// Received returns the time of the tick in which the head of the request became complete.
func (r *Request) Received() time.Time {
	if r.received.IsZero() {
		return r.conn.w.loop.Now() // it is still that tick
	}
	return r.received
}

// Reactor returns the loop that the connection lives on. Its timers (CallLater) are for a
// handler on the loop; any goroutine may use its CallFromThread, which leads back to the loop,
// and a Blocking handler has those of package time.
func (r *Request) Reactor() *reactor.Reactor {
	r.lent()
	return r.conn.t.Reactor()
}

// detach makes the request independent of the connection's buffers: it is about to
// outlive the call that brought them.
func (r *Request) detach() {
	if r.received.IsZero() {
		r.received = r.conn.w.loop.Now()
	}
	if len(r.raw) <= wholeCopy {
		// One copy serves as bytes and as strings. Nothing ever writes to raw.
		if r.text == "" {
			r.text = string(r.raw)
		}
		r.raw = unsafe.Slice(unsafe.StringData(r.text), len(r.text))
	} else {
		r.raw = bytes.Clone(r.raw)
	}
	r.keepBody()
}

// reset readies the request for another use. What it had lent is gone.
func (r *Request) reset() {
	r.oneRequest = oneRequest{}
	if r.bodyBuf != nil || len(r.keyed) > 0 || r.isForwarded || r.ctx != nil || r.trailers.Load() != nil {
		r.letGo()
	}
}

// letGo is the rest of reset, for what few requests have.
//
//go:noinline
func (r *Request) letGo() {
	if r.bodyBuf != nil {
		giveBody(r.bodyBuf)
		r.bodyBuf = nil
	}
	clear(r.keyed)
	r.keyed = r.keyed[:0]
	r.forwarded, r.isForwarded = Forwarded{}, false
	if r.ctx != nil {
		r.cancel() // a handler at the head has asked for it, and the body did not come
		r.ctx, r.cancel = nil, nil
	}
	r.trailers.Store(nil)
}
