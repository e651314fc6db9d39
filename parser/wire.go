package parser

import "bytes"

// What others need to know about the grammar: which names and values may go on the wire, and how lists, cookies and
// escapes are read. These are pure functions of their arguments; any goroutine may call them.

// EqualFold reports whether s and t are equal without regard to the case of ASCII letters. Unlike strings.EqualFold it
// knows no other letters: the Kelvin sign is not a k (RFC 9110 section 5.1).
func EqualFold[S, T string | []byte](s S, t T) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range len(s) {
		if lower[s[i]] != lower[t[i]] {
			return false
		}
	}
	return true
}

// ValidFieldName reports whether s is a token (RFC 9110 section 5.6.2), which field names, methods and the members of
// many lists must be.
func ValidFieldName[S string | []byte](s S) bool {
	if n := len(s); n >= 8 && plainName(eight(s, n-8)) {
		i := 0
		for i < n-8 && plainName(eight(s, i)) {
			i += 8
		}
		if i >= n-8 {
			return true
		}
	}
	all := uint16(isToken)
	for i := range len(s) {
		all &= class[s[i]]
	}
	return all != 0 && len(s) > 0
}

// ValidFieldValue reports whether s may be sent as a field value (RFC 9110 section 5.5): no control byte but HTAB, and
// no white space at either end. It may be empty.
func ValidFieldValue[S string | []byte](s S) bool {
	i := 0
	for i <= len(s)-8 && notText(eight(s, i)) == 0 {
		i += 8
	}
	all := uint16(isValue)
	for ; i < len(s); i++ {
		all &= class[s[i]]
	}
	return all != 0 && (len(s) == 0 || !isSpace(s[0]) && !isSpace(s[len(s)-1]))
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// Unescape appends src to dst with its percent-escapes decoded (RFC 3986 section 2.1), and returns the extended slice.
// A percent sign without two hexadecimal digits is kept as it is; a target that was parsed has none. src and dst must
// not overlap, unless dst is src[:0].
func Unescape(dst, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c == '%' && i+2 < len(src) && class[src[i+1]]&class[src[i+2]]&isHex != 0 {
			c = unhex[src[i+1]]<<4 | unhex[src[i+2]]
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

// Tokens iterates over the members of a comma-separated list, without the white space around them; empty members are
// left out (RFC 9110 section 5.6.1). It is for lists of tokens: it knows nothing of quoted strings, and it does not
// check what the members hold. The members alias value.
func Tokens(value []byte) func(yield func(token []byte) bool) {
	return func(yield func([]byte) bool) {
		for begin := 0; begin <= len(value); {
			end := indexByte(value, begin, ',')
			if t := trim(value[begin:end]); len(t) > 0 && !yield(t) {
				return
			}
			begin = end + 1
		}
	}
}

// Cookies iterates over the pairs of a Cookie field's value, as RFC 6265bis section 4.2 has them: separated by
// semicolons, without the white space around name and value, the value with its quotes if it has some. A pair without
// an equals sign is a value without a name, as browsers send it; empty pairs are left out. Both alias value.
func Cookies(value []byte) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		for begin := 0; begin <= len(value); {
			end := indexByte(value, begin, ';')
			pair := trim(value[begin:end])
			begin = end + 1
			if len(pair) == 0 {
				continue
			}
			eq := indexByte(pair, 0, '=')
			name, val := pair[:0], pair
			if eq < len(pair) {
				name, val = trim(pair[:eq]), trim(pair[eq+1:])
			}
			if !yield(name, val) {
				return
			}
		}
	}
}

// indexByte returns the index of the first c in v[begin:], or len(v).
func indexByte(v []byte, begin int, c byte) int {
	if i := bytes.IndexByte(v[begin:], c); i >= 0 {
		return begin + i
	}
	return len(v)
}

// trim takes SP and HTAB off both ends.
func trim(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	return v[:trimEnd(v, 0, len(v))]
}
