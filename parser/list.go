package parser

// Split iterates over the parts of s between separators that stand outside of quoted strings (RFC 9110, 5.6.4), without
// the white space around them. Empty parts are among them, so that there is one part at least. Within quotes a backslash
// escapes the byte after it. A quoted string that has no end goes on to the end of s: [Unquote] finds that.
//
// It is for lists of what may be quoted, with ',', and for the parameters of a member, with ';'. The parts alias s.
func Split[S string | []byte](s S, separator byte) func(yield func(part S) bool) {
	return func(yield func(S) bool) {
		begin, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == separator && !quoted:
				if !yield(trimSpace(s[begin:i])) {
					return
				}
				begin = i + 1
			}
		}
		yield(trimSpace(s[begin:]))
	}
}

// Unquote returns what a quoted string says (RFC 9110, 5.6.4), and s itself if it is a token. Of anything else it reports
// false: an empty s, a quoted string without an end, or bytes behind the end.
func Unquote(s string) (value string, ok bool) {
	if len(s) == 0 || s[0] != '"' {
		return s, ValidFieldName(s)
	}
	var b []byte // made for the first escape
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if value = string(b); b == nil {
				value = s[1:i]
			}
			return value, i == len(s)-1
		case c == '\\':
			if b == nil {
				b = append(make([]byte, 0, len(s)), s[1:i]...)
			}
			if i++; i == len(s) {
				return "", false
			}
			b = append(b, s[i])
		case b != nil:
			b = append(b, c)
		}
	}
	return "", false
}

// trimSpace takes SP and HTAB off both ends.
func trimSpace[S string | []byte](s S) S {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}
