package router

// What there is to know about the bytes of a path that is still escaped (RFC 3986, sections 2.1 and 3.3):
// where its segments end, which of them are not plain text, and how their text compares without being decoded
// into memory of its own.

import (
	"encoding/binary"
	"math/bits"
)

// isClean reports whether path has no empty segment but one at its end, and no dot segment.
func isClean[T string | []byte](path T) bool {
	for i := 0; i < len(path)-1; i++ {
		if path[i] != '/' {
			continue
		}
		if c := path[i+1]; c == '/' || (c == '.' || c == '%') && dotSegment(path[i+1:]) {
			return false
		}
	}
	return true
}

// dotSegment reports whether the segment at the beginning of s is "." or "..".
func dotSegment[T string | []byte](s T) bool {
	dots, n := leadingDots(s)
	return (dots == 1 || dots == 2) && (n == len(s) || s[n] == '/')
}

// leadingDots counts the dots at the beginning of s, and the bytes that they take. An escaped dot is a dot (RFC 3986, sections
// 2.3 and 6.2.2.2).
func leadingDots[T string | []byte](s T) (dots, n int) {
	for ; ; dots++ {
		switch {
		case n < len(s) && s[n] == '.':
			n++
		case isEscapeOf(s[n:], 'e'):
			n += 3
		default:
			return dots, n
		}
	}
}

// hidesDots reports whether path has a dot segment for those who take its escaped slashes for slashes, and none there for those
// who do not. Here they are data, but proxies decode them: to nginx, /admin/..%2Fx is /x.
func hidesDots[T string | []byte](path T) bool {
	begin := 0 // of the segment
	for i := range len(path) {
		if path[i] == '/' {
			begin = i + 1
		}
		if path[i] != '%' || !isEscapeOf(path[i:], 'f') {
			continue
		}
		if dots, n := leadingDots(path[begin:]); (dots == 1 || dots == 2) && begin+n == i {
			return true
		}
		behind := path[i+3:]
		if dots, n := leadingDots(behind); dots == 1 || dots == 2 {
			if n == len(behind) || behind[n] == '/' || isEscapeOf(behind[n:], 'f') {
				return true
			}
		}
	}
	return false
}

// isEscapeOf reports whether s begins with %2 and that digit, which is a small letter, in any case: with 'e' it is a dot, with
// 'f' a slash.
func isEscapeOf[T string | []byte](s T, digit byte) bool {
	return len(s) >= 3 && s[0] == '%' && s[1] == '2' && s[2]|0x20 == digit
}

// scanLong returns the key of the segment that begins at begin and has eight bytes or more, the first of which are in w,
// and whether it holds a percent sign. If it does, the key is that of its escaped form.
func scanLong(path []byte, begin int, w uint64) (k key, percent bool) {
	k.first = w
	found := equalBytes(w, percents)
	i := begin + 8
	for {
		w, n := wordAt(path, i)
		slash := equalBytes(w, slashes)
		if slash != 0 {
			n = bits.TrailingZeros64(slash) / 8
			w &= below(slash)
		}
		found |= equalBytes(w, percents)
		if i += n; n < 8 {
			break
		}
	}
	if k.size = i - begin; k.size > 8 {
		k.last = binary.LittleEndian.Uint64(path[i-8:])
	}
	return k, found != 0
}

// A word of the same byte, eight times.
const (
	ones     = 0x0101010101010101
	slashes  = ones * '/'
	percents = ones * '%'
)

// equalBytes marks the bytes in which w and eight times the same byte are equal by their highest bit. Above the first
// mark it may mark others.
func equalBytes(w, same uint64) uint64 {
	w ^= same
	return (w - ones) &^ w & (ones << 7)
}

// below covers the bytes below the first one that is marked.
func below(marks uint64) uint64 { return marks&-marks>>7 - 1 }

// wordAt returns the eight bytes from i on, and how many of them there are; the rest is zeros.
func wordAt(path []byte, i int) (w uint64, n int) {
	if i+8 <= len(path) {
		return binary.LittleEndian.Uint64(path[i:]), 8
	}
	n = len(path) - i
	if len(path) >= 8 {
		return binary.LittleEndian.Uint64(path[len(path)-8:]) >> (8 * (8 - n)), n
	}
	for j, c := range path[i:] {
		w |= uint64(c) << (8 * j)
	}
	return w, n
}

// isEscapedSlash reports whether seg decodes to a slash and nothing else, which http.ServeMux cannot tell from
// the slash at the end of a path.
func isEscapedSlash(seg []byte) bool {
	return len(seg) == 3 && isEscapeOf(seg, 'f')
}

// compareEscaped compares text with what the segment decodes to, in the order of strings.Compare.
func compareEscaped(text string, seg []byte) int {
	for i := range len(text) {
		if len(seg) == 0 {
			return +1
		}
		c, size := seg[0], 1
		if c == '%' {
			c, size = unhex(seg[1])<<4|unhex(seg[2]), 3
		}
		if text[i] != c {
			return int(text[i]) - int(c)
		}
		seg = seg[size:]
	}
	if len(seg) > 0 {
		return -1
	}
	return 0
}

// isEscaped reports whether seg holds escapes and all of them are well-formed. A segment with one that is not
// stands for itself, as it does for http.ServeMux.
func isEscaped(seg []byte) bool {
	found := false
	for i := 0; i < len(seg); i++ {
		if seg[i] != '%' {
			continue
		}
		if len(seg)-i < 3 || !isHex(seg[i+1]) || !isHex(seg[i+2]) {
			return false
		}
		found = true
	}
	return found
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
