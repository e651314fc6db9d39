package middleware

// Behind a proxy the peer of the connection is the proxy. What it says of the client is believed only if the proxy is
// trusted, and only up to the first hop that is not: all that stands to the left of that may be invented.

import (
	"net/netip"
	"strings"

	"microhttp/server"
)

// ClientAddressConfig says which proxies [ClientAddress] believes.
type ClientAddressConfig struct {
	// Trusted are the networks of the proxies. Without one no field is believed.
	Trusted []netip.Prefix
	// TrustUnix believes the peers of Unix sockets too. They have no address.
	TrustUnix bool
	// UseForwarded reads the field Forwarded (RFC 7239). The default is to read X-Forwarded-For, X-Forwarded-Proto and
	// X-Forwarded-Host. It is one or the other: a proxy that sets one kind passes the other kind on as the client sent it.
	UseForwarded bool
}

// ClientAddress finds the client of requests that come through trusted proxies, and stores it with
// [server.Request.SetForwarded]. Request.ClientAddr, the access log and the rate limit then use it.
//
//   - The client is the rightmost hop that is not trusted. If all are trusted, it is the leftmost.
//   - A hop that is no address, such as "unknown", ends the search: the client is then the proxy before it.
//   - The scheme and the host are those that stand for the same hop. If they are fewer than the hops, the rightmost count.
//   - Fields of peers that are not trusted are ignored. So is a Forwarded that is malformed.
//
// ClientAddress goes outside of whatever asks for the client. It costs no allocation for peers that are not trusted.
func ClientAddress(config ClientAddressConfig) server.Middleware {
	p := proxies{trustUnix: config.TrustUnix, forwarded: config.UseForwarded}
	for _, prefix := range config.Trusted {
		if !prefix.IsValid() {
			panic("middleware: an invalid prefix for ClientAddress")
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if p.believes(r.RemoteAddr().Addr()) {
			p.read(r)
		}
		next.Serve(w, r)
	})
}

// ParsePrefixes reads networks as "10.0.0.0/8" and addresses as "::1", for [ClientAddressConfig]. The error is that of
// package netip.
func ParsePrefixes(texts ...string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		all = append(all, prefix)
	}
	return all, nil
}

// publicHost is the host that the client asked for.
func publicHost(r *server.Request) string {
	if host := r.Forwarded().Host; host != "" {
		return host
	}
	return r.Host()
}

type proxies struct {
	trusted              []netip.Prefix
	trustUnix, forwarded bool
}

// believes reports whether a peer is a trusted proxy.
func (p *proxies) believes(peer netip.Addr) bool {
	if !peer.IsValid() {
		return p.trustUnix
	}
	return p.trusts(peer)
}

func (p *proxies) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, prefix := range p.trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// hop is what one proxy has added.
type hop struct{ addr, proto, host string }

func (p *proxies) read(r *server.Request) {
	hops := xForwarded(r)
	if p.forwarded {
		hops = parseForwarded(fieldsOf(r, "Forwarded"))
	}
	var f server.Forwarded
	for i := len(hops) - 1; i >= 0; i-- {
		addr, ok := hopAddr(hops[i].addr)
		if !ok {
			break
		}
		f.For = addr
		f.Proto, f.Host = validProto(hops[i].proto), validHost(hops[i].host)
		if !p.trusts(addr) {
			break
		}
	}
	if len(hops) > 0 && !f.For.IsValid() { // the address is hidden, the rest is not
		last := hops[len(hops)-1]
		f.Proto, f.Host = validProto(last.proto), validHost(last.host)
	}
	if f != (server.Forwarded{}) {
		r.SetForwarded(f)
	}
}

// xForwarded reads the fields that begin with X-Forwarded.
func xForwarded(r *server.Request) []hop {
	addrs := listOf(fieldsOf(r, "X-Forwarded-For"))
	protos, hosts := listOf(fieldsOf(r, "X-Forwarded-Proto")), listOf(fieldsOf(r, "X-Forwarded-Host"))
	if len(addrs) == 0 && len(protos)+len(hosts) > 0 {
		addrs = []string{""}
	}
	hops := make([]hop, len(addrs))
	for i := range hops {
		hops[i] = hop{addrs[i], sameHop(protos, i, len(addrs)), sameHop(hosts, i, len(addrs))}
	}
	return hops
}

// sameHop is the value for hop i of n: the rightmost if there is not one for each.
func sameHop(values []string, i, n int) string {
	switch {
	case len(values) == n:
		return values[i]
	case len(values) > 0:
		return values[len(values)-1]
	}
	return ""
}

// fieldsOf joins the lines of a field (RFC 9110, 5.3).
func fieldsOf(r *server.Request, name string) string {
	if r.PeekHeader(name) == nil {
		return ""
	}
	var lines []string
	for field, value := range r.Headers() {
		if strings.EqualFold(field, name) {
			lines = append(lines, value)
		}
	}
	return strings.Join(lines, ",")
}

// listOf is the members of a list without quoted strings.
func listOf(value string) []string {
	if value == "" {
		return nil
	}
	all := strings.Split(value, ",")
	for i := range all {
		all[i] = strings.Trim(all[i], " \t")
	}
	return all
}

// hopAddr reads an address with or without a port, and an IPv6 address with or without brackets.
func hopAddr(text string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func validProto(proto string) string {
	switch proto = strings.ToLower(proto); proto {
	case "http", "https":
		return proto
	}
	return ""
}

// validHost is host if it consists of what a host and a port may (RFC 3986, 3.2.2), or "".
func validHost(host string) string {
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"#/<>?@\^{|}`+"`", c) >= 0 {
			return ""
		}
	}
	return host
}

// parseForwarded reads a Forwarded field (RFC 7239, 4): elements between commas, pairs between semicolons, values that are
// tokens or quoted strings. It returns nil for one that is malformed.
func parseForwarded(s string) (hops []hop) {
	if s == "" {
		return nil
	}
	var h hop
	for {
		s = strings.TrimLeft(s, " \t")
		if s != "" && s[0] != ',' && s[0] != ';' {
			name, rest, ok := strings.Cut(s, "=")
			if !ok {
				return nil
			}
			value, rest, ok := tokenOrQuoted(rest)
			if !ok {
				return nil
			}
			switch strings.ToLower(name) {
			case "for":
				h.addr = value
			case "proto":
				h.proto = value
			case "host":
				h.host = value
			}
			s = strings.TrimLeft(rest, " \t")
		}
		switch {
		case s == "":
			return append(hops, h)
		case s[0] == ',':
			hops, h = append(hops, h), hop{}
		case s[0] != ';':
			return nil
		}
		s = s[1:]
	}
}

// tokenOrQuoted reads a value from the beginning of s.
func tokenOrQuoted(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, ",; \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && !strings.Contains(s[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
