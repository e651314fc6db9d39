package server

import (
	"iter"

	"microhttp/parser"
)

// Cookies of the request, as RFC 6265bis (draft-ietf-httpbis-rfc6265bis) has a server
// see them. To the RFC a cookie is what the server once set: name and value are bytes
// that come back as they were, in no order to rely on. So nothing is interpreted here.
// Quotes belong to the value (4.1.1), bytes beyond ASCII stay, names are compared byte by
// byte, and a pair without "=" is a value without a name, which is how user agents send
// such a cookie back (5.8.3). Control bytes never get here: no field value may hold them.
// How much may come is bounded by MaxHeaderBytes.

// Cookies iterates over the cookies of all Cookie fields, in order, names and values
// uninterpreted. A name may occur twice, and may be empty.
func (r *Request) Cookies() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		r.lent()
		for name, value := range r.cookies {
			if !yield(r.str(name), r.str(value)) {
				return
			}
		}
	}
}

// Cookie returns the value of the first cookie with that name, which is
// case-sensitive, and whether there is one.
func (r *Request) Cookie(name string) (string, bool) {
	value, ok := r.findCookie(name)
	return r.str(value), ok
}

// PeekCookie is Cookie, lent; nil when there is no such cookie.
func (r *Request) PeekCookie(name string) []byte {
	r.lent()
	if value, ok := r.findCookie(name); ok {
		return value.In(r.raw)
	}
	return nil
}

func (r *Request) findCookie(name string) (parser.Span, bool) {
	for n, value := range r.cookies {
		if string(n.In(r.raw)) == name {
			return value, true
		}
	}
	return parser.Span{}, false
}

// cookies iterates over where in the head the names and values of cookies lie.
func (r *Request) cookies(yield func(name, value parser.Span) bool) {
	if r.over() {
		return
	}
	for i := range r.head.Fields {
		if r.head.Fields[i].Known != parser.FieldCookie {
			continue
		}
		at := r.head.Fields[i].Value
		field := at.In(r.raw)
		for name, value := range parser.Cookies(field) {
			if !yield(within(at, field, name), within(at, field, value)) {
				return
			}
		}
	}
}

// within is the span of part, a slice of field, which lies at the span of that name: both
// reach to the end of one capacity.
func within(at parser.Span, field, part []byte) parser.Span {
	return parser.Span{Off: at.Off + uint32(cap(field)-cap(part)), Len: uint32(len(part))}
}
