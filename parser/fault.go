package parser

import "bytes"

// Where a message broke its rule. This is for the line that a refused request leaves in a log, so it is worked out only
// when it is asked for: a failed parser keeps where it stood, in fields that it no longer needs, and the rest is read off
// the bytes again. Nothing of a query or of a field value is given away but the one byte that broke the rule.

// Section is a part of a message, from whose first byte a [Fault] counts.
type Section uint8

// The sections of a message.
const (
	InHead    Section = iota // the head, from the first byte of the message, empty lines before the request line included
	InBody                   // a chunked body as it stands on the wire, chunk sizes included
	InTrailer                // the trailer section
)

// String names the section: head, body or trailer.
func (s Section) String() string { return [...]string{"head", "body", "trailer"}[s] }

// Fault says where a message broke the rule for which it was refused. It does not depend on how the message was split.
// Its slices are lent as those of a Span are.
type Fault struct {
	Section Section
	// Offset is where the rule was broken, in bytes from the beginning of the section: at Byte, or at the first byte that
	// is one too many, or at a value that is invalid as a whole. It is -1 if the head as a whole is at fault, and beyond
	// 4 GiB of a body it stays there.
	Offset int64
	// Byte is the byte that broke the rule, if HasByte: not every rule is broken by a single one.
	Byte    byte
	HasByte bool
	// Method and Path are those of a head that was refused, as far as they had come; of a path that is at fault, what
	// stands before that. They are nil in the other sections.
	Method, Path []byte
	// Field is the name of the field line at fault, or nil. Where there is no colon, it is given only if it is the name of
	// a field that has a FieldID: it might be a piece of a value.
	Field []byte
}

// Fault tells what is known of the error that Next has returned. b and h are those of the call that has returned it
// first; call Fault before they change. If there was no error, it tells how much of a head has come that is not whole. It
// allocates nothing.
func (p *Parser) Fault(b []byte, h *Head) (f Fault) {
	f.Offset = -1
	switch {
	case p.part == partHead:
		f.Method, f.Path = p.lineSoFar(b, int(p.pos), h)
		return f
	case p.part != partFailed:
		return f
	}
	f.Section, f.Offset = p.section, int64(p.body)
	section := b[p.pos:]
	at := int(p.left) // in section
	if p.section == InHead {
		f.Method, f.Path = p.lineSoFar(section, at, h)
	}
	line, inLine := p.faultyLine(section, at, h)
	if line.Name.Len > 0 {
		f.Field = line.Name.In(section)
	}
	place, isByte := at, true
	switch err := rules[p.rule]; err {
	case errBlankLines, errTargetLong, errHeadLarge, errFieldLines, errTrailerLarge, errChunkOverflow, errChunkExtensions:
		isByte = false
	case errMethodLong:
		place, isByte = int(h.Method.Off)+MaxMethod, false
	case errTargetScheme, errTargetMethod:
		place, isByte = int(h.Target.Off), false
	case errTargetHost:
		if c := section[at]; c == '/' || c == '?' || c == ' ' { // it is at its end
			place, isByte = int(h.Authority.Off), false
		}
	case errTargetControl:
		place = at - 2
		f.Path = f.Path[:len(f.Path)-2]
	case errVersionMajor:
		place = int(h.Target.Off+h.Target.Len) + 1 + majorAt
	case errHost, errHostTwice, errConnection, errContentType, errLength, errLengthTwice, errCoding, errCodingFinal:
		if !inLine { // the whole head shows it
			f.Field, f.Offset = wholly(err), -1
			return f
		}
		v := line.Value.In(section)
		bad := badByte(err, v)
		place, isByte = int(line.Value.Off)+max(bad, 0), bad >= 0
	case errHostMissing, errExpectation, errLengthCoding, errCodingVersion, errCodingUnknown, errContent:
		f.Field, f.Offset = wholly(err), -1
		return f
	case errBodyLarge:
		if p.section == InHead {
			f.Field, f.Offset = wholly(err), -1
			return f
		}
		isByte = false
	}
	f.Offset += int64(place - at)
	if f.HasByte = isByte; isByte {
		f.Byte = section[place]
		if rules[p.rule] == errTargetControl {
			f.Byte = unhex[section[place+1]]<<4 | unhex[section[place+2]]
		}
	}
	return f
}

// lineSoFar is what is known of the request line when the head fails at b[at].
func (p *Parser) lineSoFar(b []byte, at int, h *Head) (method, path []byte) {
	switch {
	case p.at <= atMethod:
		return nil, nil
	case p.at < atPath:
		return h.Method.In(b), nil
	case p.at <= atPathHex2:
		return h.Method.In(b), b[h.Path.Off:at]
	}
	return h.Method.In(b), h.Path.In(b)
}

// faultyLine is the field line that b[at] stands in, if it is in one. The name is empty if it may not be shown.
func (p *Parser) faultyLine(b []byte, at int, h *Head) (line Field, ok bool) {
	lines := h.Fields
	switch {
	case p.section == InBody || p.at < atLine:
		return Field{}, false
	case p.section == InTrailer:
		lines = h.Trailers
	}
	if len(lines) == 0 {
		return Field{}, false
	}
	line = lines[len(lines)-1]
	if int(line.Name.Off) > at || bytes.IndexByte(b[line.Name.Off:at], '\n') >= 0 {
		return Field{}, false // at stands behind it
	}
	if rules[p.rule] == errFieldName && fieldIDAtStart(b[line.Name.Off:at]) != FieldOther {
		line.Name.Len = uint32(at) - line.Name.Off
	}
	return line, true
}

// wholly is the name of the field for which a head as a whole is refused.
func wholly(err *Error) []byte {
	switch err {
	case errHostMissing:
		return hostName
	case errExpectation:
		return expectName
	case errBodyLarge:
		return lengthName
	case errCodingFinal, errLengthCoding, errCodingVersion, errCodingUnknown:
		return codingName
	}
	return nil
}

var (
	hostName   = []byte("Host")
	expectName = []byte("Expect")
	lengthName = []byte("Content-Length")
	codingName = []byte("Transfer-Encoding")
)

// badByte returns the index of the byte of the value v for which err was given, or -1 if it is no single one.
func badByte(err *Error, v []byte) int {
	switch err {
	case errHost:
		return firstOutside(v, isHost)
	case errLength:
		return firstOutside(v, isDigit)
	case errConnection:
		for i := 0; i <= len(v); i++ {
			var ok bool
			if _, i, ok = member(v, i); !ok {
				return i
			}
		}
	case errCoding:
		place := atCoding
		for i, c := range v {
			if place = afterCoding[place][kind[c]]; place == atError {
				return i
			}
		}
	}
	return -1
}

// firstOutside returns the index of the first byte that is not of a class, or -1.
func firstOutside(v []byte, of uint16) int {
	if i := runEnd(v, 0, of); i < len(v) {
		return i
	}
	return -1
}
