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

// methodID finds the method with which the bytes of x begin, a space behind it.
func methodID(x uint64) MethodID {
	if uint32(x) == 'G'|'E'<<8|'T'<<16|' '<<24 { // what most are
		return MethodGet
	}
	for id := MethodGet; id <= MethodPatch; id++ {
		if m := &methodWords[id]; x<<(m.shift&63) == m.word {
			return id
		}
	}
	return MethodOther
}

// methodWords holds each method as a word, with the space behind it, and by how much a word has to be shifted to lose the
// bytes that follow. The longest has seven letters.
var methodWords = func() (t [len(methodNames)]struct {
	word  uint64
	shift uint8
},
) {
	for id, name := range methodNames {
		t[id].shift = uint8(8*7 - 8*len(name))
		t[id].word = pack([]byte(name+" ")) << t[id].shift
	}
	return t
}()

// pack makes a word of the first eight bytes of b, as if zeros followed.
func pack(b []byte) (x uint64) {
	for i := range min(len(b), 8) {
		x |= uint64(b[i]) << (8 * i)
	}
	return x
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

// fieldID finds the number of the field name w[begin:end], which is not empty, without regard to ASCII case.
func fieldID(w []byte, begin, end int) FieldID {
	if end < 8 {
		return fieldIDAtStart(w[begin:end])
	}
	n := end - begin
	looked(n)
	last := lastWord(w, end, n)
	known := &fieldTable[fieldHash(last, n)]
	if known.last != last || known.len != n {
		return FieldOther
	}
	if n > 8 && (known.first != lowerWord(w, begin+8) || n > 16 && known.middle != lowerWord(w, end-8)) {
		return FieldOther
	}
	return known.id
}

// fieldIDAtStart is fieldID for a short name before which there is nothing: at the beginning of a trailer section. Its room
// would cost fieldID a stack frame.
//
//go:noinline
func fieldIDAtStart(name []byte) FieldID {
	var room [16]byte
	return fieldID(room[:], 8, 8+copy(room[8:], name))
}

// lastWord reads the last eight bytes of the name of n bytes that ends at w[end], or all of a shorter one.
func lastWord(w []byte, end, n int) uint64 {
	before := uint(max(8-n, 0)) * 8 & 63
	return lowerWord(w, end) >> before << before
}

// lowerWord reads the eight bytes that end at w[end]. Setting a bit makes lower case of the letters, and no other byte of a
// token a letter or a hyphen.
func lowerWord(w []byte, end int) uint64 { return binary.LittleEndian.Uint64(w[end-8:end:end]) | sp }

// fieldHash mixes the length of a name with one of its bytes, whose case the mask takes away: the fifth from its end, in which
// all names above differ that are equally long.
func fieldHash(last uint64, n int) uint64 {
	return (uint64(n)*hashLen + last>>24&0x1f*hashByte) % hashSlots
}

// The factors were found by trial: with them no two names above share a slot.
const (
	hashSlots = 64
	hashLen   = 1
	hashByte  = 12
)

// knownField is a name as words in lower case: its first eight bytes, the eight before its last, and its last eight.
type knownField struct {
	first, middle, last uint64
	len                 int
	id                  FieldID
}

// maxFieldName is the length up to which three words hold all of a name.
const maxFieldName = 24

var fieldTable = func() (t [hashSlots]knownField) {
	for id, name := range fieldNames[1:] {
		w := append(make([]byte, 8, 40), name...)
		n := len(name)
		last := lastWord(w, len(w), n)
		slot := &t[fieldHash(last, n)]
		if slot.id != FieldOther || n > maxFieldName {
			panic("parser: no place for the field name " + name)
		}
		*slot = knownField{lowerWord(w[:16], 16), lowerWord(w, max(n, 8)), last, n, FieldID(id + 1)}
	}
	return t
}()
