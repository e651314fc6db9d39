package nethttp

// A request of ours as one of net/http: what its readRequest makes of the same bytes.

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"

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
	req = req.WithContext(ctx)
	if b, ok := req.Body.(*body); ok {
		b.req = req
	}
	return req, nil
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
	h := req.Header
	req.ContentLength = r.ContentLength()
	if req.ContentLength == 0 {
		req.Body = http.NoBody
		return
	}
	b := &body{r: r, reader: r.BodyReader(), limit: r.BodyLimit()}
	if req.ContentLength < 0 {
		req.TransferEncoding = []string{"chunked"} // the parser knows no other
		req.Trailer = trailersOf(h["Trailer"])
		delete(h, "Transfer-Encoding")
		delete(h, "Trailer")
	}
	req.Body = b
}

// trailersOf returns a Header with the names of trailer fields that were announced, or nil.
func trailersOf(lines []string) http.Header {
	var t http.Header
	for _, line := range lines {
		for name := range parser.Tokens([]byte(line)) {
			if t == nil {
				t = http.Header{}
			}
			t[http.CanonicalHeaderKey(string(name))] = nil
		}
	}
	return t
}
