package server

import (
	"encoding/json"
	"fmt"
	"strings"

	"microhttp/parser"
)

// The usual answers in one line each. They fill the Response and return nothing. What was written before is replaced. Once
// a Stream was taken, and in OnDone, they do nothing, but for a line in the log. All of them are for the goroutine that w
// belongs to.

// JSON answers with v as encoding/json marshals it, without a newline behind it. Content-Type is application/json unless
// the handler has set one.
//
//   - A value that cannot be marshalled is a mistake of the program: the answer is 500, and a line in the log names the
//     route and the error. Nothing of the value is sent.
//   - Characters that mean something in HTML are escaped (\u003c), as json.Marshal does.
func (w *Response) JSON(status int, v any) { w.marshal("JSON", status, "application/json", v) }

// Text answers with s. Content-Type is "text/plain; charset=utf-8" unless the handler has set one.
func (w *Response) Text(status int, s string) { w.answerString("Text", status, textPlain, s) }

// HTML answers with s, which is sent as it is: escape what you put into it, as html/template does. Content-Type is
// "text/html; charset=utf-8" unless the handler has set one.
func (w *Response) HTML(status int, s string) {
	w.answerString("HTML", status, "text/html; charset=utf-8", s)
}

// NoContent answers 204 without content (RFC 9110, 15.3.5).
func (w *Response) NoContent() {
	if w.replaces("NoContent") {
		w.SetStatus(204)
		w.SetBody(nil)
		w.DelHeader("Content-Type")
	}
}

// Redirect answers with a status of 301, 302, 303, 307 or 308 and Location: to (RFC 9110, 15.4). to is chosen by the
// program: a path, such as "/login?next=%2F", or an absolute URL of http or https. For what a peer has sent there is
// [Response.RedirectLocal].
//
//   - Spaces and bytes beyond ASCII are escaped.
//   - Another status panics.
//   - For a to of another kind, such as "//host/", "" or one with controls, the answer is 500, and the log has a line.
func (w *Response) Redirect(status int, to string) {
	switch status {
	case 301, 302, 303, 307, 308:
	default:
		panic(fmt.Sprintf("server: Redirect with status %d: it is for 301, 302, 303, 307 and 308", status))
	}
	if !w.replaces("Redirect") {
		return
	}
	to = escapeLocation(to)
	path := strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.HasPrefix(to, `/\`)
	if !path && !hasPrefixFold(to, "http://") && !hasPrefixFold(to, "https://") || !parser.ValidFieldValue(to) {
		w.LogMisuse("Redirect to what is neither a path nor a URL of http or https")
		w.Error(500)
		return
	}
	w.Error(status) // its text, for those who read it
	w.SetHeader("Location", to)
}

// RedirectLocal answers 303 (See Other) with Location: to, where to comes from a peer, such as the page to return to after
// a login. It takes a path of this server, or a URL whose scheme and host are those of the request, of which it uses the
// path. For anything else the answer is 400, and the log has a line. So it refuses:
//
//   - "//host", `/\host` and whatever else a browser takes for another host, escaped or not: a path in which "//" or `\`
//     stands
//   - controls, which browsers remove before they look
//   - other hosts and other schemes
func (w *Response) RedirectLocal(to string) {
	if !w.replaces("RedirectLocal") {
		return
	}
	r := &w.x.req
	if own := r.Scheme() + "://" + r.Host(); hasPrefixFold(to, own) && len(own) < len(to) && to[len(own)] == '/' {
		to = to[len(own):]
	}
	if !isLocal(to) {
		w.LogMisuse("RedirectLocal refused a target that is not a path of this server")
		w.Error(400)
		return
	}
	w.Redirect(303, to)
}

// isLocal reports whether every browser takes to for a path of the server that it comes from.
func isLocal(to string) bool {
	if !strings.HasPrefix(to, "/") {
		return false
	}
	for i := range len(to) {
		if c := to[i]; c < ' ' || c == 0x7f || c == '\\' {
			return false
		}
	}
	path := to
	if end := strings.IndexAny(to, "?#"); end >= 0 {
		path = to[:end]
	}
	for range 3 { // some proxies unescape once more
		if strings.Contains(path, "//") || strings.Contains(path, `\`) {
			return false
		}
		path = unescapeLoosely(path)
	}
	return true
}

// unescapeLoosely undoes the escapes of a path that are well-formed, and leaves the others.
func unescapeLoosely(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if hi, lo := unhex(path[i+1]), unhex(path[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// escapeLocation escapes what a URL cannot hold and a program may have put there all the same.
func escapeLocation(to string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(to) {
		c := to[i]
		if c > ' ' && c < 0x7f || c < ' ' || c == 0x7f { // controls are refused, not escaped
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// marshal is JSON, for the method of that name and content of that type.
func (w *Response) marshal(method string, status int, kind string, v any) {
	if !w.replaces(method) {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		w.unencodable(method, err)
		return
	}
	w.SetStatus(status)
	w.defaultType(kind)
	w.GiveBody(b)
}

// unencodable answers for a value that cannot be encoded.
func (w *Response) unencodable(method string, err error) {
	w.LogMisuse(method + " of a value that cannot be encoded: " + err.Error())
	w.Error(500)
}

func (w *Response) answerString(method string, status int, kind, s string) {
	if w.replaces(method) {
		w.SetStatus(status)
		w.defaultType(kind)
		w.SetBody(nil)
		w.WriteString(s)
	}
}

// defaultType sets Content-Type unless it is set.
func (w *Response) defaultType(kind string) {
	if w.PeekHeader("Content-Type") == nil {
		w.SetHeader("Content-Type", kind)
	}
}

// replaces reports whether an answer can still be put in place of what there is, and logs it if not.
func (w *Response) replaces(method string) bool {
	w.x.req.lent()
	if w.committed() {
		_ = w.tooLate(method)
		return false
	}
	return true
}
