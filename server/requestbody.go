package server

import (
	"bytes"
	"iter"

	"microhttp/parser"

	"github.com/valyala/bytebufferpool"
)

// The body of a request as its handler sees it, when it is whole. How it arrives is in body.go.

// ContentLength returns the length of the body as it was announced, in bytes: 0 for a request without one, -1 for a
// chunked body, whose length only its end tells.
func (r *Request) ContentLength() int64 {
	r.lent()
	if r.head.Chunked {
		return -1
	}
	return max(r.head.ContentLength, 0)
}

// Body returns the body, decoded from chunks, and hands it over: it is yours, and
// PeekBody goes on to show it. nil when there is none.
func (r *Request) Body() []byte {
	r.mustBeWhole("Body")
	switch {
	case r.kept || len(r.body) == 0:
	case r.bodyBuf != nil:
		r.bodyBuf = nil // its bytes leave the pool with r.body
		r.kept = true
	default:
		r.body = bytes.Clone(r.body)
		r.kept = true
	}
	return r.body
}

// PeekBody is Body, lent: it copies nothing.
func (r *Request) PeekBody() []byte {
	r.mustBeWhole("PeekBody")
	return r.body
}

// mustBeWhole panics for what shows the body of a request whose body was not asked for.
func (r *Request) mustBeWhole(verb string) {
	r.lent()
	if !r.whole {
		panic("server: " + verb + " of a request whose body was not read: a handler at the head asks by ReadBody first")
	}
}

// trailers are the field lines after a chunked body.
type trailers struct {
	fields []parser.Field
	raw    []byte
}

// trailer returns the trailers, if there are any. It panics if the body was not asked for.
func (r *Request) trailer(verb string) trailers {
	r.lent()
	if !r.whole && !r.asked {
		panic("server: " + verb + " of a request whose body was not asked for")
	}
	if t := r.trailers.Load(); t != nil {
		return *t
	}
	return trailers{}
}

// Trailer returns the value of the first trailer field with that name, or "".
// Trailers are kept apart from the header fields (RFC 9110, 6.5.1).
func (r *Request) Trailer(name string) string {
	t := r.trailer("Trailer")
	for _, f := range t.fields {
		if parser.EqualFold(f.Name.In(t.raw), name) {
			return string(f.Value.In(t.raw))
		}
	}
	return ""
}

// Trailers iterates over all trailer fields, in order, names as they came.
func (r *Request) Trailers() iter.Seq2[string, string] {
	t := r.trailer("Trailers")
	return func(yield func(string, string) bool) {
		for _, f := range t.fields {
			if !yield(string(f.Name.In(t.raw)), string(f.Value.In(t.raw))) {
				return
			}
		}
	}
}

// addBody adds a piece of the body that the parser reported. A first piece stays where
// it lies; mostly it is the whole body.
func (r *Request) addBody(p []byte) {
	if r.body == nil {
		r.body = p
		return
	}
	r.ownBody()
	if r.gathered.size > 0 || len(r.bodyBuf.B)+len(p) > pieceSize {
		r.gathered.add(p)
		return
	}
	r.bodyBuf.B = append(r.bodyBuf.B, p...)
	r.body = r.bodyBuf.B
}

// ownBody moves the body that has arrived so far out of the read buffer.
func (r *Request) ownBody() {
	if r.bodyBuf == nil && r.body != nil {
		r.bodyBuf = bytebufferpool.Get()
		r.bodyBuf.B = append(r.bodyBuf.B, r.body...)
		r.body = r.bodyBuf.B
	}
}

// keepBody moves a body that lies in the read buffer out of it.
func (r *Request) keepBody() {
	if r.bodyBuf == nil && !r.kept {
		r.body = bytes.Clone(r.body)
		r.kept = len(r.body) > 0
	}
}
