package parser

import (
	"encoding/binary"
	"math/bits"
)

// What a byte may be is a table: one set of classes for each of the 256 bytes. Names, targets and hosts are short and
// go through it byte by byte. Field values are long and may hold nearly everything, so they are searched eight bytes
// at a time for the few bytes that they may not hold, and for those that are seldom in them.

const (
	isToken  = 1 << iota // RFC 9110 section 5.6.2
	isPath               // RFC 3986 section 3.3 without "%", and "[", "]", "|"
	isQuery              // the same, and "?" and what browsers leave as it is
	isHost               // RFC 3986 section 3.2.2, with the signs of escapes, ports and IP literals, without ","
	isName               // what a reg-name holds unescaped, without ","
	isScheme             // RFC 3986 section 3.1
	isAlpha
	isDigit
	isHex
	isValue // RFC 9110 section 5.5: HTAB, SP, visible and 8-bit bytes
)

const (
	alpha      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit      = "0123456789"
	unreserved = alpha + digit + "-._~"
	// A comma would be a sub-delim too; but in a Host it is two hosts that a proxy has joined.
	hostDelims = "!$&'()*+;="
)

var class = classes(map[uint16]string{
	isToken:  alpha + digit + "!#$%&'*+-.^_`|~",
	isPath:   unreserved + hostDelims + ",:@/[]|",
	isQuery:  unreserved + hostDelims + ",:@/[]|?{}^\\`",
	isHost:   unreserved + hostDelims + "%:[]",
	isName:   unreserved + hostDelims,
	isScheme: alpha + digit + "+-.",
	isAlpha:  alpha,
	isDigit:  digit,
	isHex:    digit + "abcdefABCDEF",
})

func classes(members map[uint16]string) (t [256]uint16) {
	for set, bytes := range members {
		for i := range len(bytes) {
			t[bytes[i]] |= set
		}
	}
	for c := range t {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= isValue
		}
	}
	return t
}

// unhex gives the value of a hexadecimal digit, lower the lower case of an ASCII letter and any other byte as it is.
var unhex, lower = digits()

func digits() (unhex, lower [256]byte) {
	for c := range lower {
		lower[c] = byte(c)
		switch {
		case '0' <= c && c <= '9':
			unhex[c] = byte(c) - '0'
		case 'a' <= c && c <= 'f':
			unhex[c] = byte(c) - 'a' + 10
		case 'A' <= c && c <= 'F':
			unhex[c] = byte(c) - 'A' + 10
		}
		if 'A' <= c && c <= 'Z' {
			lower[c] += 'a' - 'A'
		}
	}
	return unhex, lower
}

// runEnd returns the index of the first byte in w[i:] that is not of the class, or len(w). It counts and compares once for
// eight bytes, not for each.
func runEnd(w []byte, i int, of uint16) int {
	begin := i
	for ; len(w)-i >= 8; i += 8 {
		s := w[i : i+8 : i+8]
		switch {
		case class[s[0]]&of == 0:
			lookedTo(w, begin, i)
			return i
		case class[s[1]]&of == 0:
			lookedTo(w, begin, i+1)
			return i + 1
		case class[s[2]]&of == 0:
			lookedTo(w, begin, i+2)
			return i + 2
		case class[s[3]]&of == 0:
			lookedTo(w, begin, i+3)
			return i + 3
		case class[s[4]]&of == 0:
			lookedTo(w, begin, i+4)
			return i + 4
		case class[s[5]]&of == 0:
			lookedTo(w, begin, i+5)
			return i + 5
		case class[s[6]]&of == 0:
			lookedTo(w, begin, i+6)
			return i + 6
		case class[s[7]]&of == 0:
			lookedTo(w, begin, i+7)
			return i + 7
		}
	}
	for i < len(w) && class[w[i]]&of != 0 {
		i++
	}
	lookedTo(w, begin, i)
	return i
}

// valueEnd returns the index of the first byte in w[i:] that no field value holds, or len(w). From the first tab or 8-bit byte
// on it goes byte by byte; that costs those few values twice the time, and leaves the function small enough to be inlined.
func valueEnd(w []byte, i int) int {
	begin := i
	for ; len(w)-i >= 8; i += 8 {
		if odd := notText(binary.LittleEndian.Uint64(w[i : i+8 : i+8])); odd != 0 {
			i += bits.TrailingZeros64(odd) / 8
			break
		}
	}
	for i < len(w) && class[w[i]]&isValue != 0 {
		i++
	}
	lookedTo(w, begin, i)
	return i
}

// Eight copies of a byte in a word.
const (
	ones = 0x0101010101010101
	high = 0x80 * ones
	sp   = ' ' * ones
)

// notText is zero if x holds nothing but visible ASCII bytes and spaces. Else its lowest mark stands at the first byte that
// is another: the difference marks those below the space, the sum DEL and those with eight bits. A borrow or a carry can
// mark a byte wrongly, or take the mark from one, but only above a byte that is marked rightly.
func notText(x uint64) uint64 { return ((x - sp) | (x + ones)) & high }

// plainName reports whether x holds letters and hyphens alone, as most names of fields do. The first difference marks the
// bytes from a on, in either case, the second those beyond z, and the sum those that are no hyphen; none reaches the next byte.
func plainName(x uint64) bool {
	letters := x | 0x20*ones | high
	hyphens := x ^ '-'*ones
	marks := (letters - 'a'*ones) &^ (letters - ('z'+1)*ones) &^ x
	marks |= ^(hyphens&^high + 0x7f*ones | hyphens)
	return marks&high == high
}

// eight is the eight bytes of s from i on.
func eight[S string | []byte](s S, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
