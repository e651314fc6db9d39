package router

// What there is to know about the bytes of a path that is still escaped (RFC 3986, sections 2.1 and 3.3):
// where its segments end, which of them are not plain text, and how their text compares without being decoded
// into memory of its own.

import (
	"encoding/binary"
	"math/bits"
)

// isClean reports whether path has no empty segment but one at its end, and none that is "." or "..".
func isClean[T string | []byte](path T) bool {
	for i := 0; i < len(path)-1; i++ {
		if path[i] == '/' && (path[i+1] == '/' || path[i+1] == '.' && isDots(path[i+2:])) {
			return false
		}
	}
	return true
}

// isDots reports whether the segment whose first byte is a dot, and what follows that is rest, is "." or "..".
func isDots[T string | []byte](rest T) bool {
	if len(rest) > 0 && rest[0] == '.' {
		rest = rest[1:]
	}
	return len(rest) == 0 || rest[0] == '/'
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
	return len(seg) == 3 && seg[0] == '%' && seg[1] == '2' && seg[2]|0x20 == 'f'
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
