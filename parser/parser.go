// Package parser reads HTTP/1.1 requests (RFC 9110, 9112, 3986) from bytes, whatever pieces they come in.
//
// It is sans-IO and pull style: the caller owns a connection and a buffer, gives [Parser.Next] what it has, and gets
// one event back: a head, a piece of a body, the end of a message, or the wish for more. Nothing is copied and
// nothing is allocated; a [Head] holds offsets into the caller's bytes. What the RFCs leave ambiguous is refused with
// an [*Error] that brings the status to answer with.
//
// Three laws hold, and the tests prove them:
//
//   - The events of a message do not depend on how its bytes were split, and neither does the error: the parser is a
//     state machine that goes over the bytes once, in order, and can stop and resume between any two of them. An
//     error is reported as soon as the byte that makes it certain has been seen.
//   - The work is linear in the bytes, however they drip in: a byte is scanned once, when it comes, and looked at again
//     only when the token or line that it belongs to is complete. That makes at most two looks at each, on the average
//     of the bytes that have come so far, and a test counts them.
//   - No byte outside the given slice is read.
//
// The files: parser.go is the outermost machine, requestline.go and fieldline.go scan a head, meaning.go decides what
// its fields mean for framing and connection, chunk.go scans a chunked body; fault.go says where a
// message broke its rule; uri.go, chars.go and names.go hold what these share, word.go too; wire.go holds what other packages need.
package parser

// A message has parts that follow each other: head, then a body of known length or in chunks, then the trailer
// section, then its end. Each part has a method below; each ends by naming the part that comes next, which is all
// that Next has to know.

// Event is what a call of [Parser.Next] came to.
type Event uint8

// The events of a message come in this order: EventHead, any number of EventBody, EventEnd. NeedMore may stand
// anywhere between.
const (
	NeedMore  Event = iota // nothing yet: keep b[n:] and call again when there are more bytes behind it
	EventHead              // the head is complete: h describes b[:n]
	EventBody              // a piece of the body: h.Body.In(b)
	EventEnd               // the message is complete: h.Trailers, if there are any, describe b[:n]
)

// Parser is the state of reading one connection's requests, one after the other. The zero value is ready and uses the
// default limits. It is small, since each idle connection has one. It belongs to one goroutine at a time.
type Parser struct {
	// Limits bounds what is accepted; nil means the defaults. Set it before the first call of Next.
	Limits *Limits

	left       uint64 // bytes of the body, or of the present chunk, still to come
	body       uint64 // bytes of the chunks announced so far
	pos        uint32 // how far the presented bytes were scanned already; in a chunked body: its bytes on the wire so far
	extensions uint32 // bytes of chunk extensions so far
	count      uint32 // blank lines so far; in a chunk size: digits so far
	part       part
	at         at

	// In partFailed these say why, and see Fault: pos is where the section begins in the bytes that were given last, left
	// the place in the section at which the parser gave up, body the same from the section's first byte on the wire.
	rule    uint8 // the number of the error
	section Section
}

// part is a part of a message. The zero value stands before a message.
type part uint8

const (
	partHead part = iota
	partLength
	partChunks
	partTrailer
	partEnd
	partFailed
)

// at is the place within a part: what the next byte is expected to be. Zero is the first place of a head.
type at uint8

const (
	maxBody  = 1<<63 - 1 // what Content-Length and a chunk size may say at most: an int64
	maxPiece = 1 << 30   // what one EventBody covers at most: a Span counts in 32 bits
)

// errMore says that the bytes ran out before anything could be decided. It never leaves the package.
var errMore = &Error{Reason: "more bytes are needed"}

// Next reads on in b, whose first byte is the first that was not consumed yet, and reports one event. It consumes n
// bytes: the next call's b begins behind them. b is only read, and only until Next returns.
//
// With NeedMore the caller keeps b[n:] and calls again once more bytes stand behind it; of an unfinished head or
// trailer section n is 0, so that its lines are presented again, but they are not scanned again. Bodies and chunk
// sizes are consumed as they come and need no buffer. After any other event the caller calls again at once, until
// NeedMore; a message without a body ends with an EventEnd of no bytes.
//
// h is filled in as the message arrives. The caller gives the same h until EventEnd, and changes nothing in it.
//
// err is nil or an [*Error], and the same error again for each later call: the connection cannot be read any further.
func (p *Parser) Next(b []byte, h *Head) (ev Event, n int, err error) {
	switch p.part {
	case partHead:
		return p.head(b, h)
	case partLength:
		return p.length(b, h)
	case partChunks:
		return p.chunks(b, h)
	case partTrailer:
		return p.trailer(b, 0, h)
	case partEnd:
		p.begin(partHead, atStart)
		return EventEnd, 0, nil
	}
	return NeedMore, 0, rules[p.rule]
}

