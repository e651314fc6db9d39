package server

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"microhttp/reactor"
)

// Who is let in. Connections are counted when they are made and when they are lost, over
// all loops. One that is too many gets a short answer from a protocol that does nothing
// else; these have a bound of their own, beyond which nobody is answered, so that turning
// a flood away costs little more than accepting it.

const (
	// maxTurnedAway bounds, for each loop, the connections that are being turned away
	// with an answer.
	maxTurnedAway = 128
	// turnAwayTime and turnAwayBytes bound how long such a connection stays, so that the
	// request which the peer has sent meanwhile does not have the answer reset.
	turnAwayTime  = time.Second
	turnAwayBytes = 64 << 10
)

// doors counts connections.
type doors struct {
	most      int64 // 0 is no bound
	mostOfOne int   // 0 is no bound
	open      atomic.Int64

	mu   sync.Mutex
	from map[netip.Addr]int // those that are open, if mostOfOne bounds them
}

// The reasons to turn a connection away.
const (
	tooMany      = "too many connections"
	tooManyOfOne = "too many connections from one address"
)

// enter counts a connection in, or says why it must not come in.
func (d *doors) enter(addr netip.Addr) (refusal string) {
	if n := d.open.Add(1); d.most > 0 && n > d.most {
		d.open.Add(-1)
		return tooMany
	}
	if refusal = d.enterFrom(addr); refusal != "" {
		d.open.Add(-1)
	}
	return refusal
}

// enterFrom counts a connection that has come in without an address for one.
func (d *doors) enterFrom(addr netip.Addr) (refusal string) {
	if d.mostOfOne <= 0 || !addr.IsValid() {
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := origin(addr)
	if d.from[key] >= d.mostOfOne {
		return tooManyOfOne
	}
	if d.from == nil {
		d.from = make(map[netip.Addr]int)
	}
	d.from[key]++
	return ""
}

// leave counts a connection out. The table holds only whom a connection is open of.
func (d *doors) leave(addr netip.Addr) {
	d.open.Add(-1)
	if d.mostOfOne <= 0 || !addr.IsValid() { // a Unix socket has none
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := origin(addr)
	if d.from[key]--; d.from[key] <= 0 {
		delete(d.from, key)
	}
	if len(d.from) == 0 {
		d.from = nil // a map does not shrink
	}
}

// origin is whom an address counts for. Whoever has one IPv6 address has the /64 around
// it (RFC 6177).
func origin(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap(); addr.Is4() {
		return addr
	}
	return netip.PrefixFrom(addr.WithZone(""), 64).Masked().Addr()
}

// BuildProtocol makes the protocol of a new connection.
func (w *worker) BuildProtocol(remote netip.AddrPort) reactor.Protocol {
	if refusal := w.srv.doors.enter(remote.Addr()); refusal != "" {
		return w.turnAway(remote, refusal)
	}
	return w.newConn()
}

// newConn makes the protocol of a connection that was let in.
func (w *worker) newConn() *conn {
	c := &conn{w: w, id: w.srv.accepted.Add(1)}
	c.p.Limits = &w.srv.limits
	return c
}

// turnAway refuses a connection. nil means that it gets no answer, since too many others get one.
func (w *worker) turnAway(remote netip.AddrPort, refusal string) reactor.Protocol {
	w.logTurnAway(remote, refusal)
	if w.turned == maxTurnedAway {
		return nil
	}
	w.turned++
	return &turnedAway{w: w}
}

// logTurnAway counts and logs a connection that is not let in. That the server is full is logged once a second, with the
// number of connections that were refused.
func (w *worker) logTurnAway(remote netip.AddrPort, refusal string) {
	w.srv.ended[ErrTooManyConns].Add(1)
	if refusal != tooMany {
		w.logTurnedAway(remoteName(remote), refusal)
	} else if w.srv.mayLog(slog.LevelWarn, connectionRefused, refusal, 1) {
		w.srv.log.Line(slog.LevelWarn).Int("status", 503).Str("reason", ErrTooManyConns.Name()).Int64("max", w.srv.doors.most).
			Msg(connectionRefused + refusal)
	}
}

// turnedAway is the protocol of a connection that is not let in.
type turnedAway struct {
	w   *worker
	t   reactor.Transport
	got int
}

// ConnectionMade implements reactor.Protocol. The answer has no body, since the request
// may turn out to be a HEAD.
func (c *turnedAway) ConnectionMade(t reactor.Transport) {
	c.t = t
	b := c.w.appendStart(t.Room(0), 503, false)
	t.Commit(append(b, "Retry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"...))
	t.CloseWrite()
	t.SetTimeout(turnAwayTime)
}

// DataReceived implements reactor.Protocol.
func (c *turnedAway) DataReceived(p []byte) {
	if c.got += len(p); c.got > turnAwayBytes {
		c.t.LoseConnection()
	}
}

// TimeoutConnection implements reactor.TimeoutHandler.
func (c *turnedAway) TimeoutConnection() { c.t.LoseConnection() }

// ConnectionLost implements reactor.Protocol.
func (c *turnedAway) ConnectionLost(error) { c.w.turned-- }
