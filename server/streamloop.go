package server

import (
	"time"

	"microhttp/reactor"
)

// streamBurst is what a stream on the loop may write before other connections
// get their turn.
const streamBurst = 256 << 10

// loopSink writes the content of a Stream on the loop. It never waits; the handler asks Full.
type loopSink struct {
	s       *Stream
	drained func() // OnDrain's
	burst   int    // bytes written since the loop last went round
	posted  bool   // again is on its way
	lacks   bool   // something was not taken, and the handler has not seen since that there is room
	wrote   bool   // since lookAtStream
	idles   bool   // OnPeerEnd was called: the stream may be silent on purpose
}

func (l *loopSink) admits() error {
	c := l.s.x.req.conn
	switch {
	case c.output == outputEnded:
		return c.over()
	case l.lacks:
		return ErrUnsentBound
	case c.t.Buffered() > unsentFactor*c.w.srv.conf.unsent:
		l.lacks = true
		l.s.x.res.LogMisuse("a Stream is written to though it is Full: what is written now is not sent")
		return ErrUnsentBound
	}
	return nil
}

func (l *loopSink) put(p []byte, given bool) (int, error) {
	s := l.s
	c := s.x.req.conn
	if c.output == outputEnded {
		return 0, c.over()
	}
	if s.framing.mute || len(p) == 0 {
		return len(p), nil
	}
	l.wrote = true
	s.x.res.sent += int64(len(p))
	switch {
	case len(p) >= largeBody:
		l.writeLarge(p, given)
	case given:
		l.writeShared(p)
	default:
		c.t.Commit(s.appendFramed(c.t.Room(len(p)), p))
	}
	l.burst += len(p)
	c.w.checkHeld()
	l.isFull() // which sees to it that OnDrain's function is called also when the handler has not asked
	return len(p), nil
}

// writeShared writes a small p that many connections may get in one tick, as that of a Hub. Room would take 4 KiB for each of
// them.
func (l *loopSink) writeShared(p []byte) {
	c := l.s.x.req.conn
	if l.s.framing.kind != framedChunked {
		c.t.Write(p)
		return
	}
	line := appendChunkSize(c.w.line[:0], len(p))
	c.t.Write(line)
	c.t.Write(p)
	c.t.Write(crlf)
}

// writeLarge writes p after its chunk size, without copying it.
func (l *loopSink) writeLarge(p []byte, given bool) {
	c := l.s.x.req.conn
	piece := reactor.Lent(p)
	if given {
		piece = reactor.Given(p)
	}
	if l.s.framing.kind != framedChunked {
		c.send(piece)
		return
	}
	c.t.Commit(appendChunkSize(c.t.Room(0), len(p)))
	c.send(piece, reactor.Lent(crlf))
}

func (l *loopSink) full() bool {
	full := l.isFull()
	l.lacks = l.lacks && full
	return full
}

func (l *loopSink) isFull() bool {
	c := l.s.x.req.conn
	if c.outputFull {
		return true
	}
	full := l.burst >= streamBurst || c.t.Buffered() > c.w.srv.conf.unsent // of earlier answers too
	if full && !l.posted {
		l.posted = true
		c.w.loop.CallFromThread(l.again)
	}
	return full
}

func (l *loopSink) setDeadline(time.Time) {}

func (l *loopSink) onDrain(f func()) { l.drained = f }

// again lets a stream that was full go on, after the flush of this tick. If it is the peer that does not keep up, the
// transport has said so by now, and resume will.
func (l *loopSink) again() {
	c := l.s.x.req.conn
	l.posted = false
	l.burst = 0
	if c.output != outputEnded && !c.outputFull {
		l.drain()
	}
}

func (l *loopSink) drain() {
	l.lacks = false
	if l.drained == nil || l.s.closed {
		return
	}
	x := l.s.x
	x.callBack(l.drained)
	if !l.s.closed {
		x.checkFailed()
	}
}

func (l *loopSink) pause() {}

func (l *loopSink) resume() {
	if !l.posted {
		l.drain()
	}
}

func (l *loopSink) lost(error) {}

func (l *loopSink) uncount() {}

func (l *loopSink) close(end []byte, broken bool) error {
	s := l.s
	c := s.x.req.conn
	if c.output == outputEnded {
		return c.over()
	}
	if l.lacks && !broken {
		s.breakOff(ErrUnsentBound)
		_ = s.x.handBack()
		return ErrUnsentBound
	}
	if len(end) > 0 {
		c.t.Write(end)
	}
	_ = s.x.handBack() // its loop runs: this is it
	return nil
}
