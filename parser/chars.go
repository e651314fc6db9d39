package parser

import (
	"encoding/binary"
	"math/bits"
)

// What a byte may be is a table: one set of classes for each of the 256 bytes. Names, targets and hosts are short and
// go through it byte by byte. Field values are long and may hold nearly everything, so they are searched eight bytes
// at a time for the few bytes that they may not hold.

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
	// A comma would be a sub-delim too; but in a Host it is two hosts that somebody joined.
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

// runEnd returns the index of the first byte in w[i:] that is not of the class, or len(w).
func runEnd(w []byte, i int, of uint16) int {
	begin := i
	for _, c := range w[i:] {
		if class[c]&of == 0 {
			looked(1)
			break
		}
		i++
	}
	looked(i - begin)
	return i
}

// valueEnd returns the index of the first byte in w[i:] that no field value holds, or len(w).
func valueEnd(w []byte, i int) int {
	begin := i
	for ; len(w)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(w[i:])
		if suspects(x) == 0 {
			continue
		}
		if ends := valueEnds(x); ends != 0 {
			i += bits.TrailingZeros64(ends) / 8
			looked(i + 1 - begin)
			return i
		}
	}
	looked(i - begin)
	return runEnd(w, i, isValue)
}

// Eight copies of a byte in a word.
const (
	ones = 0x0101010101010101
	high = 0x80 * ones
	tab  = '\t' * ones
	sp   = ' ' * ones
	del  = 0x7f * ones
)

// suspects is not zero if x holds a byte below the space, or DEL. For (x - n*ones) &^ x & high marks the bytes below n, if
// n is at most 0x80; a borrow can mark a byte wrongly, but only above one that is marked rightly. DEL is the byte that is
// below one when it has been cancelled.
func suspects(x uint64) uint64 {
	y := x ^ del
	return ((x-sp)&^x | (y-ones)&^y) & high
}

// valueEnds marks exactly the bytes of x that no field value holds: those below the space and DEL, but not the tab. The
// sums are of seven bits of each byte, so nothing is carried from one byte into the next.
func valueEnds(x uint64) uint64 {
	low := x &^ high
	text := (low + (0x80-' ')*ones) | x
	notDEL := ((low ^ del) + del) | x
	notTab := ((low ^ tab) + del) | x
	return ^(text & notDEL) & notTab & high
}
