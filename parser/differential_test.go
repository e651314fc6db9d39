package parser

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// The parser against net/http. Both read the same bytes: what the parser serves, net/http must serve, with the same method,
// target, host, fields, body and trailers; what it refuses, net/http must refuse; what is unfinished, must be unfinished.
// Where they differ one of the two tables below must name the difference, and the section that decides it.

// refusedHere lists what net/http's ReadRequest serves and the parser refuses: the error, and where it says so.
var refusedHere = map[*Error]string{
	errTargetByte:     "RFC 3986 section 2: a URI holds no such byte; ReadRequest takes 8-bit bytes and much of ASCII",
	errTargetEscape:   "RFC 3986 section 2.1: ReadRequest does not look into queries",
	errTargetControl:  "RFC 3986 section 7.3: an escaped CR, LF or NUL in a path; for ReadRequest it is data",
	errTargetScheme:   "RFC 9112 section 3.2.2: an origin serves http and https; ReadRequest takes any scheme",
	errTarget:         "RFC 9112 section 3.2: ReadRequest takes scheme:path and an asterisk with a tail",
	errTargetHost:     "RFC 9110 sections 4.2.1, 4.2.4, 9.3.6: ReadRequest takes an empty host, user information, a CONNECT without a port",
	errTargetMethod:   "RFC 9112 section 3.2.4: the asterisk is for OPTIONS; ReadRequest takes it with any method",
	errVersion:        "RFC 9112 section 2.2: a bare LF behind the version",
	errVersionMajor:   "RFC 9110 section 15.6.6: ReadRequest parses other major versions; the server above it refuses them",
	errLineEnd:        "RFC 9112 section 2.2: ReadRequest takes a CR before CR LF for white space at the end of a line",
	errFieldFold:      "RFC 9112 section 5.2: ReadRequest unfolds lines",
	errFieldName:      "RFC 9112 sections 2.2 and 5.1: a bare LF for the empty line; spaces, which ReadRequest keeps in the name",
	errFieldValue:     "RFC 9112 section 2.2: a bare LF at the end of a line",
	errHostMissing:    "RFC 9112 section 3.2: the server above ReadRequest checks this",
	errHost:           "RFC 9112 section 3.2: the server above ReadRequest checks this, in part",
	errConnection:     "RFC 9110 section 7.6.1: options are tokens; ReadRequest passes on what stands there",
	errContentType:    "RFC 9110 section 8.3: lines that differ; ReadRequest passes on what stands there",
	errExpectation:    "RFC 9110 section 10.1.1: the server above ReadRequest answers 417",
	errLength:         "RFC 9112 section 6.3: ReadRequest takes leading zeros, white space at will, and lists of equal numbers",
	errLengthTwice:    "RFC 9112 section 6.3: ReadRequest takes lines that agree",
	errLengthCoding:   "RFC 9112 section 6.1: ReadRequest lets Transfer-Encoding win",
	errCoding:         "RFC 9112 section 6.1: ReadRequest does not look at Transfer-Encoding in HTTP/1.0",
	errCodingFinal:    "RFC 9112 section 6.1: ReadRequest does not look at Transfer-Encoding in HTTP/1.0",
	errCodingVersion:  "RFC 9112 section 6.1: ReadRequest ignores Transfer-Encoding in HTTP/1.0",
	errCodingUnknown:  "RFC 9112 section 6.1: ReadRequest does not look at Transfer-Encoding in HTTP/1.0",
	errContent:        "RFC 9110 sections 9.3.6 and 9.3.8: CONNECT and TRACE take no content",
	errMethodLong:     "RFC 9112 section 3: a method of no bound is a stall",
	errFieldLines:     "RFC 6585 section 5: ReadRequest has no bound of lines",
	errBodyLarge:      "RFC 9110 section 15.5.14: ReadRequest has no bound of bodies",
	errBlankLines:     "RFC 9112 section 2.2: one at least is to be skipped; the test skips all for ReadRequest",
	errChunkSize:      "RFC 9112 section 7.1: a bare LF, or white space, behind a chunk's size",
	errChunkExtension: "RFC 9112 section 7.1.1: ReadRequest does not look into extensions, and takes white space without one",
	errChunkOverflow:  "RFC 9112 section 7.1: ReadRequest takes a size beyond an int64, which cannot come",
	errChunkEnd:       "RFC 9112 section 7.1: ReadRequest looks at the line end behind the last byte of data only when more is read",
}

// onlyWith narrows entries of refusedHere: with the same error, but without this, the two must agree.
var onlyWith = map[*Error]func(m []byte) bool{
	errVersion:       hasBareLF,
	errFieldName:     func(m []byte) bool { return hasBareLF(m) || hasSpacedName(m) },
	errFieldValue:    hasBareLF,
	errChunkSize:     func(m []byte) bool { return hasBareLF(m) || bytes.ContainsAny(m, " \t") },
	errCoding:        isOldOrFolded,
	errCodingFinal:   isOldOrFolded,
	errCodingUnknown: isOldOrFolded,
	errLineEnd:       func(m []byte) bool { return bytes.Contains(m, []byte("\r\r")) },
}

