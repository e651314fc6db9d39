package server

import "net/netip"

// What a proxy in front says of a request. The server believes no field by itself: middleware that knows which proxies
// to trust, such as middleware.ClientAddress, stores here what they say.

// Forwarded is what a trusted proxy says of a request (RFC 7239). A zero field is not known.
type Forwarded struct {
	For   netip.Addr // the client
	Proto string     // the scheme that the client used: "http" or "https"
	Host  string     // the host that the client asked for, with its port if it has one
}

// SetForwarded stores what a trusted proxy says of r, in place of what was stored before. It is for the goroutine that r
// belongs to, and costs no allocation.
func (r *Request) SetForwarded(f Forwarded) {
	r.lent()
	r.forwarded, r.isForwarded = f, true
}

// Forwarded returns what SetForwarded stored, or the zero Forwarded.
func (r *Request) Forwarded() Forwarded {
	r.lent()
	return r.forwarded
}

// ClientAddr returns the address of the client: the one that a trusted proxy has reported, see SetForwarded, else the
// address of the connection's peer. It is the zero Addr for the peer of a Unix socket. It may be called from the
// goroutine that r belongs to, up to OnDone.
func (r *Request) ClientAddr() netip.Addr {
	r.lent()
	if r.forwarded.For.IsValid() {
		return r.forwarded.For
	}
	return r.conn.t.Info().RemoteAddr().Addr()
}
