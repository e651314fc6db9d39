package nethttp

// The head of an answer: what net/http makes of the fields and the status of a handler.

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"microhttp/parser"
	"microhttp/server"
)

// checkStatus panics for what cannot be the status of an answer.
func checkStatus(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as in net/http
	case status > 599:
		panic(fmt.Sprintf("nethttp: WriteHeader code %v: this server sends 200 to 599", status))
	}
}

// allowsBody reports whether an answer of this status has content (RFC 9110, 15).
func allowsBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified && status != http.StatusSwitchingProtocols
}

// fields are a header as it was when the head was written: the handler may change it after that.
type fields struct {
	lines    []server.Field // those that are sent, by name: not those of framing, and not those whose name is none
	invalid  string         // a name that is none
	counted  bool           // there is an entry for Content-Length: maybe without a value
	coded    bool           // isCoded
	trailing bool           // hasTrailers
	typed    bool           // there is an entry for Content-Type
	dated    bool           // and one for Date
	encoded  bool           // Content-Encoding has a value

	room [4]server.Field // for lines: most answers have no more
}

// take takes what h has.
func (f *fields) take(h http.Header) {
	_, f.counted = h["Content-Length"]
	_, f.typed = h["Content-Type"]
	_, f.dated = h["Date"]
	f.coded, f.trailing, f.encoded = isCoded(h), hasTrailers(h), h.Get("Content-Encoding") != ""
	var room [16]string
	names := room[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	f.lines = f.room[:0]
	for _, name := range names {
		switch key := http.CanonicalHeaderKey(name); {
		case strings.HasPrefix(key, http.TrailerPrefix):
			continue
		case !parser.ValidFieldName(name):
			f.invalid = name // net/http sends none
			continue
		case key == "Content-Length", key == "Transfer-Encoding":
			continue
		}
		for _, value := range h[name] {
			f.lines = append(f.lines, server.Field{Name: name, Value: cleaned(value)})
		}
	}
}

// commit sets status and fields of the response, for content that begins with p.
func (rw *writer) commit(p []byte) {
	w, fields := rw.w, &rw.fields
	for _, name := range rw.given {
		w.DelHeader(name)
	}
	w.SetStatus(rw.status)
	for _, f := range fields.lines {
		if f.Name == "Content-Type" && rw.status == http.StatusNotModified {
			continue // net/http takes it away (RFC 9110, 15.4.5)
		}
		w.AddHeader(f.Name, f.Value) // an invalid value is logged there
	}
	if b := rw.outside.body; b != nil && b.beyond.Load() {
		w.SetHeader("Connection", "close")
	}
	if !allowsBody(rw.status) {
		return
	}
	if rw.length >= 0 {
		w.SetHeader("Content-Length", strconv.FormatInt(rw.length, 10))
	}
	if !fields.typed && !fields.coded && !fields.encoded && len(p) > 0 {
		w.SetHeader("Content-Type", http.DetectContentType(p))
	}
}

var lineEnds = strings.NewReplacer("\n", " ", "\r", " ")

// cleaned is the value of a field as net/http sends it.
func cleaned(value string) string { return textproto.TrimString(lineEnds.Replace(value)) }

// interimFields are the fields of an interim response: all that are valid, but for those of framing.
func interimFields(h http.Header) (fields []server.Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Connection":
			continue
		}
		for _, value := range h[name] {
			if value = cleaned(value); parser.ValidFieldName(name) && parser.ValidFieldValue(value) {
				fields = append(fields, server.Field{Name: name, Value: value})
			}
		}
	}
	return fields
}

// isCoded reports whether the handler has named a Transfer-Encoding. It is not sent, and has net/http's effects all the same.
func isCoded(fields http.Header) bool {
	v := fields["Transfer-Encoding"]
	return len(v) > 0 && v[0] != ""
}

// hasTrailers reports whether an answer with these fields is to have trailers.
func hasTrailers(fields http.Header) bool {
	for name := range fields {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return len(fields["Trailer"]) > 0
}

// announced are the names in the Trailer field.
func announced(fields http.Header) (names []string) {
	for _, line := range fields["Trailer"] {
		for name := range parser.Tokens([]byte(line)) {
			names = append(names, http.CanonicalHeaderKey(string(name)))
		}
	}
	return names
}

// sendTrailers adds to the stream the trailers that were announced, and those named with http.TrailerPrefix.
func (rw *writer) sendTrailers() {
	for _, name := range slices.Sorted(maps.Keys(rw.header)) {
		key, prefixed := strings.CutPrefix(name, http.TrailerPrefix)
		if !prefixed && !slices.Contains(rw.trailers, name) {
			continue
		}
		for _, value := range rw.header[name] {
			if parser.ValidFieldName(key) {
				rw.stream.AddTrailerUnasked(key, cleaned(value))
			}
		}
	}
}

// caller says who, outside of net/http and this package, called the writer.
func caller() string {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
	for {
		f, more := frames.Next()
		if !more || !strings.HasPrefix(f.Function, "net/http.") && !strings.HasPrefix(f.Function, "microhttp/server/nethttp.") {
			return fmt.Sprintf("%s (%s:%d)", f.Function, path.Base(f.File), f.Line)
		}
	}
}
