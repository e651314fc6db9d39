package server

import "microhttp/parser"

// Trailers of an answer (RFC 9110, 6.5): what is known only when the content has been sent,
// such as its checksum or how long it took.

// AddTrailer adds a field to the trailer section, which is sent when the Stream closes. Like
// Write it is for whoever owns the stream. The answer should name the field in Trailer
// (RFC 9110, 6.6.2) before the stream is taken.
//
// A peer that did not say TE: trailers (10.1.4) does not get the field, and neither does one whose stream is not chunked: then
// AddTrailer does nothing, since a trailer must never be needed. A name that is not a token panics. A value that no
// field may hold is dropped, with a line in the log. So is a field that may stand in no trailer section because it frames the
// message, routes or authenticates it, controls it, or says how to read the content (6.5.1), and one that comes after Close.
func (s *Stream) AddTrailer(name, value string) { s.addTrailer(name, value, s.x.req.keepsTrailers) }

// AddTrailerUnasked is AddTrailer for a field that is sent whether or not the peer said TE: trailers. Most peers that did not
// say so drop the field, which RFC 9110, 6.5.1 lets them do. It is for code that was written for net/http, whose server sends
// trailers to all.
func (s *Stream) AddTrailerUnasked(name, value string) {
	s.addTrailer(name, value, func() bool { return true })
}

func (s *Stream) addTrailer(name, value string, kept func() bool) {
	mustBeFieldName(name)
	switch {
	case s.closed:
		s.x.res.LogMisuse("the trailer field " + name + " comes too late: the Stream is closed")
	case neverTrailer(name):
		s.x.res.dropField(name, misplaced)
	case !parser.ValidFieldValue(value):
		s.x.res.dropField(name, badValue)
	case s.framing.kind == framedChunked && !s.framing.mute && kept():
		s.trailer = appendField(s.trailer, name, value)
	}
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
