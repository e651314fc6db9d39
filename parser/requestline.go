package parser

import "encoding/binary"

// The request line: method SP request-target SP HTTP-version CRLF (RFC 9112 section 3), before it perhaps a few empty
// lines (section 2.2). The scan is a state machine; `at` says what comes next. Runs of ordinary bytes are passed in
// tight loops over the table of character classes, and only the byte that ends a run is decided upon.

// The places in a head, in the order in which they follow each other.
const (
	atStart   at = iota // before the request line
	atBlankLF           // the LF of an empty line before it
	atMethod
	atTarget // the first byte of a target
	atAsterisk
	atScheme
	atSlash1 // the two slashes behind a scheme
	atSlash2
	atAuthority
	atPath
	atPathHex1 // the digits of a percent-escape
	atPathHex2
	atQuery
	atQueryHex1
	atQueryHex2
	atVersion
	atVersionMore // behind its first byte
	atLine        // the first byte of a field line, or of the empty line
	atName
	atSpace // white space before a value
	atValue
	atValueLF
	atSectionLF // the LF of the empty line
)

// blankLines passes empty lines, and ends at the first byte of the request line. What it passed is consumed, so that
// an idle connection holds none of it.
func (p *Parser) blankLines(b []byte) (int, *Error) {
	for i, c := range b {
		looked(1)
		switch {
		case p.at == atBlankLF && c == '\n':
			p.at = atStart
		case p.at == atBlankLF:
			return i, errBlankLine
		case c != '\r':
			p.at = atMethod
			return i, nil
		case int(p.count) >= p.Limits.blankLines():
			return i, errBlankLines
		default:
			p.count++
			p.at = atBlankLF
		}
	}
	return len(b), errMore
}

// requestLine scans from w[i] to behind the line's LF. It is the straight way through what nearly all request lines are: a
// known method, a target in origin form without escapes, and HTTP/1.1. Where it does not lead, or the bytes run out, it leaves
// the place to restOfLine, which knows all ways and can stop anywhere.
func (p *Parser) requestLine(w []byte, i int, h *Head) (int, *Error) {
	if i > int(h.Method.Off) || len(w)-i < shortestHead {
		return p.restOfLine(w, i, h)
	}
	lookedFor(' ', w[i:i+8])
	h.MethodID = methodID(binary.LittleEndian.Uint64(w[i : i+8 : i+8]))
	if h.MethodID == MethodOther {
		return p.restOfLine(w, i, h)
	}
	n := len(methodNames[h.MethodID])
	i += n + 1
	h.Method.Len, h.Target.Off = uint32(n), uint32(i)
	if w[i] != '/' || h.MethodID == MethodConnect {
		p.at = atTarget
		return p.restOfLine(w, i, h)
	}
	h.Form, h.Path.Off, p.at = OriginForm, uint32(i), atPath
	t := w[:min(len(w), i+p.Limits.target())]
	last := &h.Path
	i = runEnd(t, i, isPath)
	if i < len(t) && t[i] == '?' {
		p.beginQuery(i, h)
		last = &h.Query
		i = runEnd(t, i+1, isQuery)
	}
	if i >= len(t) || t[i] != ' ' {
		return p.restOfLine(w, i, h)
	}
	last.Len, h.Target.Len = uint32(i)-last.Off, uint32(i)-h.Target.Off
	i++
	if !isHTTP11(w, i) {
		p.at = atVersion
		return p.restOfLine(w, i, h)
	}
	looked(versionLen)
	h.Minor = 1
	p.at = atLine
	return i + versionLen, nil
}

// shortestHead is the length of the shortest head that the straight way is for.
const shortestHead = len("GET / HTTP/1.1\r\nHost:\r\n\r\n")

// restOfLine scans on from wherever the line was left.
func (p *Parser) restOfLine(w []byte, i int, h *Head) (int, *Error) {
	var err *Error
	if p.at == atMethod {
		i = runEnd(w, i, isToken)
		if err = p.endMethod(w, i, h); err != nil {
			return i, err
		}
		i++
	}
	if p.at < atVersion {
		if i, err = p.target(w, i, h); err != nil {
			return i, err
		}
	}
	if i, err = p.version(w, i, h); err != nil {
		return i, err
	}
	p.at = atLine
	return i, checkTarget(h)
}

