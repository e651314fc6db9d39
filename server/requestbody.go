package server

import (
	"bytes"
	"iter"

	"microhttp/parser"

	"github.com/valyala/bytebufferpool"
)

// The body of a request as its handler sees it, when it is whole. How it arrives is in body.go.

func (r *Request) ContentLength() int64 {
	r.lent()
	if r.head.Chunked {
		return -1
	}
	return max(r.head.ContentLength, 0)
}

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

func (r *Request) PeekBody() []byte {
	r.mustBeWhole("PeekBody")
	return r.body
}

func (r *Request) mustBeWhole(verb string) {
	r.lent()
	if !r.whole {
		panic("server: " + verb + " of a request whose body was not read: a handler at the head asks by ReadBody first")
	}
}

type trailers struct {
	fields []parser.Field
	raw    []byte
}

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

func (r *Request) Trailer(name string) string {
	t := r.trailer("Trailer")
	for _, f := range t.fields {
		if parser.EqualFold(f.Name.In(t.raw), name) {
			return string(f.Value.In(t.raw))
		}
	}
	return ""
}

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

func (r *Request) addBody(p []byte) {
	if r.body == nil {
		r.body = p
		return
	}
	r.ownBody()
	r.bodyBuf.B = append(r.bodyBuf.B, p...)
	r.body = r.bodyBuf.B
}

func (r *Request) ownBody() {
	if r.bodyBuf == nil && r.body != nil {
		r.bodyBuf = bytebufferpool.Get()
		r.bodyBuf.B = append(r.bodyBuf.B, r.body...)
		r.body = r.bodyBuf.B
	}
}

func (r *Request) keepBody() {
	if r.bodyBuf == nil && !r.kept {
		r.body = bytes.Clone(r.body)
		r.kept = len(r.body) > 0
	}
}
