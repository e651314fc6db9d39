package parser

// Methods and field names that matter get a small number, once, where they are read; all later decisions compare
// numbers. Both lookups are tables: the method by what it spells, the field name by a hash that is perfect for the
// names below (the table is built when the program starts, and a collision would panic there and in every test).

// MethodID names a method of RFC 9110 section 9 or RFC 5789.
type MethodID uint8

// The methods that have a number. Methods are case-sensitive: "get" is MethodOther.
const (
	MethodOther MethodID = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodConnect
	MethodOptions
	MethodTrace
	MethodPatch
)

var methodNames = [...]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// String gives the method as it stands on the wire, or "" for MethodOther.
func (m MethodID) String() string { return methodNames[m] }

// methodID finds the number of a method. The compiler turns the switch into comparisons of whole words.
func methodID(m []byte) MethodID {
	switch string(m) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "CONNECT":
		return MethodConnect
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "PATCH":
		return MethodPatch
	}
	return MethodOther
}

// FieldID names a field that servers ask for.
type FieldID uint8

// The fields that have a number.
const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldContentLength
	FieldTransferEncoding
	FieldExpect
	FieldContentType
	FieldUpgrade
	FieldCookie
	FieldAuthorization
	FieldUserAgent
	FieldAccept
	FieldAcceptEncoding
	FieldRange
	FieldIfRange
	FieldIfMatch
	FieldIfNoneMatch
	FieldIfModifiedSince
	FieldIfUnmodifiedSince
	FieldOrigin
	FieldReferer
	FieldTrailer
	FieldTE
	FieldForwarded
	FieldXForwardedFor
	FieldXForwardedProto
	FieldXRequestID
)

// lastMeaningful is the last field, in the order above, that the parser itself looks at.
const lastMeaningful = FieldUpgrade

var fieldNames = [...]string{
	"", "Host", "Connection", "Content-Length", "Transfer-Encoding", "Expect", "Content-Type", "Upgrade", "Cookie",
	"Authorization", "User-Agent", "Accept", "Accept-Encoding", "Range", "If-Range", "If-Match", "If-None-Match",
	"If-Modified-Since", "If-Unmodified-Since", "Origin", "Referer", "Trailer", "TE", "Forwarded", "X-Forwarded-For",
	"X-Forwarded-Proto", "X-Request-ID",
}

// String gives the field's name in its usual spelling, or "" for FieldOther.
func (f FieldID) String() string { return fieldNames[f] }

// fieldID finds the number of a field name, which is not empty, without regard to ASCII case. Nearly all names come in
// their usual spelling, so that is compared first.
func fieldID(name []byte) FieldID {
	known := &fieldTable[fieldHash(len(name), name[0], name[len(name)-1])]
	if len(known.name) == len(name) && (string(name) == known.name || EqualFold(name, known.name)) {
		return known.id
	}
	return FieldOther
}

// fieldHash mixes the length of a name with its first and last byte, whose case the mask takes away.
func fieldHash(n int, first, last byte) uint8 {
	return (uint8(n)*hashLen + (first&0x1f)*hashFirst + (last&0x1f)*hashLast) % hashSlots
}

// The factors were found by trial: with them no two names above share a slot.
const (
	hashSlots = 64
	hashLen   = 1
	hashFirst = 6
	hashLast  = 16
)

type knownField struct {
	name string
	id   FieldID
}

var fieldTable = func() (t [hashSlots]knownField) {
	for id, name := range fieldNames[1:] {
		slot := &t[fieldHash(len(name), name[0], name[len(name)-1])]
		if slot.id != FieldOther {
			panic("parser: field names collide: " + name + ", " + slot.name)
		}
		*slot = knownField{name, FieldID(id + 1)}
	}
	return t
}()
