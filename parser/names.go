package parser

import "encoding/binary"

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

// methodID finds the number of a method.
func methodID(m []byte) MethodID {
	if len(m) > maxMethodName {
		return MethodOther
	}
	looked(len(m))
	w := pack(m)
	for id := MethodGet; id <= MethodPatch; id++ {
		if methodWords[id] == w {
			return id
		}
	}
	return MethodOther
}

// maxMethodName is the length of the longest name above. It fits into a word, with a byte to spare.
const maxMethodName = 7

// pack makes a number of at most eight bytes.
func pack[S string | []byte](s S) (w uint64) {
	for i := range len(s) {
		w = w<<8 | uint64(s[i])
	}
	return w
}

var methodWords = func() (t [len(methodNames)]uint64) {
	for id, name := range methodNames {
		t[id] = pack(name)
	}
	return t
}()

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

// fieldID finds the number of a field name, which is not empty, without regard to ASCII case.
func fieldID(name []byte) FieldID {
	looked(1)
	known := &fieldTable[fieldHash(name)]
	if len(name) == int(known.len) && known.is(name) {
		return known.id
	}
	return FieldOther
}

// is compares a token of the same length without regard to case, by words as long as there are some. Setting a bit makes
// lower case of the letters, and no other byte of a token a letter or a hyphen.
func (k *knownField) is(name []byte) bool {
	looked(len(name))
	i := 0
	for ; len(name)-i >= 8; i += 8 {
		if binary.LittleEndian.Uint64(name[i:])|sp != binary.LittleEndian.Uint64(k.name[i:]) {
			return false
		}
	}
	for ; i < len(name) && i < len(k.name); i++ {
		if name[i]|' ' != k.name[i] {
			return false
		}
	}
	return true
}

// fieldHash mixes the length of a name with one of its bytes, whose case the mask takes away: the fifth from its end, in
// which all names above differ that are equally long.
func fieldHash[S string | []byte](name S) uint8 {
	c := name[max(len(name)-5, 0)]
	return (uint8(len(name))*hashLen + (c&0x1f)*hashByte) % hashSlots
}

// The factors were found by trial: with them no two names above share a slot.
const (
	hashSlots = 64
	hashLen   = 1
	hashByte  = 22
)

type knownField struct {
	name [maxFieldName]byte // in lower case
	len  uint8
	id   FieldID
}

// maxFieldName is room for the longest name above, in whole words.
const maxFieldName = 24

var fieldTable = func() (t [hashSlots]knownField) {
	for id, name := range fieldNames[1:] {
		slot := &t[fieldHash(name)]
		if slot.id != FieldOther || len(name) > maxFieldName {
			panic("parser: no place for the field name " + name)
		}
		*slot = knownField{len: uint8(len(name)), id: FieldID(id + 1)}
		for i := range len(name) {
			slot.name[i] = lower[name[i]]
		}
	}
	return t
}()
