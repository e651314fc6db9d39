package parser

import (
	"bytes"
)

// Seven fields decide how a message is framed, whom it is for and what becomes of the connection. Each of their lines
// is checked when it is complete and leaves marks in a set; when the head ends, the set alone decides, by a table of
// what must not be. So framing is decided once (RFC 9112 section 6.3), and no later line is overlooked.

// seen is the set of what the field lines of a head have said so far.
type seen uint16

const (
	seenOld         seen = 1 << iota // the version is HTTP/1.0
	seenHost                         // a Host field
	seenLength                       // a Content-Length field
	seenContent                      // ... that announces at least one byte
	seenCoding                       // a Transfer-Encoding field
	seenChunked                      // ... whose last coding, so far, is chunked
	seenUnknown                      // ... that names another coding
	seenClose                        // Connection: close
	seenKeepAlive                    // Connection: keep-alive
	seenUpgrade                      // Connection: upgrade
	seenProtocol                     // an Upgrade field
	seenContinue                     // Expect: 100-continue
	seenExpectation                  // Expect: something else
	seenType                         // a Content-Type field
	seenContentless                  // the method takes no content: CONNECT, TRACE
)

// refusals lists the sets that are refused, the first that fits first: of the marks in `of`, exactly `are` are set.
var refusals = [...]struct {
	of, are seen
	err     *Error
}{
	{seenHost | seenOld, 0, errHostMissing},                                    // RFC 9112 section 3.2
	{seenCoding | seenOld, seenCoding | seenOld, errCodingVersion},             // RFC 9112 section 6.1
	{seenCoding | seenLength, seenCoding | seenLength, errLengthCoding},        // RFC 9112 section 6.1
	{seenCoding | seenChunked, seenCoding, errCodingFinal},                     // RFC 9112 section 6.3
	{seenContentless | seenCoding, seenContentless | seenCoding, errContent},   // RFC 9110 sections 9.3.6 and 9.3.8
	{seenContentless | seenContent, seenContentless | seenContent, errContent}, // the same
	{seenUnknown, seenUnknown, errCodingUnknown},                               // RFC 9112 section 6.1
}

// decide draws the conclusions from a whole head. The limits of a body come after what is malformed.
func (h *Head) decide(limits *Limits) *Error {
	if h.Minor == 0 {
		h.seen |= seenOld
	}
	if h.MethodID == MethodConnect || h.MethodID == MethodTrace {
		h.seen |= seenContentless
	}
	if h.seen == seenHost { // nothing else was said: most requests
		h.KeepAlive = true
		return nil
	}
	for _, r := range refusals {
		if h.seen&r.of == r.are {
			return r.err
		}
	}
	if h.ContentLength > 0 && uint64(h.ContentLength) > limits.body() {
		return errBodyLarge
	}
	if h.has(seenExpectation) {
		return errExpectation
	}
	h.Chunked = h.has(seenChunked)
	h.KeepAlive = !h.has(seenClose) && (h.Minor > 0 || h.has(seenKeepAlive))
	h.Expect100 = h.has(seenContinue) && h.Minor > 0 && h.HasBody()
	h.Upgrade = h.has(seenUpgrade|seenProtocol) && h.Minor > 0
	return nil
}

func (h *Head) has(s seen) bool { return h.seen&s == s }

// note checks the line f, of a field that means something, and marks what it says.
func (h *Head) note(b []byte, f *Field) *Error {
	v := f.Value.In(b)
	switch f.Known {
	case FieldHost:
		return h.noteHost(v, f.Value.Off)
	case FieldConnection:
		return h.noteConnection(v)
	case FieldContentLength:
		return h.noteLength(v)
	case FieldTransferEncoding:
		return h.noteCoding(v)
	case FieldExpect:
		h.noteExpect(v)
	case FieldContentType:
		return h.noteType(b, f.Value)
	case FieldUpgrade:
		if len(v) > 0 {
			h.seen |= seenProtocol
		}
	}
	return nil
}

// noteHost: once, and a valid host with or without a port (RFC 9112 section 3.2). The target's authority, if it has
// one, wins (section 3.2.2).
func (h *Head) noteHost(v []byte, off uint32) *Error {
	if h.has(seenHost) {
		return errHostTwice
	}
	if _, ok := authority(v); !ok {
		return errHost
	}
	h.seen |= seenHost
	if h.Form == OriginForm || h.Form == AsteriskForm {
		h.Authority = Span{off, uint32(len(v))}
	}
	return nil
}

