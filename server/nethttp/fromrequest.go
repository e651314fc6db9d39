package nethttp

// A request of ours as one of net/http: what its readRequest makes of the same bytes.

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"

	"microhttp/parser"
	"microhttp/server"
)

// request makes the http.Request. It shares nothing with r, which is lent: a handler of net/http may keep it.
func (f *from) request(r *server.Request, local netip.AddrPort) (*http.Request, error) {
	u, err := url.ParseRequestURI(r.Target())
	if err != nil {
		return nil, err
	}
	ctx := context.WithValue(r.Context(), http.ServerContextKey, f.server)
	if local.IsValid() {
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(net.TCPAddrFromAddrPort(local)))
	}
	req := &http.Request{
		Method: r.Method(), URL: u, RequestURI: r.Target(), Host: r.Host(), Pattern: r.Pattern(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: r.ProtoMinor(),
	}
	if req.ProtoMinor == 0 {
		req.Proto = "HTTP/1.0"
	}
	if remote := r.RemoteAddr(); remote.IsValid() {
		req.RemoteAddr = remote.String()
	} else {
		req.RemoteAddr = "@" // as net/http says it of a Unix socket
	}
	setHeader(req, r)
	setBody(req, r)
	for name, value := range r.PathValues() {
		req.SetPathValue(name, value)
	}
	return req.WithContext(ctx), nil
}

// setHeader sets the fields, and what they say about the connection.
func setHeader(req *http.Request, r *server.Request) {
	h := http.Header{}
	for name, value := range r.Headers() {
		key := http.CanonicalHeaderKey(name)
		h[key] = append(h[key], value)
	}
	delete(h, "Host") // req.Host is what holds
	if _, ok := h["Cache-Control"]; !ok && len(h["Pragma"]) > 0 && h["Pragma"][0] == "no-cache" {
		h["Cache-Control"] = []string{"no-cache"} // RFC 9111, 5.4
	}
	req.Header = h
	req.Close = hasToken(h["Connection"], "close") || req.ProtoMinor == 0 && !hasToken(h["Connection"], "keep-alive")
}

// hasToken reports whether a list of tokens has one.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range parser.Tokens([]byte(line)) {
			if parser.EqualFold(t, token) {
				return true
			}
		}
	}
	return false
}

// setBody sets the body, how it was framed, and its trailers.
func setBody(req *http.Request, r *server.Request) {
	b, h := r.Body(), req.Header
	req.ContentLength = int64(len(b))
	if _, chunked := h["Transfer-Encoding"]; chunked {
		req.ContentLength, req.TransferEncoding = -1, []string{"chunked"} // the parser knows no other
		setTrailer(req, r)
		delete(h, "Transfer-Encoding")
		delete(h, "Trailer")
	}
	if req.ContentLength == 0 {
		req.Body = http.NoBody
		return
	}
	req.Body = newBody(b)
}

// setTrailer sets the trailer fields: the names that were announced, and the values that came.
func setTrailer(req *http.Request, r *server.Request) {
	t := http.Header{}
	for _, line := range req.Header["Trailer"] {
		for name := range parser.Tokens([]byte(line)) {
			t[http.CanonicalHeaderKey(string(name))] = nil
		}
	}
	for name, value := range r.Trailers() {
		t.Add(name, value)
	}
	if len(t) > 0 {
		req.Trailer = t
	}
}

// body is the body of a request, all of it. The transport of a proxy may close it while it still reads.
type body struct {
	r      bytes.Reader
	closed atomic.Bool
}

func newBody(b []byte) *body {
	all := new(body)
	all.r.Reset(b)
	return all
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.r.Read(p)
}

// WriteTo implements io.WriterTo: io.Copy needs no buffer.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.r.WriteTo(w)
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.closed.Store(true)
	return nil
}