// TakeEnd takes [EventEnd], and reports whether it did. It is there to take when the message needs no more bytes: after the head of
// one without a body, and after the last byte of one whose length was announced. It saves a caller that knows what to do
// at the end a call of Next.
func (p *Parser) TakeEnd() bool {
	if p.part != partEnd {
		return false
	}
	p.begin(partHead, atStart)
	return true
}

// Reset readies p for another connection and keeps its limits.
func (p *Parser) Reset() { *p = Parser{Limits: p.Limits} }

// Announced returns how many bytes of a chunked body the chunk sizes have announced so far. A size counts when its line is
// whole, since what follows it there may be malformed. It is for callers that bound the body themselves, and so can refuse a
// chunk before its bytes come.
func (p *Parser) Announced() int64 {
	if p.part == partChunks && p.at >= atSizeSpace && p.at <= atSizeLF {
		return int64(p.body - p.left)
	}
	return int64(p.body)
}

// Idle reports whether p stands between messages: no byte of a request line has been seen yet.
func (p *Parser) Idle() bool { return p.part == partHead && p.at <= atBlankLF }

// head reads empty lines, the request line and the field lines with the empty line that ends them.
func (p *Parser) head(b []byte, h *Head) (Event, int, error) {
	i, err := int(p.pos), (*Error)(nil)
	if p.at <= atBlankLF {
		h.reset()
		if i, err = p.blankLines(b); err == errMore {
			return NeedMore, i, nil
		} else if err != nil {
			blank := 2 * uint64(p.count)
			if err == errBlankLine {
				blank--
			}
			return p.fail(err, InHead, 0, i, blank)
		}
		h.Start, h.Method.Off = uint32(i), uint32(i)
	}
	window := b[:min(len(b), int(h.Start)+p.Limits.head())]
	if p.at < atLine {
		i, err = p.requestLine(window, i, h)
	}
	if err == nil {
		i, err = p.fieldLines(window, i, h)
	}
	if err == nil {
		err = p.frame(h)
	}
	switch {
	case err == nil:
		return EventHead, i, nil
	case err == errMore && len(window) < len(b):
		err = errHeadLarge
	}
	if err != errMore {
		return p.fail(err, InHead, 0, i, 2*uint64(p.count)+uint64(i)-uint64(h.Start))
	}
	p.pos = uint32(i)
	return NeedMore, 0, nil
}

// frame decides, once, what follows the head.
func (p *Parser) frame(h *Head) *Error {
	if err := h.decide(p.Limits); err != nil {
		return err
	}
	switch {
	case h.Chunked:
		p.begin(partChunks, atSize)
		p.body, p.extensions = 0, 0
	case h.ContentLength > 0:
		p.begin(partLength, 0)
		p.left = uint64(h.ContentLength)
	default:
		p.begin(partEnd, 0)
	}
	return nil
}

// length passes on a body whose length was announced.
func (p *Parser) length(b []byte, h *Head) (Event, int, error) {
	if len(b) == 0 {
		return NeedMore, 0, nil
	}
	n := p.piece(b, 0, h)
	if p.left == 0 {
		p.begin(partEnd, 0)
	}
	return EventBody, n, nil
}

// piece lends the bytes of a body that are there at b[i:], and returns where they end.
func (p *Parser) piece(b []byte, i int, h *Head) int {
	n := min(p.left, uint64(len(b)-i), maxPiece)
	p.left -= n
	h.Body = Span{uint32(i), uint32(n)}
	return i + int(n)
}

// trailer reads the field lines behind the last chunk, from b[base:]. What stands before was consumed by this call.
func (p *Parser) trailer(b []byte, base int, h *Head) (Event, int, error) {
	section := b[base:]
	window := section[:min(len(section), p.Limits.trailer())]
	i, err := p.fieldLines(window, int(p.pos), h)
	switch {
	case err == nil:
		for k := range h.Trailers {
			h.Trailers[k].Name.Off += uint32(base)
			h.Trailers[k].Value.Off += uint32(base)
		}
		p.begin(partHead, atStart)
		return EventEnd, base + i, nil
	case err == errMore && len(window) < len(section):
		err = errTrailerLarge
	}
	if err != errMore {
		return p.fail(err, InTrailer, base, i, uint64(i))
	}
	p.pos = uint32(i)
	return NeedMore, base, nil
}

// begin goes to the first place of a part.
func (p *Parser) begin(next part, place at) {
	p.part, p.at, p.pos, p.count = next, place, 0, 0
}

// fail refuses the peer from here on: in a section that begins at b[base], at its byte i; offset is the same from the
// section's first byte on the wire.
func (p *Parser) fail(err *Error, section Section, base, i int, offset uint64) (Event, int, error) {
	p.part, p.rule, p.section = partFailed, err.number, section
	p.pos, p.left, p.body = uint32(base), uint64(i), offset
	return NeedMore, 0, err
}
