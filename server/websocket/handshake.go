package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"

	"microhttp/parser"
	"microhttp/server"
)

// The opening handshake (RFC 6455, 4.2.1). A field that does not match its grammar fails it, as 4.2.1 and 9.1 demand. What
// HTTP itself demands was judged before, and Response.Upgrade judges the version, the method, the body and Connection.

const key = "Sec-WebSocket-Key"

// fields is what a handshake has.
type fields struct {
	upgrade                                        bool
	versions, keys, origins, protocols, extensions []string

	listsProtocols bool    // there is a Sec-WebSocket-Protocol
	offers         []offer // of extensions
}

func (f *fields) read(r *server.Request) {
	for name, value := range r.Headers() {
		switch {
		case parser.EqualFold(name, "Upgrade"):
			for t := range parser.Split(value, ',') {
				f.upgrade = f.upgrade || parser.EqualFold(t, "websocket")
			}
		case parser.EqualFold(name, "Sec-WebSocket-Version"):
			f.versions = append(f.versions, value)
		case parser.EqualFold(name, key):
			f.keys = append(f.keys, value)
		case parser.EqualFold(name, "Origin"):
			f.origins = append(f.origins, value)
		case parser.EqualFold(name, "Sec-WebSocket-Extensions"):
			f.extensions = append(f.extensions, value)
		case parser.EqualFold(name, "Sec-WebSocket-Protocol"):
			f.listsProtocols = true
			for t := range parser.Split(value, ',') {
				if t != "" {
					f.protocols = append(f.protocols, t)
				}
			}
		}
	}
}

// judge returns the status that refuses a handshake, or 0.
func (f *fields) judge(r *server.Request, h *Handler) int {
	switch {
	case r.Method() != "GET":
		return 405
	case !f.upgrade, len(f.versions) != 1, f.versions[0] != "13":
		return 426
	case len(f.keys) != 1, !validKey(f.keys[0]), !f.validProtocols(), !f.parseOffers():
		return 400
	case h.CheckOrigin == nil && !f.sameOrigin(r.Host()), h.CheckOrigin != nil && !h.CheckOrigin(r):
		return 403
	}
	return 0
}

// validProtocols reports whether the subprotocols are tokens, one at least, and each there once (4.1, item 10).
func (f *fields) validProtocols() bool {
	for _, p := range f.protocols {
		if !parser.ValidFieldName(p) {
			return false
		}
	}
	once := slices.Compact(slices.Sorted(slices.Values(f.protocols)))
	return len(once) == len(f.protocols) && (len(once) > 0 || !f.listsProtocols)
}

// sameOrigin reports whether the origin is none, or names host.
func (f *fields) sameOrigin(host string) bool {
	if len(f.origins) == 0 {
		return true
	}
	scheme, origin, ok := strings.Cut(f.origins[0], "://")
	return len(f.origins) == 1 && ok && parser.ValidFieldName(scheme) && parser.EqualFold(origin, host)
}

// validKey reports whether a key is 16 bytes in canonical base64.
func validKey(s string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 16 && len(s) == 24
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// An offer is an extension that the client would speak.
type offer struct {
	name   string
	params []param
}

type param struct {
	name   string // in lower case
	value  string // without quotes
	valued bool
}

// parseOffers reads the extensions, and reports whether they match their grammar (9.1).
func (f *fields) parseOffers() bool {
	if len(f.extensions) == 0 {
		return true
	}
	for member := range parser.Split(strings.Join(f.extensions, ","), ',') {
		if member == "" {
			continue
		}
		var o offer
		for part := range parser.Split(member, ';') {
			if o.name == "" {
				if o.name = part; !parser.ValidFieldName(part) {
					return false
				}
				continue
			}
			p, ok := parseParam(part)
			if !ok {
				return false
			}
			o.params = append(o.params, p)
		}
		f.offers = append(f.offers, o)
	}
	return len(f.offers) > 0
}

// parseParam reads a parameter, whose value is a token, perhaps in quotes.
func parseParam(s string) (p param, ok bool) {
	name, value, valued := strings.Cut(s, "=")
	p.name, p.valued = strings.ToLower(strings.TrimRight(name, " \t")), valued
	if valued {
		if p.value, ok = parser.Unquote(strings.TrimLeft(value, " \t")); !ok || !parser.ValidFieldName(p.value) {
			return p, false
		}
	}
	return p, parser.ValidFieldName(p.name)
}
