package server

import (
	"slices"
	"sync/atomic"
	"time"

	"microhttp/parser"
	"microhttp/reactor"
)

// worker is the share of a Server that one loop has: its connections, its spare
// exchanges and its Date. Only the loop touches it.
type worker struct {
	srv   *Server
	loop  *reactor.Reactor
	ports []*reactor.Port

	conns     conn // head of the ring of open connections
	open      int
	newcomers newcomer // head of the ring of those that are not served yet
	spare     *exchange
	spares    int
	discarded parser.Head // what the parser fills while a body is thrown away
	second    int64       // the second that start shows
	start     []byte      // what most answers of that second begin with: the status line of 200, the Date field line, and the name of a Content-Length
	epoch     time.Time   // the zero of clock
	pieces    [2]reactor.Piece
	line      [20]byte // scratch for the size of a chunk

	files spareFiles
	dates knownDates

	connValues map[*conn][]keyed // of ConnKeys; nil until one is set

	held      int  // what the connections hold, but for their unsent output
	made      made // of answers that are owed
	told      int  // what published says
	published atomic.Int64
	relieving bool // relieve is on its way
	crowded   bool // what handlers own is too much: see refuses
	turned    int  // connections that are being turned away
	routed    bool // a router names the handlers: see shares.go

	queueWatched bool // lookAtQueue is on its way

	answered func() // of a bridge; nil for others

	closing bool
	drained chan struct{} // closed when closing and no connection is left
}

// maxSpares bounds the exchanges that a loop keeps: one serves all requests that
// are answered at once, the others those whose bodies arrive in pieces.
const maxSpares = 64

// shutdownGrace is the default of Server.ShutdownIdleGrace.
const shutdownGrace = 250 * time.Millisecond

func newWorker(s *Server, loop *reactor.Reactor) *worker {
	w := newBridgeWorker(s, loop)
	for {
		before := s.counted.Load()
		all := append(slices.Clone(*before), w)
		if s.counted.CompareAndSwap(before, &all) {
			break
		}
	}
	return w
}

// newBridgeWorker makes a worker that does not count for MaxBufferedBytes.
func newBridgeWorker(s *Server, loop *reactor.Reactor) *worker {
	w := &worker{srv: s, loop: loop, drained: make(chan struct{}), epoch: loop.Now()}
	w.conns.prev, w.conns.next = &w.conns, &w.conns
	w.newcomers.prev, w.newcomers.next = &w.newcomers, &w.newcomers
	return w
}

// take gives out an exchange for a request that begins to arrive. It comes back by release, unless it was detached.
func (w *worker) take() *exchange {
	x := w.spare
	if x == nil {
		return newExchange()
	}
	w.spare, x.next = x.next, nil
	w.spares--
	return x
}

// release takes back an exchange that no other code refers to.
func (w *worker) release(x *exchange) {
	if x.detached || x.req.late.Load() { // other code may still refer to it, and is caught if it is late
		return
	}
	x.recycle()
	if w.spares < maxSpares {
		x.next, w.spare = w.spare, x
		w.spares++
	}
}

// lengthName is how the field line of a Content-Length begins.
const lengthName = "Content-Length: "

// appendStart appends the status line and the Date field line (RFC 9110, 6.6.1), made anew
// when the tick's clock shows a new second. Behind them stands lengthName if sized.
func (w *worker) appendStart(b []byte, status int, sized bool) []byte {
	if now := w.loop.Now(); now.Unix() != w.second {
		w.second = now.Unix()
		w.start = append(w.start[:0], statusLines[200]...)
		w.start = append(w.start, "Date: "...)
		w.start = now.UTC().AppendFormat(w.start, imfFixdate)
		w.start = append(w.start, "\r\n"+lengthName...)
	}
	start := w.start
	if !sized {
		start = start[:len(start)-len(lengthName)]
	}
	if status == 200 {
		return append(b, start...)
	}
	b = append(b, statusLines[status]...)
	return append(b, start[len(statusLines[200]):]...)
}

func (w *worker) add(c *conn) {
	c.next, c.prev = &w.conns, w.conns.prev
	c.prev.next, w.conns.prev = c, c
	w.open++
}

func (w *worker) remove(c *conn) {
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
	if w.connValues != nil {
		delete(w.connValues, c)
	}
	if !c.hijacked {
		w.open--
	}
	w.srv.doors.leave(c.t.Info().RemoteAddr().Addr())
	w.checkDrained()
}

// beginShutdown is the loop's part of Server.Shutdown.
func (w *worker) beginShutdown() {
	if w.closing {
		return
	}
	w.closing = true
	for _, p := range w.ports {
		p.StopListening()
	}
	for c := w.conns.next; c != &w.conns; c = c.next {
		c.hurry()
	}
	w.hurryNewcomers()
	w.tellStreams()
	w.checkDrained()
}

// abortAll is the loop's part of an end that is not graceful.
func (w *worker) abortAll() {
	for c := w.conns.next; c != &w.conns; c = c.next {
		c.abortFor(ErrServerClosed)
	}
	w.abortNewcomers()
	w.loop.Stop()
}

func (w *worker) checkDrained() {
	if !w.closing || w.open > 0 || w.newcomers.next != &w.newcomers {
		return
	}
	select {
	case <-w.drained:
	default:
		close(w.drained)
	}
}
