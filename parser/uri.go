package parser

import "bytes"

// The authority of a request: uri-host [":" port] (RFC 9110 sections 4.2 and 7.2, RFC 3986 section 3.2). Who is meant
// by a request is decided by these few bytes, in every server and proxy on the way, so nothing is guessed: no user
// information, no second host behind a comma, a port that is one.

// maxPort is the highest number of a TCP port; what is above cannot be meant.
const maxPort = 65535

// authority checks v and returns its port, which may be empty. It goes over v once.
func authority(v []byte) (port []byte, ok bool) {
	end := runEnd(v, 0, isName)
	if end < len(v) && v[end] != ':' { // seldom
		if end == 0 && v[0] == '[' {
			end = literalEnd(v)
		} else {
			end = nameEnd(v, end)
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

// nameEnd returns where a reg-name ends whose first byte that is not of isName is v[i]. It checks its escapes: -1 if one of
// them is malformed or hides a control byte.
func nameEnd(v []byte, i int) int {
	for i < len(v) && v[i] == '%' {
		if len(v)-i < 3 {
			return -1
		}
		looked(2)
		if class[v[i+1]]&class[v[i+2]]&isHex == 0 {
			return -1
		}
		if c := unhex[v[i+1]]<<4 | unhex[v[i+2]]; c < ' ' || c == 0x7f {
			return -1
		}
		i = runEnd(v, i+3, isName)
	}
	return i
}

// literalEnd returns where the IP literal ends that begins at v[0], a bracket, or -1 if it is invalid.
func literalEnd(v []byte) int {
	if len(v) < len("[::]") {
		return -1
	}
	looked(1)
	n := 0
	if lower[v[1]] == 'v' {
		n = ipvFutureLen(v[1:])
	} else {
		n = ipv6Len(v[1:])
	}
	if n <= 0 || n+1 == len(v) || v[n+1] != ']' {
		return -1
	}
	return n + 2
}

func validPort(v []byte) bool {
	n := 0
	for _, c := range v {
		looked(1)
		if class[c]&isDigit == 0 {
			return false
		}
		if n = n*10 + int(c-'0'); n > maxPort {
			return false
		}
	}
	return true
}

// ipv6Len returns the length of the IPv6 address at the beginning of v, or -1. It follows the nine alternatives of RFC 3986
// section 3.2.2: eight groups of 16 bits, of which the last two may be spelled as an IPv4 address, and one or more of
// which may be elided by "::". No zone.
func ipv6Len(v []byte) int {
	i, groups := 0, 0
	elided := bytes.HasPrefix(v, []byte("::"))
	if elided {
		looked(1)
		i = 2
	}
	for mayEnd := elided; ; { // it may end behind the elision, but not behind another colon
		n := runEnd(v, i, isHex) - i
		switch {
		case n > 4:
			return -1
		case n == 0 && mayEnd:
			return wholeIPv6(i, groups, elided)
		case n == 0:
			if i == 0 || i == len(v) || v[i] != ':' || elided {
				return -1
			}
			elided, mayEnd = true, true
			i++
			continue
		case i+n < len(v) && v[i+n] == '.':
			if n = ipv4Len(v[i:]); n < 0 {
				return -1
			}
			return wholeIPv6(i+n, groups+2, elided)
		}
		groups++
		if i += n; i == len(v) || v[i] != ':' {
			return wholeIPv6(i, groups, elided)
		}
		mayEnd = false
		i++
	}
}

// wholeIPv6 returns length if that many groups make an address, or -1.
func wholeIPv6(length, groups int, elided bool) int {
	if groups == 8 && !elided || groups < 8 && elided {
		return length
	}
	return -1
}

// ipv4Len returns the length of the IPv4 address at the beginning of v, or -1: four numbers of at most 255, without
// leading zeros.
func ipv4Len(v []byte) int {
	i := 0
	for parts := 1; ; parts++ {
		n, value := 0, 0
		for n < 3 && i+n < len(v) && class[v[i+n]]&isDigit != 0 {
			value = value*10 + int(v[i+n]-'0')
			n++
		}
		looked(n + 1)
		if n == 0 || value > 255 || n > 1 && v[i] == '0' {
			return -1
		}
		i += n
		if parts == 4 {
			return i
		}
		if i == len(v) || v[i] != '.' {
			return -1
		}
		i++
	}
}

// ipvFutureLen returns the length of the future literal at the beginning of v, or -1: "v" version "." address.
func ipvFutureLen(v []byte) int {
	point := runEnd(v, 1, isHex)
	if point == 1 || point == len(v) || v[point] != '.' {
		return -1
	}
	i := point + 1
	for i < len(v) && (class[v[i]]&isName != 0 || v[i] == ':') {
		i++
	}
	looked(min(i+1, len(v)) - point - 1)
	if i == point+1 {
		return -1
	}
	return i
}
