package nethttp

// A lane is what one request at a time crosses on: a loop, a connection of the server on it, and what stands where its
// socket would. A lane on which a request was answered at once is used again. Its loop has then never run, and holds
// nothing that would have to be closed. Any other lane is given up with its request.

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"microhttp/parser"
	"microhttp/reactor"
	"microhttp/server"
)

// A lane belongs to the goroutine of ServeHTTP until its loop runs, and to that from then on, until done is closed.
type lane struct {
	loop     *reactor.Reactor
	protocol reactor.Protocol
	conn     connection // the protocol that reads the request
	feed     feed
	answer   answer
	in       []byte // what is sent to the protocol
	room     []byte // for Room

	remote   string // of the request
	local    net.Addr
	running  bool        // the loop does
	answered bool        // the server has given the whole answer
	ended    bool        // the server has ended the connection
	aborted  bool        // … within an answer
	finished bool        // finish was called
	flushing bool        // a flush is posted
	borrowed atomic.Bool // the handler has asked for the loop
	unread   bool        // when it was called, the body was being read
	thrown   any         // what reading the body has panicked with
	done     chan struct{}
}

// connection is what the server's protocol is, besides a Protocol.
type connection interface {
	reactor.Protocol
	Gathers() bool
	Streams() bool
	RefuseBody(*parser.Error)
	Forget()
}

var _ reactor.Transport = (*lane)(nil)

func newLane(s *server.Server) *lane {
	loop, err := reactor.New(reactor.Config{System: nowhere{}})
	if err != nil {
		panic(err) // it is made of memory alone
	}
	l := &lane{loop: loop, done: make(chan struct{})}
	answered := func() { l.setOver(&l.answered) }
	l.conn = s.BridgeFactory(loop, answered).BuildProtocol(netip.AddrPort{}).(connection)
	l.protocol = l.conn
	l.protocol.ConnectionMade(l)
	return l
}

// maxHead is the most that the parser can be asked for.
const maxHead = parser.MaxSection

// begin readies the lane for a request.
func (l *lane) begin(w http.ResponseWriter, r *http.Request) {
	l.feed.begin(r)
	l.answer.begin(w, r, l)
	l.remote = r.RemoteAddr
	l.local, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	l.answered = false
}

// release lets go of what belongs to the request, for the next one.
func (l *lane) release() {
	l.answer.w = nil
	l.conn.Forget() // the next request comes from elsewhere
	l.feed.release()
	l.remote, l.local = "", nil
	if cap(l.in) > maxKept {
		l.in = nil
	}
	if cap(l.room) > maxKept {
		l.room = nil
	}
}

// maxKept is the largest buffer that a lane keeps for its next request.
const maxKept = 64 << 10

// over reports whether there is nothing left to wait for.
func (l *lane) over() bool { return l.answered || l.ended }

// setOver sets one of the reasons to be over. While the loop runs, the request is then finished in the next tick: the
// server may not have come to the end of its callback.
func (l *lane) setOver(why *bool) {
	*why = true
	if l.running {
		l.loop.CallFromThread(func() { l.finish(reactor.ErrConnectionDone) })
	}
}

// finish ends the request, on its loop if that runs, and the loop, unless a goroutine is just answering, though nobody waits any more:
// then the loop goes on until it has the answer, and finish is called again.
func (l *lane) finish(reason error) {
	if !l.finished {
		l.finished, l.unread = true, l.feed.reading
		l.aborted = l.aborted || !l.over()
		l.lose(reason)
		close(l.done) // ServeHTTP returns
	}
	if l.answered {
		l.loop.Stop()
	}
}

// lose tells the server that the connection is lost. Nothing is written to the peer any more.
func (l *lane) lose(reason error) {
	l.answer.w = nil
	l.ended = true
	l.protocol.ConnectionLost(reason)
}

// dispose gives up a lane whose loop has not run. The calls that a handler has left on the loop are made, elsewhere: they
// may wait for something.
func (l *lane) dispose() {
	if l.answer.w != nil {
		l.lose(reactor.ErrConnectionDone)
	}
	if l.borrowed.Load() {
		l.loop.Stop()
		go func() { _ = l.loop.Run() }() // it ends at once
	} else {
		_ = l.loop.Close() // it does not run
	}
}

