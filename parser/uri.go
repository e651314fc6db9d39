package parser

import "bytes"

// The authority of a request: uri-host [":" port] (RFC 9110 sections 4.2 and 7.2, RFC 3986 section 3.2). Who is meant
// by a request is decided by these few bytes, in every server and proxy on the way, so nothing is guessed: no user
// information, no second host behind a comma, a port that is one.

// maxPort is the highest number of a TCP port; what is above cannot be meant.
const maxPort = 65535

// authority checks v and returns its port, which may be empty.
func authority(v []byte) (port []byte, ok bool) {
	end := runEnd(v, 0, isName)
	if end < len(v) && v[end] != ':' { // seldom
		if end == 0 && v[0] == '[' {
			end = literalEnd(v)
		} else {
			end = nameEnd(v)
		}
	}
	switch {
	case end <= 0:
		return nil, false
	case end == len(v):
		return nil, true
	case v[end] != ':':
		return nil, false
	}
	port = v[end+1:]
	return port, validPort(port)
}

// nameEnd returns where the reg-name at the beginning of v ends, whose escapes it checks: -1 if one of them is
// malformed or hides a control byte.
func nameEnd(v []byte) int {
	for i := 0; ; {
		i = runEnd(v, i, isName)
		switch {
		case i == len(v) || v[i] != '%':
			return i
		case len(v)-i < 3 || class[v[i+1]]&class[v[i+2]]&isHex == 0:
			return -1
		default:
			if c := unhex[v[i+1]]<<4 | unhex[v[i+2]]; c < ' ' || c == 0x7f {
				return -1
			}
			i += 3
		}
	}
}

// literalEnd returns where the IP literal at the beginning of v ends, or -1 if it is invalid.
func literalEnd(v []byte) int {
	end := bytes.IndexByte(v, ']')
	if end < 0 || !validIPv6(v[1:end]) && !validIPvFuture(v[1:end]) {
		return -1
	}
	return end + 1
}

func validPort(v []byte) bool {
	n := 0
	for _, c := range v {
		if class[c]&isDigit == 0 {
			return false
		}
		if n = n*10 + int(c-'0'); n > maxPort {
			return false
		}
	}
	return true
}

// validIPv6 follows the nine alternatives of RFC 3986 section 3.2.2: eight groups of 16 bits, of which the last two may
// be spelled as an IPv4 address, and one or more of which may be elided by "::". No zone.
func validIPv6(v []byte) bool {
	groups, elided := 0, bytes.HasPrefix(v, []byte("::"))
	if elided {
		v = v[2:]
	}
	for len(v) > 0 {
		n := runEnd(v, 0, isHex)
		if n < len(v) && v[n] == '.' {
			groups += 2
			if !validIPv4(v) {
				return false
			}
			break
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		if v = v[n:]; len(v) == 0 {
			break
		}
		if v[0] != ':' || len(v) == 1 {
			return false
		}
		if v = v[1:]; v[0] == ':' {
			if elided {
				return false
			}
			elided = true
			v = v[1:]
		}
	}
	return groups == 8 && !elided || groups < 8 && elided
}

// validIPv4: four numbers of at most 255, without leading zeros.
func validIPv4(v []byte) bool {
	for parts := 1; ; parts++ {
		n, value := 0, 0
		for n < len(v) && n < 3 && class[v[n]]&isDigit != 0 {
			value = value*10 + int(v[n]-'0')
			n++
		}
		switch {
		case n == 0 || value > 255 || n > 1 && v[0] == '0':
			return false
		case n == len(v):
			return parts == 4
		case v[n] != '.':
			return false
		}
		v = v[n+1:]
	}
}

// validIPvFuture: "v" version "." address.
func validIPvFuture(v []byte) bool {
	version, address, ok := bytes.Cut(v, []byte("."))
	if !ok || len(version) < 2 || lower[version[0]] != 'v' || len(address) == 0 {
		return false
	}
	for _, c := range version[1:] {
		if class[c]&isHex == 0 {
			return false
		}
	}
	for _, c := range address {
		if class[c]&isName == 0 && c != ':' {
			return false
		}
	}
	return true
}
