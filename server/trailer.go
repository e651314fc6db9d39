package server

import "microhttp/parser"

// Trailers of an answer (RFC 9110, 6.5): what is known only when the content has been sent,
// such as its checksum or how long it took.

// AddTrailer adds a field to the trailer section, which is sent when the Stream closes. Like
// Write it is for whoever owns the stream. The answer should name the field in Trailer
// (RFC 9110, 6.6.2) before the stream is taken.
//
// The error is ErrNoTrailers when the peer would not get the field: only a chunked stream has
// trailers, and only a peer that sent TE: trailers keeps them (10.1.4). It wraps ErrField for
// what is no valid field, and for a field that may stand in no trailer section because it
// frames the message, routes or authenticates it, controls it, or says how to read the
// content (6.5.1). After Close it is ErrStreamClosed.
func (s *Stream) AddTrailer(name, value string) error {
	r := &s.x.req
	switch {
	case s.closed:
		return ErrStreamClosed
	case !parser.ValidFieldName(name) || !parser.ValidFieldValue(value) || neverTrailer(name):
		return s.x.res.refuse(name)
	case s.framing.kind != framedChunked || s.framing.mute || !r.keepsTrailers():
		return ErrNoTrailers
	}
	s.trailer = appendField(s.trailer, name, value)
	return nil
}

// keepsTrailers reports whether the peer said that it does.
func (r *Request) keepsTrailers() bool {
	for v := range r.head.Values(r.raw, "TE") {
		for coding := range parser.Tokens(v) {
			if parser.EqualFold(coding, "trailers") {
				return true
			}
		}
	}
	return false
}

// neverTrailers are the fields whose place is before the content (RFC 9110, 6.5.1): a peer
// must know them first, or may not take them from one who has only been let to append.
var neverTrailers = [...]string{
	"Age", "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range",
	"Content-Type", "Date", "Expires", "Host", "Keep-Alive", "Location", "Pragma", "Proxy-Authenticate",
	"Proxy-Authorization", "Retry-After", "Set-Cookie", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Vary",
	"Via", "Warning", "WWW-Authenticate",
}

func neverTrailer(name string) bool {
	for _, n := range neverTrailers {
		if parser.EqualFold(n, name) {
			return true
		}
	}
	return false
}
