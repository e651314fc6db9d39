package router

// Hosts, as patterns and requests have them. Patterns name a host without a port, and match it whatever the port of the request.
// Two spellings of a host are one host: case means nothing (RFC 9110, section 4.2.3), a dot at the end only says that the name is
// whole, and an IPv6 address, which stands in brackets, may be written in many ways (RFC 5952).

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// host returns the routes for that host alone, which is one that hostOf gave, or nil. Most clients write hosts as canonicalHost
// does.
func (t *tree) host(host []byte) *root {
	r := t.hosts[string(host)]
	if r == nil && !isCanonical(host) {
		r = t.hosts[canonicalHost(string(host))]
	}
	return r
}

// isCanonical reports whether canonicalHost surely returns host as it is.
func isCanonical(host []byte) bool {
	for i, c := range host {
		if 'A' <= c && c <= 'Z' || c == '[' || c == '.' && i == len(host)-1 {
			return false
		}
	}
	return true
}

// canonicalHost writes a host without a port in the one way that trees know it by.
func canonicalHost(host string) string {
	host = lowerHost(host)
	if literal, ok := strings.CutPrefix(host, "["); ok {
		if ip, err := netip.ParseAddr(strings.TrimSuffix(literal, "]")); err == nil && ip.Is6() {
			return "[" + ip.String() + "]"
		}
		return host
	}
	if whole, ok := strings.CutSuffix(host, "."); ok && whole != "" {
		return whole
	}
	return host
}

// lowerHost is host in lower case, of ASCII alone.
func lowerHost(host string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, host)
}

// patternHost returns the canonical form of the host of a pattern. If no request can have it, the error says what to write.
func patternHost(host string) (string, error) {
	name := string(stripPort([]byte(host)))
	if _, err := netip.ParseAddr(host); err == nil && strings.Contains(host, ":") {
		name = "[" + host + "]"
	}
	if name != host {
		return "", fmt.Errorf("%w: write %q for %q", errHost, name, host)
	}
	if strings.Contains(host, ":") && (host[0] != '[' || host[len(host)-1] != ']') {
		return "", fmt.Errorf("%w, and %q is none", errHost, host)
	}
	return canonicalHost(host), nil
}

// hostOf returns the host that patterns are compared with: that of the request without its port. CONNECT keeps it, since its
// target is a host and a port.
func hostOf(method string, host []byte) []byte {
	if method == "CONNECT" {
		return host
	}
	return stripPort(host)
}

// stripPort takes the port off a host that has one. Brackets stay.
func stripPort(host []byte) []byte {
	colon := bytes.LastIndexByte(host, ':')
	if colon < 0 || bytes.IndexByte(host[colon:], ']') >= 0 {
		return host
	}
	name := host[:colon]
	if bytes.IndexByte(name, ':') >= 0 && name[len(name)-1] != ']' {
		return host // neither a name nor in brackets
	}
	return name
}
