package server

import (
	"runtime/debug"

	"microhttp/parser"
)

// The end of a peer, as an open Stream sees it. A peer that has half-closed may still read, and what is written is still sent
// to it (RFC 9112, 9.6). But most peers that half-close are gone: the system of a client that has ended says no more than that
// until something is sent to it. An event stream may have nothing to send for hours. So it learns of the half-close, and
// decides.

// OnPeerEnd sets a function that is called once when the peer has ended: it has half-closed, or the connection is lost,
// whichever comes first. It is not called after Close. A peer that has half-closed can still read: the stream stays open, and
// what is written is sent. A handler that streams to whoever listens does best to unsubscribe and to Close in it.
//
// The function is called on the loop, also for a Stream of a Blocking handler, which goes on meanwhile. If the peer has ended
// already it is called soon. A second call of OnPeerEnd replaces the first; nil removes it.
//
// A Stream on the loop that has such a function is taken for one that may be idle for as long as it likes: see
// Server.PendingTimeout.
func (s *Stream) OnPeerEnd(f func()) {
	x := s.x
	l, onLoop := s.sink.(*loopSink)
	if !onLoop {
		x.req.conn.w.loop.CallFromThread(func() { x.watchPeer(f) })
		return
	}
	l.idles = f != nil
	if !s.closed {
		x.watchPeer(f)
	}
}

// watchPeer notes who learns of the end of the peer. Loop only.
func (x *exchange) watchPeer(f func()) {
	c := x.req.conn
	if x.finished && c.output != outputEnded {
		return // the answer is complete
	}
	x.onPeerEnd = f
	if f != nil && (c.eof || c.output == outputEnded) {
		c.w.loop.CallFromThread(x.peerEnded) // not within OnPeerEnd: the caller may hold a lock that f takes
	}
}

// peerEnded calls the function of OnPeerEnd, if there is one.
func (x *exchange) peerEnded() {
	f := x.onPeerEnd
	if f == nil {
		return
	}
	x.onPeerEnd = nil
	x.callLeft(f)
}

// callLeft calls a function that a handler has left with its stream, on the loop.
func (x *exchange) callLeft(f func()) {
	if x.mode == modeBlocking { // the response belongs to another goroutine, which answers
		defer func() {
			if v := recover(); v != nil {
				x.logPanic(v, debug.Stack())
			}
		}()
		f()
		return
	}
	x.callBack(f)
	x.checkFailed()
}

// lookAtStream is called when a stream on the loop has been open for PendingTimeout, and again after each such time in which
// it was written to. One that was silent may have been forgotten: its peer waits, and nothing else would show it.
func (c *conn) lookAtStream(l *loopSink) {
	s := l.s
	switch {
	case l.idles, s.isEvents():
	case l.wrote:
		l.wrote = false
		c.t.SetTimeout(c.w.srv.conf.timeouts[phasePending])
	default:
		s.x.res.LogMisuse("a Stream is neither written to nor closed; one that is idle on purpose has OnPeerEnd")
	}
}

const eventStream = "text/event-stream"

// isEvents reports whether the stream is one of server-sent events.
func (s *Stream) isEvents() bool {
	t := s.x.res.PeekHeader("Content-Type")
	return len(t) >= len(eventStream) && parser.EqualFold(t[:len(eventStream)], eventStream)
}