// connectionOptions are those that mean something here; the others are for proxies.
var connectionOptions = [...]struct {
	name string
	mark seen
}{{"close", seenClose}, {"keep-alive", seenKeepAlive}, {"upgrade", seenUpgrade}}

// noteConnection: a list of tokens (RFC 9110 section 7.6.1).
func (h *Head) noteConnection(v []byte) *Error {
	for option := range Tokens(v) {
		if !ValidFieldName(option) {
			return errConnection
		}
		for _, o := range connectionOptions {
			if EqualFold(option, o.name) {
				h.seen |= o.mark
			}
		}
	}
	return nil
}

// noteLength: once, digits alone, and no two spellings of a number (RFC 9110 section 8.6, RFC 9112 section 6.3).
func (h *Head) noteLength(v []byte) *Error {
	if h.has(seenLength) {
		return errLengthTwice
	}
	if len(v) == 0 || v[0] == '0' && len(v) > 1 {
		return errLength
	}
	n := uint64(0)
	for _, c := range v {
		if class[c]&isDigit == 0 || n > maxBody/10 {
			return errLength
		}
		n = n*10 + uint64(c-'0')
	}
	if n > maxBody {
		return errLength
	}
	h.seen |= seenLength
	if n > 0 {
		h.seen |= seenContent
	}
	h.ContentLength = int64(n)
	return nil
}

// noteExpect: 100-continue is the only expectation there is (RFC 9110 section 10.1.1).
func (h *Head) noteExpect(v []byte) {
	for e := range Tokens(v) {
		if EqualFold(e, "100-continue") {
			h.seen |= seenContinue
		} else {
			h.seen |= seenExpectation
		}
	}
}

// noteType: several lines that agree are one; if they differ, nobody knows what the body is.
func (h *Head) noteType(b []byte, s Span) *Error {
	if !h.has(seenType) {
		h.seen |= seenType
		h.kind = s
		return nil
	}
	if !bytes.Equal(h.kind.In(b), s.In(b)) {
		return errContentType
	}
	return nil
}

// noteCoding: transfer-coding *( "," transfer-coding ), with no member empty, chunked once, last and without
// parameters (RFC 9112 sections 6.1 and 7). The line may continue an earlier one.
func (h *Head) noteCoding(v []byte) *Error {
	h.seen |= seenCoding
	for {
		name, rest := cutToken(v)
		if len(name) == 0 {
			return errCoding
		}
		rest, parameters, ok := cutParameters(rest)
		if !ok || len(rest) > 0 && rest[0] != ',' {
			return errCoding
		}
		switch chunked := EqualFold(name, "chunked"); {
		case h.has(seenChunked):
			return errCodingFinal
		case chunked && parameters:
			return errCoding
		case chunked:
			h.seen |= seenChunked
		default:
			h.seen |= seenUnknown
		}
		if len(rest) == 0 {
			return nil
		}
		v = trim(rest[1:])
	}
}

// cutParameters cuts *( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) ) OWS off the beginning of v.
func cutParameters(v []byte) (rest []byte, some, ok bool) {
	for {
		v = trim(v)
		if len(v) == 0 || v[0] != ';' {
			return v, some, true
		}
		some = true
		name, rest := cutToken(trim(v[1:]))
		rest = trim(rest)
		if len(name) == 0 || len(rest) == 0 || rest[0] != '=' {
			return nil, some, false
		}
		rest = trim(rest[1:])
		value, after := cutToken(rest)
		if len(value) == 0 {
			if after, ok = cutQuoted(rest); !ok {
				return nil, some, false
			}
		}
		v = after
	}
}

// cutToken cuts a token off the beginning of v; it is empty if there is none.
func cutToken(v []byte) (token, rest []byte) {
	n := runEnd(v, 0, isToken)
	return v[:n], v[n:]
}

// cutQuoted cuts a quoted string off the beginning of v (RFC 9110 section 5.6.4).
func cutQuoted(v []byte) (rest []byte, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '"':
			return v[i+1:], true
		case '\\':
			i++
		}
	}
	return nil, false
}
