package nethttp

// The bytes of an answer as calls of an http.ResponseWriter. They are our own server's, so their form is known: a head,
// and then content that is chunked or is not. Interim responses before it are left out: 100 (Continue) is net/http's own
// affair, and no other is ever needed, but more than one http.ResponseWriter, httptest's for one, would take it for the
// answer.

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
)

type answer struct {
	w        http.ResponseWriter // nil: nobody is written to any more
	lane     *lane
	two      bool   // the request is of HTTP/2 or later
	closes   bool   // the connection ends with the answer, or the stream of HTTP/2 does
	old      bool   // the request is of HTTP/1.0
	headed   bool   // the head has been written
	mute     bool   // the request is HEAD: there is no content
	chunked  bool   // the content is
	streamed bool   // the content comes in pieces, each of which is to be flushed
	left     int    // of the present chunk
	last     bool   // the last chunk has come: what follows are trailers
	kept     []byte // the beginning of what is not complete yet: a head, a size line
}

// begin readies a for the answer to r.
func (a *answer) begin(w http.ResponseWriter, r *http.Request, l *lane) {
	*a = answer{w: w, lane: l, two: r.ProtoMajor > 1, old: r.ProtoMajor == 1 && r.ProtoMinor == 0, kept: a.kept[:0]}
	a.mute = r.Method == http.MethodHead
}

// write takes bytes of the answer.
func (a *answer) write(p []byte) {
	if a.w == nil {
		return
	}
	for !a.headed {
		if p = a.head(p); p == nil {
			return
		}
	}
	if a.chunked {
		a.chunks(p)
	} else if len(p) > 0 {
		_, _ = a.w.Write(p) // if that fails, the request's context ends
	}
}

// cut reports whether the answer has begun and lacks its last chunk. What lacks some of its Content-Length net/http sees itself.
func (a *answer) cut() bool { return a.chunked && !a.last && !a.mute }

func (a *answer) flush() {
	if a.w != nil && a.headed {
		_ = http.NewResponseController(a.w).Flush() // a writer that cannot flush does without
	}
}

var endOfHead = []byte("\r\n\r\n")

// head takes a head, and returns what is behind it, or nil if it is not complete.
func (a *answer) head(p []byte) []byte {
	if len(a.kept) > 0 {
		p = append(a.kept, p...)
		a.kept = p[:0]
	}
	head, rest, ok := bytes.Cut(p, endOfHead)
	if !ok {
		a.kept = append(a.kept, p...)
		return nil
	}
	status, _ := strconv.Atoi(string(head[len("HTTP/1.1 "):][:3]))
	if rest == nil {
		rest = []byte{}
	}
	if status < 200 {
		return rest
	}
	a.headed = true
	a.setFields(head)
	a.endsConnection()
	a.w.WriteHeader(status)
	for _, name := range announced(a.w.Header()) {
		a.w.Header().Del(name) // it is out; net/http would send it as a trailer too
	}
	return rest
}

// endsConnection has the connection end with an answer that begins before the body is whole, if the body has been read
// or may still be. net/http then leaves the body alone. Else its server, before it sends the head, reads what is left or
// waits until our read of it has returned; and it would use a connection again that we have left in the middle of a body.
func (a *answer) endsConnection() {
	if l := a.lane; !l.feed.open || !l.feed.asked && !l.conn.Streams() {
		return
	}
	if a.closes = true; !a.two {
		a.w.Header().Set("Connection", "close")
	}
}

// single are the fields that an answer has once at most. Whoever is around the bridge may have set some of them already, as
// defaults; to other fields ours are added.
var single = map[string]bool{
	"Content-Length": true, "Content-Location": true, "Content-Range": true, "Content-Type": true, "Date": true, "Etag": true,
	"Expires": true, "Last-Modified": true, "Location": true, "Retry-After": true, "Server": true,
}

// setFields sets the fields of a head, but for those that are about a connection that the peer does not have.
func (a *answer) setFields(head []byte) {
	header := a.w.Header()
	_, lines, _ := bytes.Cut(head, endOfHead[:2])
	counted := false
	for line := range bytes.SplitSeq(lines, endOfHead[:2]) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Transfer-Encoding":
			a.chunked = true
			continue
		case "Connection":
			if a.old || a.two || string(value) != "close" {
				continue
			}
		case "Content-Length":
			counted = true
		}
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		if single[key] {
			delete(header, key)
		}
		header[key] = append(header[key], string(value))
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // net/http is to find none out
	}
	a.streamed = a.chunked || a.old && !counted
}

// chunks takes content that is chunked.
func (a *answer) chunks(p []byte) {
	for len(p) > 0 {
		if a.left > 0 {
			n := min(a.left, len(p))
			_, _ = a.w.Write(p[:n])
			p, a.left = p[n:], a.left-n
			if a.left > 0 {
				return
			}
		}
		// Now comes the end of the line behind the data, if there was a chunk, and a size line.
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			a.kept = append(a.kept, p...)
			return
		}
		line := bytes.TrimRight(append(a.kept, p[:i]...), "\r")
		p, a.kept = p[i+1:], a.kept[:0]
		switch {
		case len(line) == 0:
		case a.last:
			name, value, _ := bytes.Cut(line, []byte(": "))
			a.w.Header().Add(http.TrailerPrefix+string(name), string(value))
		default:
			size, _ := strconv.ParseInt(string(line), 16, 64)
			a.left, a.last = int(size), size == 0
		}
	}
}
