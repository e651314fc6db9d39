package server

import (
	"bytes"
	"strings"
	"time"

	"microhttp/parser"
)

// Conditional requests (RFC 9110, 13). A client that has a representation already, or means to
// change one that it has seen, says so by validators, and whoever knows the present ones
// decides: the handler says what they are, and the rest is here.

// Validators tell the present state of a resource from earlier and later ones (RFC 9110, 8.8).
type Validators struct {
	// ETag is an entity tag as it is sent, with its quotes: `"v1"`, or `W/"v1"`, which is weak and
	// stands for representations that mean the same. "" is none.
	ETag string

	// LastModified is when the resource was changed last, in whole seconds. Zero is not known.
	LastModified time.Time

	// Missing says that there is no representation now, and so no validator: what is asked for
	// would be the first, as for a PUT that creates.
	Missing bool
}

// CheckPreconditions evaluates If-Match, If-Unmodified-Since, If-None-Match and
// If-Modified-Since, in that order (RFC 9110, 13.2.2), against v, the present validators of what
// the request is for. done says that they decide the answer, and it is made: 304 (Not Modified)
// to GET and HEAD whose client has it already, else 412 (Precondition Failed). The handler then
// returns without doing what it was asked for. Otherwise ETag and Last-Modified of v are set, in
// the answer to GET and HEAD, and the handler goes on.
//
// It is to be called where the answer would be a 2xx, before anything is changed (13.2.1),
// with the other fields set: what is about the content (Content-Type and the like) is left out
// of a 304. A condition that is malformed holds if it is a date, and matches nothing if it is
// a tag. Ranges, and so If-Range, are not its concern; nothing is evaluated for CONNECT,
// OPTIONS and TRACE.
//
// It panics for an ETag that is none, most of all one without quotes. Once a Stream was taken,
// and in OnDone, it does nothing, but for a line in the log.
func (w *Response) CheckPreconditions(v Validators) (done bool) {
	r := &w.x.req
	r.lent()
	if !validTag(v.ETag) {
		panic("server: no entity tag: " + v.ETag + `; it stands in double quotes: "v1" or W/"v1"`)
	}
	if w.committed() {
		_ = w.tooLate("CheckPreconditions")
		return false
	}
	v.LastModified = v.LastModified.Truncate(time.Second)
	if v.Missing {
		v = Validators{Missing: true}
	}
	reads := r.reads()
	switch code := r.precondition(v, reads); {
	case code == 412:
		w.Error(code)
		return true
	case code == 304:
		w.notModified(v)
		return true
	case reads:
		w.setValidators(v)
	}
	return false
}

// notModified makes the answer a 304, without what describes the content that it has not (RFC
// 9110, 15.4.5).
func (w *Response) notModified(v Validators) {
	w.SetStatus(304)
	w.body.clear()
	w.declared = -1
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Last-Modified"} {
		w.DelHeader(name)
	}
	if v.ETag != "" {
		v.LastModified = time.Time{}
	}
	w.setValidators(v)
}

// setValidators sets the fields that tell them. What was modified in the future was modified
// now (RFC 9110, 8.8.2.1).
func (w *Response) setValidators(v Validators) {
	if v.ETag != "" && string(w.PeekHeader("ETag")) != v.ETag {
		w.SetHeader("ETag", v.ETag) // it is valid
	}
	if at := v.LastModified; !at.IsZero() {
		if now := w.x.req.Received(); at.After(now) { // not time.Now: Date may be of before
			at = now
		}
		w.setDate("Last-Modified", at)
	}
}

// setDate is SetHeader of a date, without a string for it. The caller knows that the head is not committed.
func (w *Response) setDate(name string, at time.Time) {
	f := &w.fields
	f.del(name)
	start := len(f.b)
	f.b = append(append(f.b, name...), ": "...)
	if w.x.mode == modeInline {
		f.b = w.x.req.conn.w.dates.append(f.b, at)
	} else {
		f.b = at.UTC().AppendFormat(f.b, imfFixdate)
	}
	f.b = append(f.b, "\r\n"...)
	f.end(start, len(name), true)
}

// knownDates are dates that a loop has written before: of files that were changed in the same second, or that are asked for often.
type knownDates [16]struct {
	second int64
	text   string
}

// append appends a date.
func (all *knownDates) append(b []byte, at time.Time) []byte {
	second := at.Unix()
	d := &all[uint64(second)%uint64(len(all))]
	if d.text == "" || d.second != second {
		d.second, d.text = second, at.UTC().Format(imfFixdate)
	}
	return append(b, d.text...)
}

