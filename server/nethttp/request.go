package nethttp

// A request of net/http as bytes. Whatever it holds was parsed by somebody else, or made by hand, and may hold anything:
// what could end a line, or a token, is refused here; all else is judged by the parser.

import (
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"microhttp/parser"
)

var (
	errTarget = errors.New("invalid byte in the method, the host or the target")
	errField  = errors.New("invalid header or trailer field")
)

// appendHead appends the head of r.
func appendHead(b []byte, r *http.Request) ([]byte, error) {
	method, target, host := r.Method, targetOf(r), hostOf(r)
	if method == "" {
		method = "GET" // as net/http has it
	}
	if !parser.ValidFieldName(method) || !isVisible(target) || !isVisible(host) {
		return b, errTarget
	}
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 && r.ContentLength >= 0 {
		b = append(b, " HTTP/1.0\r\n"...)
	} else {
		b = append(b, " HTTP/1.1\r\n"...)
	}
	if host != "" {
		b = append(b, "Host: "...)
		b = append(b, host...)
		b = append(b, "\r\n"...)
	}
	if hasBody(r) {
		if r.ContentLength > 0 {
			b = append(b, "Content-Length: "...)
			b = strconv.AppendInt(b, r.ContentLength, 10)
			b = append(b, "\r\n"...)
		} else {
			b = append(b, "Transfer-Encoding: chunked\r\n"...)
		}
	}
	b, err := appendFields(b, r.Header)
	return append(b, "\r\n"...), err
}

// targetOf returns the target of r: of its URL, which middleware may have changed, and not as it came.
func targetOf(r *http.Request) string {
	if r.Method == http.MethodConnect {
		return hostOf(r)
	}
	target := r.URL.EscapedPath()
	if !strings.HasPrefix(target, "/") && target != "*" {
		target = "/" + target // what http.StripPrefix has left, which is not to be taken for an absolute form
	}
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	return target
}

func hostOf(r *http.Request) string {
	if r.Host == "" {
		return r.URL.Host
	}
	return r.Host
}

func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// appendFields appends field lines, but for those that the bridge makes itself.
func appendFields(b []byte, h http.Header) ([]byte, error) {
	for name, values := range h {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Connection", "Transfer-Encoding", "Content-Length":
			continue
		}
		if !parser.ValidFieldName(name) {
			return b, errField
		}
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n") {
				return b, errField
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, textproto.TrimString(value)...)
			b = append(b, "\r\n"...)
		}
	}
	return b, nil
}

// appendChunk appends p, which is not empty, as a chunk.
func appendChunk(b, p []byte) []byte {
	b = strconv.AppendInt(b, int64(len(p)), 16)
	b = append(b, "\r\n"...)
	b = append(b, p...)
	return append(b, "\r\n"...)
}

// appendTrailer appends the last chunk and the trailer section, which r has once its body has been read.
func appendTrailer(b []byte, r *http.Request) ([]byte, error) {
	b = append(b, "0\r\n"...)
	b, err := appendFields(b, r.Trailer)
	return append(b, "\r\n"...), err
}