// isOldOrFolded allows for ReadRequest not looking at the coding of an old message, and for its unfolding a line that is
// refused here at its first end already.
func isOldOrFolded(m []byte) bool {
	return bytes.Contains(m, []byte(" HTTP/1.0\r\n")) || bytes.Contains(m, []byte("\n ")) || bytes.Contains(m, []byte("\n\t"))
}

// hasSpacedName reports whether a space stands before the colon of a field line.
func hasSpacedName(m []byte) bool {
	_, lines, _ := bytes.Cut(m, []byte("\n"))
	for line := range bytes.Lines(lines) {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && bytes.Contains(name, []byte(" ")) {
			return true
		}
	}
	return false
}

func hasBareLF(m []byte) bool {
	for i, c := range m {
		if c == '\n' && (i == 0 || m[i-1] != '\r') {
			return true
		}
	}
	return false
}

// servedHere lists what net/http's ReadRequest refuses and the parser serves: its error begins so.
var servedHere = []struct{ err, reason string }{
	{"invalid byte in chunk length", "RFC 9112 section 7.1.1: white space before an extension belongs to its grammar"},
	{"bad trailer key", "RFC 9110 section 6.6.2: Trailer tells what may come; what it names takes no effect, so it is only a hint"},
	{"invalid URL escape", "RFC 3986 section 3.2.2: a name may hold escapes of ASCII characters too"},
}

// reading is what somebody made of a message.
type reading struct {
	err                  error // of the parser, or another
	method, target, host string
	fields, trailers     []string
	body                 string
}

func FuzzNetHTTP(f *testing.F) {
	for _, v := range loadVectors(f) {
		if v.limits == nil {
			f.Add(v.message)
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for bytes.HasPrefix(message, []byte("\r\n")) {
			message = message[2:]
		}
		ours, theirs := readOurs(message), readTheirs(message)
		if diff := difference(message, ours, theirs); diff != "" {
			t.Errorf("%q: %s\nours   %v %+v\ntheirs %v %+v", message, diff, ours.err, ours, theirs.err, theirs)
		}
	})
}

func difference(message []byte, ours, theirs reading) string {
	switch refused, _ := ours.err.(*Error); {
	case ours.err == nil && theirs.err != nil:
		for _, s := range servedHere {
			if strings.Contains(theirs.err.Error(), s.err) {
				return ""
			}
		}
		return "served here alone"
	case ours.err == nil:
		if a, b := fmt.Sprintf("%+v", ours), fmt.Sprintf("%+v", theirs); a != b {
			return "read differently"
		}
		return ""
	case theirs.err != nil:
		return ""
	case refused == nil:
		return "unfinished here alone"
	case refusedHere[refused] == "":
		return "refused here alone"
	case onlyWith[refused] != nil && !onlyWith[refused](message):
		return "refused here alone, without what allows it"
	}
	return ""
}

// readOurs reads the first message. An unfinished one gives io.ErrUnexpectedEOF.
func readOurs(b []byte) (r reading) {
	var p Parser
	var h Head
	for {
		ev, n, err := p.Next(b, &h)
		switch {
		case err != nil:
			return reading{err: err}
		case ev == NeedMore && n == len(b), ev == NeedMore && n == 0:
			return reading{err: io.ErrUnexpectedEOF}
		case ev == EventHead:
			r.method, r.target, r.host = string(h.Method.In(b)), string(h.Target.In(b)), string(h.Authority.In(b))
			if h.Form == AbsoluteForm { // net/http decodes this one
				r.host = string(Unescape(nil, h.Authority.In(b)))
			}
			r.fields = canonical(b, h.Fields, "Host", "Transfer-Encoding", "Trailer")
		case ev == EventBody:
			r.body += string(h.Body.In(b))
		case ev == EventEnd:
			r.trailers = canonical(b, h.Trailers, "Trailer")
			return r
		}
		b = b[n:]
	}
}

// canonical gives field lines as net/http keeps them: sorted by name, without those that it takes out.
func canonical(b []byte, fields []Field, without ...string) (lines []string) {
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name.In(b)))
		if slices.Contains(without, name) {
			continue
		}
		lines = append(lines, name+": "+string(f.Value.In(b)))
	}
	slices.SortStableFunc(lines, byName)
	return lines
}

func byName(a, b string) int {
	a, _, _ = strings.Cut(a, ":")
	b, _, _ = strings.Cut(b, ":")
	return strings.Compare(a, b)
}

func readTheirs(b []byte) (r reading) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return reading{err: err}
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return reading{err: err}
	}
	return reading{
		method: req.Method, target: req.RequestURI, host: req.Host,
		fields: flatten(req.Header), trailers: flatten(req.Trailer), body: string(body),
	}
}

func flatten(h http.Header) (lines []string) {
	for name, values := range h {
		if name == "Trailer" {
			continue
		}
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.SortStableFunc(lines, byName)
	return lines
}
