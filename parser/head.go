package parser

// A Head says where things are in the bytes of a message, and what they mean for its framing and its connection. It
// holds offsets, never bytes: the owner of the bytes may move or copy them as a whole, and the offsets stay true.

// Span is a piece of the bytes that were given to [Parser.Next], by offset and length.
type Span struct{ Off, Len uint32 }

// In returns the piece of b that s names. b is the slice that was given to the call of [Parser.Next] which reported
// the span, or a copy of it; the result aliases b, and its capacity ends with it.
func (s Span) In(b []byte) []byte { return b[s.Off : s.Off+s.Len : s.Off+s.Len] }

// Field is one field line: the name as it came, and the value without the white space around it.
type Field struct {
	Name, Value Span
	Known       FieldID // which field this is, or FieldOther
}

// TargetForm is one of the four forms of a request target (RFC 9112 section 3.2).
type TargetForm uint8

// The forms of a request target.
const (
	OriginForm    TargetForm = iota // /path?query
	AbsoluteForm                    // http://host/path?query
	AuthorityForm                   // host:port, with CONNECT alone
	AsteriskForm                    // *, with OPTIONS alone
)

// Head is the head of one request, and later its body's latest piece and its trailers. The zero value is ready. The
// caller owns it, gives it to each call of [Parser.Next] until that message's [EventEnd], and may then use it for the
// next message: its slices are reused, so nothing is allocated once they have grown. Like the Parser it belongs to
// one goroutine at a time.
//
// All spans but Body and those of Trailers are offsets into b[:n] of the call that returned [EventHead].
type Head struct {
	Start  uint32     // where the request line begins: empty lines may stand before it
	Method Span       // a token of at most MaxMethod bytes, case-sensitive
	Target Span       // the request target, as it came
	Form   TargetForm // its form
	Minor  uint8      // the version is HTTP/1.Minor; what is above 1 is served as 1

	seen seen // what the field lines have said so far

	// From here to Body all is emptied for each message, and lies together so that this takes few stores.

	MethodID    MethodID // which method it is, or MethodOther
	HTTPS       bool     // an absolute form with the scheme https, which only a secured connection may serve (RFC 9110 section 7.4)
	HasQuery    bool     // there is a question mark, perhaps with nothing behind it
	PathEscaped bool     // Path holds a percent sign: see Unescape
	Chunked     bool     // the body is chunked
	KeepAlive   bool     // the connection may persist, by version and Connection field; close wins
	Expect100   bool     // the peer awaits 100 (Continue) before it sends the body; never in HTTP/1.0, never without a body
	Upgrade     bool     // Connection names upgrade, and there is an Upgrade field; never in HTTP/1.0

	Authority Span // host[:port] of the target if it has one, else the Host field: the effective host
	// Path is escaped, as it came. It is empty in an absolute form without one (then it stands for "/", or for "*" with OPTIONS
	// and no query), in an authority form and in an asterisk form.
	Path  Span
	Query Span // escaped, without its question mark
	Body  Span // the latest piece of the body: offsets into b[:n] of the call that returned EventBody

	ContentLength int64   // the body's length, or -1 if none was announced
	Fields        []Field // the field lines, in order

	// Trailers are the field lines after a chunked body: offsets into b[:n] of the call that returned EventEnd.
	// They are kept apart from Fields: no trailer changes framing, routing or authentication.
	Trailers []Field

	kind Span // the first Content-Type field's value, once seenType is set
}

// Get returns the value of the first field line with the given name, compared without regard to ASCII case. b is the
// slice that came with EventHead, or a copy of it; the value aliases it.
func (h *Head) Get(b []byte, name string) (value []byte, ok bool) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if int(f.Name.Len) == len(name) && EqualFold(f.Name.In(b), name) {
			return f.Value.In(b), true
		}
	}
	return nil, false
}

// Find returns the value of the first field line with the given id, which is quicker than [Head.Get]. b is the slice
// that came with EventHead, or a copy of it; the value aliases it.
func (h *Head) Find(b []byte, id FieldID) (value []byte, ok bool) {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.Known == id {
			return f.Value.In(b), true
		}
	}
	return nil, false
}

// Values iterates over the values of all field lines with the given name, in order, as Get finds the first.
func (h *Head) Values(b []byte, name string) func(yield func(value []byte) bool) {
	return func(yield func([]byte) bool) {
		for i := range h.Fields {
			f := &h.Fields[i]
			if int(f.Name.Len) == len(name) && EqualFold(f.Name.In(b), name) && !yield(f.Value.In(b)) {
				return
			}
		}
	}
}

// HasBody reports whether a body was announced that is not known to be empty.
func (h *Head) HasBody() bool { return h.Chunked || h.ContentLength > 0 }

// reset empties h for the next message and keeps the room of its slices. Field by field, because storing a whole Head
// costs a quarter of the time that a short head takes; what a request line always sets is left out. The method is not,
// since the answer to a request line that is refused depends on whether it was HEAD.
func (h *Head) reset() {
	h.seen = 0
	h.MethodID, h.HTTPS, h.HasQuery, h.PathEscaped = MethodOther, false, false, false
	h.Chunked, h.KeepAlive, h.Expect100, h.Upgrade = false, false, false, false
	h.Authority, h.Path, h.Query, h.Body = Span{}, Span{}, Span{}, Span{}
	h.ContentLength = -1
	h.Fields, h.Trailers = h.Fields[:0], h.Trailers[:0]
}
