package sim

// Streams. What one end writes is under way to the other in segments, each of which arrives at its time and never
// before those in front of it. An end has room for so many bytes, under way or unread, and its peer cannot write more.
// An end of the bytes, and a reset, travel as segments do.

import (
	"syscall"
	"time"
)

type segment struct {
	at   time.Duration
	kind segmentKind
	data []byte
}

type segmentKind uint8

const (
	data segmentKind = iota
	fin              // nothing follows
	rst              // nothing moves any more
)

// largestSegment is the most that travels in one piece, so that a large write does not always arrive at once.
const largestSegment = 16 << 10

// pair makes one connection of two ends.
func (w *World) pair(a, b *socket) {
	latency := w.upTo(w.c.Latency)
	if w.rng.IntN(2) == 0 {
		latency /= 100 // half of the peers are near
	}
	for _, s := range [...]*socket{a, b} {
		s.latency = latency
		s.room = w.c.MinBuffer + w.rng.IntN(w.c.MaxBuffer-w.c.MinBuffer+1)
		if w.rng.IntN(2) == 0 && !w.unlimited() {
			s.room = w.c.MinBuffer + (s.room-w.c.MinBuffer)/16
		}
	}
	a.peer, b.peer = b, a
	if w.c.SendBuffer > 0 {
		a.outRoom, b.outRoom = w.rng.IntN(w.c.SendBuffer+1), w.rng.IntN(w.c.SendBuffer+1)
	}
}

// unlimited reports whether all buffers are of one size.
func (w *World) unlimited() bool { return w.c.MinBuffer == w.c.MaxBuffer }

// space is how much the peer of s has room for now.
func (s *socket) space() int {
	if s.peer.closedDown {
		return 0
	}
	return s.peer.room - s.peer.flying - len(s.peer.in)
}

// lump is how much must be free until a window that was closed opens.
const lump = 4

// pump sends what waits for room at the peer.
func (s *socket) pump() {
	to := s.peer
	if s.outRoom == 0 {
		return
	}
	free := to.room - to.flying - len(to.in)
	to.closedDown = to.closedDown && free < to.room/lump || free == 0
	for n := min(len(s.out), s.space()); n > 0; n = min(len(s.out), s.space()) {
		s.send(s.out[:n:n])
		if s.out = s.out[n:]; len(s.out) == 0 {
			s.out = nil
		}
		to.closedDown = s.space() == 0
	}
	if s.shutAfter && len(s.out) == 0 {
		s.shutAfter = false
		s.dispatch(segment{kind: fin})
	}
}

// unacknowledged is how much s has written that has not arrived.
func (s *socket) unacknowledged() int { return len(s.out) + s.peer.flying }

// read is read(2) without its faults.
func (s *socket) read(p []byte) (int, syscall.Errno) {
	switch {
	case len(s.in) > 0:
	case s.fin:
		return 0, 0
	case s.err != 0:
		return 0, s.take()
	case s.broken:
		return 0, 0
	default:
		return 0, syscall.EAGAIN
	}
	n := min(len(s.in), len(p))
	if n > 1 && s.w.chance(s.w.c.Split) {
		n = 1 + s.w.rng.IntN(n)
	}
	copy(p, s.in[:n])
	if s.in = s.in[n:]; len(s.in) == 0 {
		s.in = nil
	}
	s.peer.pump()
	return n, 0
}

// write is write(2) without its faults, of n bytes at the most; they are given in pieces.
func (s *socket) write(pieces [][]byte, n int) (int, syscall.Errno) {
	switch {
	case s.err != 0:
		return 0, s.take()
	case s.broken || s.shut:
		return 0, syscall.EPIPE
	case s.connecting:
		return 0, syscall.EAGAIN
	}
	n = min(n, s.space()+s.outRoom-len(s.out))
	if n <= 0 {
		return 0, syscall.EAGAIN
	}
	if n > 1 && s.w.chance(s.w.c.Partial) {
		n = 1 + s.w.rng.IntN(n)
	}
	b := make([]byte, 0, n)
	for _, p := range pieces {
		b = append(b, p[:min(len(p), n-len(b))]...)
	}
	if s.outRoom == 0 {
		s.send(b)
	} else {
		s.out = append(s.out, b...)
		s.pump()
	}
	if s.w.chance(s.w.c.Reset) {
		s.w.note("", "the connection is reset under way, fd", s.fd, 0, 0, 0)
		s.reset()
		s.peer.reset()
	}
	return n, 0
}

// send puts bytes under way.
func (s *socket) send(b []byte) {
	for len(b) > 0 {
		n := min(len(b), largestSegment)
		if n > 1 && s.w.chance(s.w.c.Split) {
			n = 1 + s.w.rng.IntN(n)
		}
		s.dispatch(segment{kind: data, data: b[:n:n]})
		b = b[n:]
	}
}

// dispatch puts a segment under way to the peer.
func (s *socket) dispatch(g segment) {
	to := s.peer
	g.at = max(to.lastAt, s.w.now+s.w.upTo(s.latency))
	to.lastAt = g.at
	to.flight = append(to.flight, g)
	to.flying += len(g.data)
	s.w.schedule(event{at: g.at, to: to})
}

// arrive takes what has come.
func (s *socket) arrive() {
	for len(s.flight) > 0 && s.flight[0].at <= s.w.now {
		g := s.flight[0]
		s.flight[0] = segment{}
		s.flight = s.flight[1:]
		s.flying -= len(g.data)
		switch {
		case g.kind == rst:
			s.wasReset()
		case s.broken:
		case s.closed && g.kind == data: // no peer is there to read it
			s.broken = true
			s.reset()
		case s.closed:
		case g.kind == fin:
			s.fin = true
		default:
			s.in = append(s.in, g.data...)
		}
	}
	if len(s.flight) == 0 {
		s.flight = nil
	}
}

// wasReset ends a connection whose peer says so. Some systems let go of what had arrived.
func (s *socket) wasReset() {
	if s.broken || s.closed {
		s.broken = true
		return
	}
	s.broken = true
	s.err = syscall.ECONNRESET
	switch {
	case len(s.in) > 0 && s.w.rng.IntN(2) == 0:
		s.in, s.fin = nil, false // and then the end does not show either
	case s.fin:
		s.err = syscall.EPIPE
	}
}

// reset sends a reset. What is under way may be lost, from some byte on.
func (s *socket) reset() {
	to := s.peer
	if to == nil || to.broken {
		return
	}
	s.out, s.shutAfter = nil, false
	if n := len(to.flight); n > 0 {
		keep := s.w.rng.IntN(n + 1)
		for _, g := range to.flight[keep:] {
			to.flying -= len(g.data)
		}
		clear(to.flight[keep:])
		to.flight = to.flight[:keep]
	}
	s.dispatch(segment{kind: rst})
}

// finish sends the end, behind all that was written.
func (s *socket) finish() {
	if len(s.out) > 0 {
		s.shutAfter = true
		return
	}
	s.dispatch(segment{kind: fin})
}

// shutdown ends what s writes.
func (s *socket) shutdown() syscall.Errno {
	switch {
	case s.connecting || s.broken:
		return syscall.ENOTCONN
	case !s.shut:
		s.shut = true
		s.finish()
	}
	return 0
}

// end is close(2) of a stream. What is unread is lost, which the kernel tells the peer by a reset.
func (s *socket) end() {
	switch {
	case s.peer == nil || s.broken:
	case s.linger || len(s.in) > 0:
		s.reset()
		s.broken = true
	case !s.shut:
		s.shut = true
		s.finish()
	}
	s.in = nil
}