// handshake is the first byte of a TLS connection: the type of its first record (RFC 8446 section 5.1).
const handshake = 0x16

// endMethod takes the end of the method, at w[i] if that has come.
func (p *Parser) endMethod(w []byte, i int, h *Head) *Error {
	n := i - int(h.Method.Off)
	switch {
	case n > MaxMethod:
		return errMethodLong
	case i == len(w):
		return errMore
	case n == 0 && w[i] == handshake:
		return errTLS
	case w[i] != ' ' || n == 0:
		return errMethod
	}
	h.Method.Len = uint32(n)
	h.MethodID = methodID(pack(w[h.Method.Off : i+1]))
	looked(min(n, 8))
	h.Target.Off = uint32(i + 1)
	p.at = atTarget
	return nil
}

// target scans the request target and the space behind it.
func (p *Parser) target(w []byte, i int, h *Head) (int, *Error) {
	if p.at == atTarget {
		if i == len(w) {
			return i, errMore
		}
		looked(1)
		if err := p.beginTarget(w[i], i, h); err != nil {
			return i, err
		}
	}
	limit := int(h.Target.Off) + p.Limits.target()
	t := w[:min(len(w), limit)]
	for {
		if run := runs[p.at]; run != 0 {
			i = runEnd(t, i, run)
		} else if i < len(w) {
			looked(1)
		}
		switch {
		case i == len(w):
			return i, errMore
		case w[i] == ' ':
			if err := p.endTarget(w, i, h); err != nil {
				return i, err
			}
			return i + 1, nil
		case i == limit:
			return i, errTargetLong
		}
		if err := p.targetByte(w, i, h); err != nil {
			return i, err
		}
		i++
	}
}

// beginTarget tells the form of the target from its first byte, c at offset i, and leaves it to be scanned.
func (p *Parser) beginTarget(c byte, i int, h *Head) *Error {
	switch {
	case h.MethodID == MethodConnect:
		h.Form, h.Authority.Off, p.at = AuthorityForm, uint32(i), atAuthority
	case c == '/':
		h.Form, h.Path.Off, p.at = OriginForm, uint32(i), atPath
	case c == '*':
		h.Form, p.at = AsteriskForm, atAsterisk
	case class[c]&isAlpha != 0:
		h.Form, p.at = AbsoluteForm, atScheme
	default:
		return errTarget
	}
	return nil
}

// runs names, for the places where a target can stay a while, the class of bytes that stay there.
var runs = [atSectionLF + 1]uint16{atPath: isPath, atQuery: isQuery, atScheme: isScheme, atAuthority: isHost}

// targetByte takes w[i], which ends a run or has a place of its own, and goes to the place that follows it.
func (p *Parser) targetByte(w []byte, i int, h *Head) *Error {
	c := w[i]
	switch p.at {
	case atAsterisk:
		if i != int(h.Target.Off) {
			return errTarget
		}
	case atScheme:
		s := w[h.Target.Off:i]
		looked(len(s))
		if c != ':' || !EqualFold(s, "http") && !EqualFold(s, "https") {
			return errTargetScheme
		} else if len(s) == len("https") {
			h.HTTPS = true
		}
		p.at = atSlash1
	case atSlash1, atSlash2:
		if c != '/' {
			return errTarget
		}
		p.at++
		h.Authority.Off = uint32(i + 1)
	case atAuthority:
		return p.afterAuthority(w, i, h)
	case atPath:
		switch c {
		case '?':
			p.beginQuery(i, h)
		case '%':
			h.PathEscaped = true
			p.at = atPathHex1
		default:
			return errTargetByte
		}
	case atQuery:
		if c != '%' {
			return errTargetByte
		}
		p.at = atQueryHex1
	case atPathHex1, atQueryHex1:
		if class[c]&isHex == 0 {
			return errTargetEscape
		}
		p.at++
	case atPathHex2, atQueryHex2:
		if class[c]&isHex == 0 {
			return errTargetEscape
		}
		looked(1)
		if p.at == atPathHex2 && unsafeInPath(unhex[w[i-1]]<<4|unhex[c]) {
			return errTargetControl
		}
		p.at -= 2
	}
	return nil
}

