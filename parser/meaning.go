package parser

import "bytes"

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
	seenTypeTwice                    // ... and another that says the same
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

// doubtful are the marks that are in a set that is refused, if Host is not what is missing.
const doubtful = seenOld | seenCoding | seenUnknown | seenContentless

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
	if h.seen&(seenHost|doubtful) != seenHost {
		for _, r := range refusals {
			if h.seen&r.of == r.are {
				return r.err
			}
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
		return h.noteLength(v, f)
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

// The words that mean something in the lists below. Other connection options are for proxies.
var (
	wordClose     = wordOf("close")
	wordKeepAlive = wordOf("keep-alive")
	wordUpgrade   = wordOf("upgrade")
	wordContinue  = wordOf("100-continue")
	wordChunked   = wordOf("chunked")
)

// noteConnection: a list of tokens, in which members may be empty (RFC 9110 sections 5.6.1 and 7.6.1).
func (h *Head) noteConnection(v []byte) *Error {
	for i := 0; i <= len(v); i++ {
		var option word
		var ok bool
		option, i, ok = member(v, i)
		switch {
		case !ok:
			return errConnection
		case option == wordClose:
			h.seen |= seenClose
		case option == wordKeepAlive:
			h.seen |= seenKeepAlive
		case option == wordUpgrade:
			h.seen |= seenUpgrade
		}
	}
	return nil
}

// maxLengthSpace is the most white space that may stand before a length. A sender writes one space (RFC 9110 section
// 5.6.3); a column of them is what padding looks like, and a length has one spelling.
const maxLengthSpace = 1

// noteLength: once, digits alone, and no two spellings of a number (RFC 9110 section 8.6, RFC 9112 section 6.3).
func (h *Head) noteLength(v []byte, f *Field) *Error {
	if h.has(seenLength) {
		return errLengthTwice
	}
	space := f.Value.Off - (f.Name.Off + f.Name.Len + 1) // behind the colon
	if len(v) == 0 || v[0] == '0' && len(v) > 1 || space > maxLengthSpace {
		return errLength
	}
	n := uint64(0)
	for _, c := range v {
		looked(1)
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
	for i := 0; i <= len(v); i++ {
		var expectation word
		var ok bool
		expectation, i, ok = member(v, i)
		switch {
		case !ok || expectation != wordContinue && expectation != word{}:
			h.seen |= seenExpectation
			return
		case expectation == wordContinue:
			h.seen |= seenContinue
		}
	}
}

// noteType: two lines that agree are one, as when a proxy adds what is there. If they differ, it is not known what the body
// is; and no client sends more than two (RFC 9110 section 8.3).
func (h *Head) noteType(b []byte, s Span) *Error {
	switch {
	case !h.has(seenType):
		h.seen |= seenType
		h.kind = s
		return nil
	case h.has(seenTypeTwice) || s.Len != h.kind.Len:
		return errContentType
	}
	looked(2 * int(s.Len))
	if !bytes.Equal(h.kind.In(b), s.In(b)) {
		return errContentType
	}
	h.seen |= seenTypeTwice
	return nil
}

// The places in a list of transfer codings.
const (
	atCoding      at = iota + 1 // before a name
	atCodingName                // in it
	atCodingSpace               // white space behind it
	atParameter                 // behind a semicolon
	atParName                   // in a parameter's name
	atParNameEnd                // white space behind it
	atParEquals                 // behind the equals sign
	atParToken                  // in a value
	atParQuoted                 // in a quoted value
	atParEscape                 // behind a backslash in it
	atParEnd                    // behind a value
	codingPlaces
)

// afterCoding names the place that follows a place and a kind of byte, as the table of a chunk's line does: transfer-coding
// *( OWS "," OWS transfer-coding ), where a coding is a token and perhaps parameters (RFC 9110 section 10.1.4).
var afterCoding = [codingPlaces][kinds]at{
	atCoding:      {space: atCoding, hexDigit: atCodingName, tokenByte: atCodingName},
	atCodingName:  {hexDigit: atCodingName, tokenByte: atCodingName, space: atCodingSpace, semicolon: atParameter, comma: atCoding},
	atCodingSpace: {space: atCodingSpace, semicolon: atParameter, comma: atCoding},
	atParameter:   {space: atParameter, hexDigit: atParName, tokenByte: atParName},
	atParName:     {hexDigit: atParName, tokenByte: atParName, space: atParNameEnd, equals: atParEquals},
	atParNameEnd:  {space: atParNameEnd, equals: atParEquals},
	atParEquals:   {space: atParEquals, hexDigit: atParToken, tokenByte: atParToken, quote: atParQuoted},
	atParToken:    {hexDigit: atParToken, tokenByte: atParToken, space: atParEnd, semicolon: atParameter, comma: atCoding},
	atParQuoted: {
		hexDigit: atParQuoted, tokenByte: atParQuoted, space: atParQuoted, semicolon: atParQuoted, equals: atParQuoted,
		comma: atParQuoted, textByte: atParQuoted, backslash: atParEscape, quote: atParEnd,
	},
	atParEscape: {
		hexDigit: atParQuoted, tokenByte: atParQuoted, space: atParQuoted, semicolon: atParQuoted, equals: atParQuoted,
		comma: atParQuoted, textByte: atParQuoted, backslash: atParQuoted, quote: atParQuoted,
	},
	atParEnd: {space: atParEnd, semicolon: atParameter, comma: atCoding},
}

// noteCoding: no coding may be missing, and chunked comes once, last and without parameters (RFC 9112 sections 6.1 and 7).
// The line may continue an earlier one.
func (h *Head) noteCoding(v []byte) *Error {
	h.seen |= seenCoding
	place := atCoding
	var name word
	for _, c := range v {
		looked(1)
		was := place
		switch place = afterCoding[was][kind[c]]; {
		case place == atError:
			return errCoding
		case place == atCodingName:
			name.add(c)
		case place == atParameter && name == wordChunked:
			return errCoding
		case place == atCoding && was != atCoding:
			if err := h.endCoding(name); err != nil {
				return err
			}
			name = word{}
		}
	}
	switch place {
	case atCodingName, atCodingSpace, atParToken, atParEnd:
		return h.endCoding(name)
	}
	return errCoding
}

// endCoding takes a whole coding.
func (h *Head) endCoding(name word) *Error {
	switch {
	case h.has(seenChunked):
		return errCodingFinal
	case name == wordChunked:
		h.seen |= seenChunked
	default:
		h.seen |= seenUnknown
	}
	return nil
}
