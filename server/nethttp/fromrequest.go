package nethttp

// A request of ours as one of net/http: what its readRequest makes of the same bytes.

import (
	"net/http"
	"net/url"

	"microhttp/parser"
	"microhttp/server"
)

// blank is what requests are copied from: WithContext copies in any case.
var blank = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// request makes the http.Request. It shares nothing with r, which is lent: a handler of net/http may keep it.
func (c *call) request(r *server.Request, p *peer) (*http.Request, error) {
	u, err := url.ParseRequestURI(r.Target())
	if err != nil {
		return nil, err
	}
	req := blank.WithContext(c.ctx.of(r.Context(), p.ctx))
	req.Method, req.URL, req.RequestURI, req.Host, req.Pattern = r.Method(), u, r.Target(), r.Host(), r.Pattern()
	req.RemoteAddr, req.TLS = p.remote, p.tls
	if r.ProtoMinor() == 0 {
		req.Proto, req.ProtoMinor = "HTTP/1.0", 0
	}
	setHeader(req, r)
	c.setBody(req, r)
	for name, value := range r.PathValues() {
		req.SetPathValue(name, value)
	}
	return req, nil
}

// setHeader sets the fields, and what they say about the connection.
func setHeader(req *http.Request, r *server.Request) {
	n := r.NumHeaders()
	h, values := make(http.Header, n), make([]string, 0, n)
	for name, value := range r.Headers() {
		key := http.CanonicalHeaderKey(name)
		if before, ok := h[key]; ok {
			h[key] = append(before, value)
			continue
		}
		values = append(values, value)
		h[key] = values[len(values)-1 : len(values) : len(values)] // one allocation for all, and append to one leaves the others
	}
	delete(h, "Host") // req.Host is what holds
	if pragma := h["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" {
		if _, ok := h["Cache-Control"]; !ok {
			h["Cache-Control"] = []string{"no-cache"} // RFC 9111, 5.4
		}
	}
	req.Header = h
	connection := h["Connection"]
	req.Close = hasToken(connection, "close") || req.ProtoMinor == 0 && !hasToken(connection, "keep-alive")
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
func (c *call) setBody(req *http.Request, r *server.Request) {
	h := req.Header
	req.ContentLength = r.ContentLength()
	if req.ContentLength == 0 {
		req.Body = http.NoBody
		return
	}
	c.body = body{r: r, req: req, reader: r.BodyReader(), limit: r.BodyLimit()}
	if req.ContentLength < 0 {
		req.TransferEncoding = []string{"chunked"} // the parser knows no other
		req.Trailer = trailersOf(h["Trailer"])
		delete(h, "Transfer-Encoding")
		delete(h, "Trailer")
	}
	req.Body = &c.body
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
