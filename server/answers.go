package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// The usual answers in one line each. They fill the Response and return nothing. What was written before is replaced, and
// a line in the log says so if that was an error and this is none: mostly a return is missing. Once a Stream was taken, and in
// OnDone, they do nothing, but for a line in the log. All of them are for the goroutine that w belongs to.

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
	if w.replaces("NoContent", 204) {
		w.SetStatus(204)
		w.SetBody(nil)
		w.DelHeader("Content-Type")
	}
}

// Redirect answers with a status of 301, 302, 303, 307 or 308 and Location: to (RFC 9110, 15.4). to is chosen by the
// program: a path, such as "/login?next=%2F", or an absolute URL of http or https. For what a peer has sent there is
// [Response.RedirectLocal].
//
//   - Bytes that no URI may have are percent-encoded: spaces, quotes, letters beyond ASCII, a "%" that begins no escape.
//   - Another status panics.
//   - For a to of another kind, such as "//host/", "", one with controls (tabs too) or "\", or one that
//     net/url cannot parse, the answer is 500, and the log has a line.
func (w *Response) Redirect(status int, to string) {
	switch status {
	case 301, 302, 303, 307, 308:
	default:
		panic(fmt.Sprintf("server: Redirect with status %d: it is for 301, 302, 303, 307 and 308", status))
	}
	if !w.replaces("Redirect", status) {
		return
	}
	to, ok := redirectTarget(to)
	if !ok {
		w.LogMisuse("Redirect to what is neither a path, which begins with a slash, nor a URL of http or https")
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
//   - "//host", `/\host` and whatever else a browser takes for another host: a path in which "//" or `\` stands, also when
//     its escapes are decoded, up to four times, and one that is escaped more often
//   - controls, which browsers remove before they look, in the path also escaped ones
//   - malformed escapes
//   - other hosts and other schemes
func (w *Response) RedirectLocal(to string) {
	if !w.replaces("RedirectLocal", 400) { // Redirect says the rest
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
	if hasControl(to) || strings.Contains(to, `\`) || !wellEscaped(to) {
		return false
	}
	path := to
	if end := strings.IndexAny(to, "?#"); end >= 0 {
		path = to[:end]
	}
	const layers = 4 // some proxies unescape once more, and then a browser reads it
	for range layers {
		if strings.Contains(path, "//") || strings.Contains(path, `\`) || hasControl(path) {
			return false
		}
		decoded := unescapeLoosely(path)
		if decoded == path {
			return true
		}
		path = decoded
	}
	return false
}

// redirectTarget is to as a Location has it, and whether it is a path or a URL of http or https.
func redirectTarget(to string) (location string, ok bool) {
	if hasControl(to) || strings.Contains(to, `\`) || strings.HasPrefix(to, "//") {
		return "", false
	}
	to = escapeLocation(to)
	u, err := url.Parse(to)
	if err != nil {
		return "", false
	}
	return to, strings.HasPrefix(to, "/") || u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// wellEscaped reports whether each "%" begins an escape.
func wellEscaped(s string) bool {
	for i := range len(s) {
		if s[i] == '%' && !isEscape(s[i:]) {
			return false
		}
	}
	return true
}

// isEscape reports whether s, which begins with "%", begins with an escape (RFC 3986, 2.1).
func isEscape(s string) bool { return len(s) > 2 && unhex(s[1]) >= 0 && unhex(s[2]) >= 0 }

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

// uriBytes stand for themselves in a URI (RFC 3986, 2.2 and 2.3). "%" is not among them.
const uriBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;="

var inURI = func() (in [256]bool) {
	for i := range len(uriBytes) {
		in[uriBytes[i]] = true
	}
	return in
}()

// escapeLocation percent-encodes what no URI may have and a program may have put there all the same.
func escapeLocation(to string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(to) {
		c := to[i]
		if inURI[c] || c == '%' && isEscape(to[i:]) {
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
	if !w.replaces(method, status) {
		return
	}
	w.body.clear()
	if err := json.NewEncoder((*bodyWriter)(w)).Encode(v); err != nil { // it has written nothing
		w.Error(500)
		w.logFailure(&w.x.req, err, "an answer cannot be encoded")
		return
	}
	w.SetStatus(status)
	w.defaultType(kind)
	w.body.buf = w.body.buf[:len(w.body.buf)-len("\n")]
	w.recount()
}

// bodyWriter appends to the body of a Response. A json.Encoder calls it once, with the whole text and a newline.
type bodyWriter Response

// Write implements io.Writer.
func (w *bodyWriter) Write(p []byte) (int, error) {
	w.body.buf = append(w.body.buf, p...)
	return len(p), nil
}

func (w *Response) answerString(method string, status int, kind, s string) {
	if w.replaces(method, status) {
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
func (w *Response) replaces(method string, status int) bool {
	w.x.req.lent()
	if w.committed() {
		_ = w.tooLate(method)
		return false
	}
	if before := w.Status(); before >= 400 && status < 400 && w.BodySize() > 0 {
		w.LogMisuse(fmt.Sprintf("%s answers with %d in place of the error %d: is a return missing after that? "+
			"Else call Reset before", method, status, before))
	}
	return true
}
