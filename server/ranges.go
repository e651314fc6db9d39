package server

import (
	"bytes"
	"math"
	"time"

	"microhttp/parser"
)

// Range requests (RFC 9110, 14). A client that has a part of a representation, or wants no more than
// one, names ranges of bytes. What it asks for is decided here; servecontent.go gives it.

// maxRanges bounds the ranges of one answer: each costs a head of some hundred bytes. The content of a
// request for more is sent whole (RFC 9110, 14.2).
const maxRanges = 64

// byteRange is a range of content that exists.
type byteRange struct{ start, n int64 }

// asked is what a Range field comes to.
type asked uint8

const (
	askedWhole         asked = iota // there is no Range that means anything
	askedRanges                     // some exist
	askedUnsatisfiable              // none exists, or the field is malformed
)

// ranges evaluates Range and If-Range for content of that size. Only GET has ranges (RFC 9110, 14.2).
func (r *Request) ranges(v Validators, size int64) ([]byteRange, asked) {
	if r.head.MethodID != parser.MethodGet {
		return nil, askedWhole
	}
	spec := r.PeekHeader("Range")
	unit, list, found := bytes.Cut(spec, []byte("="))
	switch {
	case spec == nil, found && !parser.EqualFold(unit, "bytes") && parser.ValidFieldName(string(unit)):
		return nil, askedWhole // a unit that is not known is ignored
	case !r.rangeApplies(v):
		return nil, askedWhole
	case !found:
		return nil, askedUnsatisfiable
	}
	return parseRanges(list, size)
}

// rangeApplies evaluates If-Range: the part that the client has must be of what there is now, by
// strong comparison (RFC 9110, 13.1.5).
func (r *Request) rangeApplies(v Validators) bool {
	cond := r.PeekHeader("If-Range")
	switch {
	case cond == nil:
		return true
	case len(cond) > 0 && cond[0] == '"':
		return string(cond) == v.ETag
	}
	at, ok := parseDate(string(cond), r.Received())
	return ok && !v.LastModified.IsZero() && at.Equal(v.LastModified)
}

// parseRanges reads a list of ranges, and leaves out those that are beyond the content.
func parseRanges(list []byte, size int64) (all []byteRange, a asked) {
	sum, some := int64(0), false
	for spec := range parser.Tokens(list) {
		first, last, found := bytes.Cut(spec, []byte("-"))
		from, hasFrom := parsePos(first)
		to, hasTo := parsePos(last)
		if !found || !hasFrom && len(first) > 0 || !hasTo && len(last) > 0 || !hasFrom && !hasTo || hasFrom && hasTo && from > to {
			return nil, askedUnsatisfiable
		}
		some = true
		switch {
		case !hasFrom: // the last bytes
			from, to = size-min(to, size), size-1
		case !hasTo:
			to = size - 1
		default:
			to = min(to, size-1)
		}
		if n := to - from + 1; n > 0 {
			all = append(all, byteRange{from, n})
			sum += n
		}
	}
	switch {
	case len(all) == 0 && size == 0 && some: // some clients ask so for everything
		return nil, askedWhole
	case len(all) == 0 && some:
		return nil, askedUnsatisfiable
	case len(all) == 0, len(all) > maxRanges, sum > size || sum < 0:
		return nil, askedWhole // more than there is, in parts that overlap
	}
	return all, askedRanges
}

// parsePos reads the position of a byte. One that is too large is the largest.
func parsePos(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = (math.MaxInt64 - 9) / 10
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}

// contentValidators are the validators of content that was changed at that time. A time that net/http
// takes for none is none.
func (w *Response) contentValidators(modtime time.Time) Validators {
	v := Validators{ETag: string(w.PeekHeader("ETag"))}
	if !modtime.IsZero() && !modtime.Equal(time.Unix(0, 0)) {
		v.LastModified = modtime.Truncate(time.Second)
	}
	return v
}