// unsafeInPath names the bytes that a path must not hold even when they are escaped: those that end a string, a line
// of a log or a field line once they are decoded.
func unsafeInPath(c byte) bool { return c == 0 || c == '\r' || c == '\n' }

// afterAuthority takes the byte behind the authority of an absolute form.
func (p *Parser) afterAuthority(w []byte, i int, h *Head) *Error {
	if err := endAuthority(w, i, h); err != nil {
		return err
	}
	h.Path.Off = uint32(i)
	switch {
	case h.Form == AbsoluteForm && w[i] == '/':
		p.at = atPath
	case h.Form == AbsoluteForm && w[i] == '?':
		p.beginQuery(i, h)
	default:
		return errTargetHost
	}
	return nil
}

func (p *Parser) beginQuery(i int, h *Head) {
	h.Path.Len = uint32(i) - h.Path.Off
	h.Query.Off = uint32(i + 1)
	h.HasQuery = true
	p.at = atQuery
}

// endTarget takes the space behind the target, at w[i].
func (p *Parser) endTarget(w []byte, i int, h *Head) *Error {
	switch p.at {
	case atPath:
		h.Path.Len = uint32(i) - h.Path.Off
	case atQuery:
		h.Query.Len = uint32(i) - h.Query.Off
	case atAuthority:
		if err := endAuthority(w, i, h); err != nil {
			return err
		}
	case atAsterisk:
	case atPathHex1, atPathHex2, atQueryHex1, atQueryHex2:
		return errTargetEscape
	default:
		return errTarget
	}
	h.Target.Len = uint32(i) - h.Target.Off
	p.at = atVersion
	return nil
}

// endAuthority checks the authority that ends before w[i]. CONNECT needs a port (RFC 9110 section 9.3.6).
func endAuthority(w []byte, i int, h *Head) *Error {
	h.Authority.Len = uint32(i) - h.Authority.Off
	port, ok := authority(h.Authority.In(w))
	if !ok || h.Form == AuthorityForm && len(port) == 0 {
		return errTargetHost
	}
	return nil
}

const (
	versionForm = "HTTP/d.d\r\n" // d: any digit
	versionLen  = len(versionForm)
	majorAt     = len("HTTP/")
	minorAt     = len("HTTP/1.")
)

// "HTTP/1.1" and CR LF as little-endian words.
const (
	http11 = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '1'<<56
	crlf   = '\r' | '\n'<<8
)

// isHTTP11 reports whether the line ends at w[i] with the version that nearly all requests have.
func isHTTP11(w []byte, i int) bool {
	if len(w)-i < versionLen {
		return false
	}
	v := w[i : i+versionLen : i+versionLen]
	return binary.LittleEndian.Uint64(v) == http11 && binary.LittleEndian.Uint16(v[8:]) == crlf
}

// version scans the version and the line's end, byte by byte.
func (p *Parser) version(w []byte, i int, h *Head) (int, *Error) {
	begin := int(h.Target.Off + h.Target.Len + 1)
	p.at = atVersionMore
	for ; i-begin < versionLen; i++ {
		if i == len(w) {
			return i, errMore
		}
		if err := versionByte(w[begin:i+1], h); err != nil {
			return i, err
		}
	}
	return i, nil
}

// versionByte takes the last byte of v, the version as far as it has come.
func versionByte(v []byte, h *Head) *Error {
	looked(1)
	last := len(v) - 1
	switch want, c := versionForm[last], v[last]; {
	case want == 'd':
		if class[c]&isDigit == 0 {
			return errVersion
		}
	case want == '\n' && c != '\n':
		return errLineEnd
	case want != c:
		return errVersion
	case want == '\r':
		looked(2)
		if v[majorAt] != '1' {
			return errVersionMajor
		}
		h.Minor = v[minorAt] - '0'
	}
	return nil
}

// checkTarget decides whether the form of the target suits the method. It does so at the line's end, so that the
// preface of HTTP/2 ("PRI * HTTP/2.0") is refused for its version.
func checkTarget(h *Head) *Error {
	if h.Form == AsteriskForm && h.MethodID != MethodOptions {
		return errTargetMethod
	}
	return nil
}