// Write implements reactor.Transport.
func (l *lane) Write(p []byte) {
	l.answer.write(p)
	if l.answer.streamed && !l.flushing {
		l.flushing = true
		l.loop.CallFromThread(l.flush) // once for all that is written in this tick
	}
}

// Send implements reactor.Transport. It copies files.
func (l *lane) Send(pieces ...reactor.Piece) {
	for i := range pieces {
		p := &pieces[i]
		l.Write(p.Bytes())
		if f, offset, n := p.File(); f != nil {
			l.copyFile(f, offset, n)
		}
		p.Free()
	}
}

func (l *lane) copyFile(f reactor.File, offset, n int64) {
	piece := make([]byte, min(n, 64<<10))
	for n > 0 && !l.aborted {
		m, err := f.ReadAt(piece[:min(n, int64(len(piece)))], offset)
		l.Write(piece[:m])
		offset, n = offset+int64(m), n-int64(m)
		if err != nil && n > 0 {
			l.AbortConnection() // the peer was promised more
		}
	}
}

func (l *lane) flush() {
	l.flushing = false
	l.answer.flush()
}

// Room implements reactor.Transport.
func (l *lane) Room(n int) []byte {
	if n = max(n, leastRoom); cap(l.room) < n {
		l.room = make([]byte, 0, n)
	}
	return l.room[:0]
}

// leastRoom is what reactor.Transport promises.
const leastRoom = 4 << 10

// Commit implements reactor.Transport.
func (l *lane) Commit(b []byte) { l.Write(b) }

// Buffered implements reactor.Transport: nothing ever waits here.
func (l *lane) Buffered() int { return 0 }

// Held implements reactor.Transport.
func (l *lane) Held() int { return 0 }

// Unacknowledged implements reactor.Transport: what net/http does with it is not known.
func (l *lane) Unacknowledged() int { return 0 }

// LoseConnection implements reactor.Transport.
func (l *lane) LoseConnection() { l.setOver(&l.ended) }

// CloseWrite implements reactor.Transport. The server half-closes behind its last answer, to let a peer read it that
// still sends; here the peer has it.
func (l *lane) CloseWrite() { l.setOver(&l.ended) }

// AbortConnection implements reactor.Transport.
func (l *lane) AbortConnection() {
	l.aborted = true
	l.setOver(&l.ended)
}

// SetProtocol implements reactor.Transport. Unlike a socket's, it hands unread over also while reading is paused.
func (l *lane) SetProtocol(p reactor.Protocol, unread []byte) {
	l.protocol = p
	if p.ConnectionMade(l); len(unread) > 0 && !l.over() {
		l.protocol.DataReceived(unread)
	}
}

// Detach implements reactor.Transport: there is no descriptor to give away.
func (l *lane) Detach() (reactor.Detached, error) {
	return reactor.Detached{FD: -1}, errors.ErrUnsupported
}

// SetTimeout and RegisterProducer implement reactor.Transport. The http.Server in front has timeouts of its own, and
// Write waits.
func (l *lane) SetTimeout(time.Duration)            {}
func (l *lane) RegisterProducer(p reactor.Producer) {}

// PauseProducing, ResumeProducing and StopProducing implement reactor.Transport.
func (l *lane) PauseProducing()  { l.PauseReading() }
func (l *lane) ResumeProducing() { l.ResumeReading() }
func (l *lane) StopProducing()   { l.LoseConnection() }

// Info implements reactor.Transport.
func (l *lane) Info() reactor.Info { return l }

// Socket implements reactor.Info: there is none.
func (l *lane) Socket() reactor.Socket { return reactor.Socket{} }

// LocalAddr implements reactor.Info: the address that the http.Server was reached at, if it says.
func (l *lane) LocalAddr() netip.AddrPort {
	if tcp, ok := l.local.(*net.TCPAddr); ok {
		a := tcp.AddrPort()
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return netip.AddrPort{}
}

// String implements reactor.Transport.
func (l *lane) String() string { return "net/http " + l.remote }

// RemoteAddr implements reactor.Info: that of the http.Request, if it is an address and a port.
func (l *lane) RemoteAddr() netip.AddrPort {
	a, err := netip.ParseAddrPort(l.remote)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Reactor implements reactor.Transport.
func (l *lane) Reactor() *reactor.Reactor {
	l.borrowed.Store(true)
	return l.loop
}
