package server

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/proxyproto"
)

// What comes before HTTP. A connection may begin with a header of the PROXY protocol, and then with a TLS handshake, as
// its listener says. Until both are over it is a newcomer: it is counted by MaxConns and MaxConnsPerAddr, and Shutdown and
// Close know it, but it has no conn yet.
//
//	accepted ──▶ header ──▶ handshake ──▶ conn
//
// A connection of a plain listener is never a newcomer.

// A listener is how the connections of one address begin.
type listener struct {
	proxies []netip.Prefix // whose connections begin with a header of the PROXY protocol
	proxied bool           // all connections do; those from elsewhere are refused

	// handshake makes the protocol of a TLS handshake; nil is no TLS. WithTLS alone sets it, so a program that never listens
	// with TLS does not link the code behind it.
	handshake func(n *newcomer) reactor.Protocol
}

// entrance is the factory of one listener on one loop.
type entrance struct {
	w *worker
	l *listener
}

// BuildProtocol implements reactor.Factory.
func (e entrance) BuildProtocol(remote netip.AddrPort) reactor.Protocol {
	w, n := e.w, &newcomer{w: e.w, l: e.l}
	if e.l.proxied {
		if !e.l.trusts(remote.Addr()) {
			w.refuseProxied(remote, errStranger)
			return nil
		}
	} else {
		n.counted = remote.Addr()
	}
	if refusal := w.srv.doors.enter(n.counted); refusal != "" {
		w.logTurnAway(remote, refusal)
		return nil // what is readable before a handshake or a header says nothing to the peer
	}
	n.prev, n.next = w.newcomers.prev, &w.newcomers
	n.prev.next, n.next.prev = n, n
	return n
}

// trusts reports whether addr may send a header. The peer of a Unix socket has no address. Who may open the socket may
// connect, and is trusted.
func (l *listener) trusts(addr netip.Addr) bool {
	return !addr.IsValid() || slices.ContainsFunc(l.proxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// newcomer is a connection that is not served yet. It is the protocol while it waits for a header.
type newcomer struct {
	w       *worker
	l       *listener
	t       reactor.Transport // of the socket
	counted netip.Addr        // the address that doors counts it for
	header  []byte            // what has come of the header
	refused bool
	prev    *newcomer // in the worker's ring
	next    *newcomer
}

// proxyHeaderTime is the time for a whole header of the PROXY protocol, from the beginning of the connection.
const proxyHeaderTime = 5 * time.Second

// ConnectionMade implements reactor.Protocol.
func (n *newcomer) ConnectionMade(t reactor.Transport) {
	n.t = t
	if n.l.proxied {
		t.SetTimeout(proxyHeaderTime)
		return
	}
	n.proceed(nil)
}

// DataReceived implements reactor.Protocol: it is of the header.
func (n *newcomer) DataReceived(p []byte) {
	before := len(n.header)
	n.header = append(n.header, p[:min(len(p), proxyproto.MaxV2-before)]...)
	h, size, err := proxyproto.Parse(n.header)
	switch {
	case err != nil:
		n.refuse(err)
	case size > 0:
		n.t.SetTimeout(0)
		n.header = nil
		if n.name(h) {
			n.proceed(p[size-before:])
		}
	}
}

// name makes the client that a header names the peer of the connection, and counts it. It reports whether the connection
// may go on.
func (n *newcomer) name(h proxyproto.Header) bool {
	if h.Source.IsValid() {
		_ = n.t.Info().Socket().SetRemoteAddr(h.Source) // a connection that is lost needs no name
	}
	remote := n.t.Info().RemoteAddr()
	refusal := n.w.srv.doors.enterFrom(remote.Addr())
	if refusal == "" {
		n.counted = remote.Addr()
		return true
	}
	if n.l.handshake != nil {
		n.w.logTurnAway(remote, refusal)
	} else if p := n.w.turnAway(remote, refusal); p != nil {
		n.leave()
		n.t.SetProtocol(p, nil)
		return false
	}
	n.refused = true
	n.t.LoseConnection()
	return false
}

// proceed goes on to what comes next, with what was received and belongs to it.
func (n *newcomer) proceed(unread []byte) {
	if n.l.handshake != nil {
		n.t.SetProtocol(n.l.handshake(n), unread)
		return
	}
	n.t.SetProtocol(n.settle(), unread)
}

// settle makes the conn of the newcomer, which takes over its place among those that are counted.
func (n *newcomer) settle() *conn {
	n.forget()
	return n.w.newConn()
}

// refuse ends a connection whose header is not what it should be.
func (n *newcomer) refuse(why error) {
	n.refused = true
	n.w.refuseProxied(n.t.Info().RemoteAddr(), why)
	n.t.LoseConnection()
}

// TimeoutConnection implements reactor.TimeoutHandler.
func (n *newcomer) TimeoutConnection() { n.refuse(errLateHeader) }

var (
	errLateHeader = errors.New("the header was not whole in time")
	errNoHeader   = errors.New("the connection ended before the header was whole")
	errStranger   = errors.New("its address is not one of those that may send a header")
)

// ConnectionLost implements reactor.Protocol: the header never became whole, or was refused.
func (n *newcomer) ConnectionLost(error) {
	if !n.refused && !n.w.closing {
		n.w.refuseProxied(n.t.Info().RemoteAddr(), errNoHeader)
	}
	n.leave()
}

// leave counts the newcomer out.
func (n *newcomer) leave() {
	n.forget()
	n.w.srv.doors.leave(n.counted)
	n.w.checkDrained()
}

// forget takes the newcomer out of the ring.
func (n *newcomer) forget() {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
}

// refuseProxied counts and logs a connection that began without a right header of the PROXY protocol.
func (w *worker) refuseProxied(remote netip.AddrPort, why error) {
	s := w.srv
	defer s.ended[ErrProxyHeader].Add(1) // after the line, which a test that waits for the count looks for
	if s.mayLog(slog.LevelInfo, connectionRefused, proxyHeader, linesPerWindow) {
		s.log.Line(slog.LevelInfo).Str("reason", ErrProxyHeader.Name()).Str("remote", remoteName(remote)).Str("cause", why.Error()).
			Msg(connectionRefused + proxyHeader)
	}
}

const proxyHeader = "it did not begin with a header of the PROXY protocol from a trusted address"

// hurryNewcomers ends those that are no connections of HTTP when the grace of idle ones is over. Shutdown waits for them.
func (w *worker) hurryNewcomers() {
	if w.newcomers.next != &w.newcomers {
		w.loop.CallLater(w.srv.conf.idleGrace, w.abortNewcomers)
	}
}

func (w *worker) abortNewcomers() {
	for n := w.newcomers.next; n != &w.newcomers; n = n.next {
		n.t.AbortConnection()
	}
}