// reads reports whether r is GET or HEAD.
func (r *Request) reads() bool {
	return r.head.MethodID == parser.MethodGet || r.head.MethodID == parser.MethodHead
}

// precondition returns the status that the conditions of r come to, or 0.
func (r *Request) precondition(v Validators, reads bool) int {
	switch r.head.MethodID {
	case parser.MethodConnect, parser.MethodOptions, parser.MethodTrace:
		return 0
	}
	asked, matches := r.anyTag(parser.FieldIfMatch, v, false)
	if !asked {
		changed, known := r.changedSince(parser.FieldIfUnmodifiedSince, v)
		matches = !changed || !known
	}
	if !matches {
		return 412
	}
	asked, matches = r.anyTag(parser.FieldIfNoneMatch, v, true)
	if !asked && reads {
		changed, known := r.changedSince(parser.FieldIfModifiedSince, v)
		matches = !changed && known
	}
	switch {
	case !matches:
		return 0
	case reads:
		return 304
	}
	return 412
}

// anyTag reports whether there is a line of that field, and whether one of them lists v's tag,
// or stands for whatever there is.
func (r *Request) anyTag(id parser.FieldID, v Validators, weak bool) (asked, matches bool) {
	for i := range r.head.Fields {
		if f := &r.head.Fields[i]; f.Known == id {
			list := f.Value.In(r.raw)
			asked = true
			matches = matches || !v.Missing && string(list) == "*" || listsTag(list, []byte(v.ETag), weak)
		}
	}
	return asked, matches
}

// changedSince compares v with the date of that field. It is not known if there is none, or
// more than one, or an invalid one.
func (r *Request) changedSince(id parser.FieldID, v Validators) (changed, known bool) {
	value, lines := "", 0
	for i := range r.head.Fields {
		if f := &r.head.Fields[i]; f.Known == id {
			value = r.str(f.Value)
			lines++
		}
	}
	if lines != 1 || v.LastModified.IsZero() {
		return false, false
	}
	since, ok := parseDate(value, r.Received())
	return v.LastModified.After(since), ok
}

var weakMark = []byte("W/")

// listsTag reports whether tag is in a list of entity tags (RFC 9110, 8.8.3), by strong
// comparison or by weak (8.8.3.2). The list ends where it is malformed.
func listsTag(list, tag []byte, weak bool) bool {
	if len(tag) == 0 || !weak && bytes.HasPrefix(tag, weakMark) {
		return false
	}
	tag = bytes.TrimPrefix(tag, weakMark)
	for {
		list = bytes.TrimLeft(list, ", \t")
		opaque := bytes.TrimPrefix(list, weakMark)
		n := opaqueLen(opaque)
		if n == 0 {
			return false
		}
		if isWeak := len(opaque) < len(list); (weak || !isWeak) && bytes.Equal(opaque[:n], tag) {
			return true
		}
		list = bytes.TrimLeft(opaque[n:], " \t")
		if len(list) == 0 || list[0] != ',' {
			return false
		}
	}
}

// validTag reports whether tag is an entity tag, or none.
func validTag(tag string) bool {
	opaque := bytes.TrimPrefix([]byte(tag), weakMark)
	return tag == "" || len(opaque) > 0 && opaqueLen(opaque) == len(opaque)
}

// opaqueLen returns the length of the opaque-tag at the beginning of b: a quoted string
// without escapes; 0 if there is none.
func opaqueLen(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i, c := range b[1:] {
		switch {
		case c == '"':
			return i + 2
		case c <= ' ' || c == 0x7f:
			return 0
		}
	}
	return 0
}

// The layouts of HTTP-date that are obsolete, and must be understood (RFC 9110, 5.6.7).
const (
	rfc850Date  = "Monday, 02-Jan-06 15:04:05 GMT"
	asctimeDate = "Mon Jan _2 15:04:05 2006"
)

// parseDate reads an HTTP-date, in any of the three formats and no other.
func parseDate(s string, now time.Time) (time.Time, bool) {
	for _, layout := range [...]string{imfFixdate, rfc850Date, asctimeDate} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if layout == rfc850Date { // two digits of the year: this century, unless that is more than 50 years ahead
			t = t.AddDate(now.Year()-now.Year()%100+t.Year()%100-t.Year(), 0, 0)
			if t.After(now.AddDate(50, 0, 0)) {
				t = t.AddDate(-100, 0, 0)
			}
		}
		_, want, _ := strings.Cut(t.Format(layout), " ") // of the day of the week any name will do
		_, rest, _ := strings.Cut(s, " ")
		return t, rest == want // time.Parse is more lenient
	}
	return time.Time{}, false
}
