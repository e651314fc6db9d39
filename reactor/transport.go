package reactor

// A connection. Its methods do not act; they note what is wanted and mark the connection as touched. settle then derives
// what has to be done from the whole of it: bytes to send, a half-close, the end, whom to tell, what to watch for. It is
// called in three places: when the connection's own read has been handled, when its socket has become writable, and at
// the end of the tick for everyone else who was touched.
//
// An idle connection is this struct and a slot in the descriptor table. It owns no buffer.

import (
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"syscall"
	"time"
)

type transport struct {
	r        *Reactor
	options  *TransportOptions
	proto    Protocol
	out      *queue // accepted output that is not in the loop's buffer; nil if there is none
	cold     *cold  // what few connections have; nil for the others
	deadline int64  // of SetTimeout; 0 is none
	paid     int64  // while output waits, the time that the peer has paid for; else see stopClock
	taken    int64  // how much the socket has taken in all
	acked    int64  // and how much of that was acknowledged at the last look
	remote   netip.AddrPort
	fd       int32
	flags    flags
}

// cold is what most connections never need, kept apart so that an idle one stays small.
type cold struct {
	fate      error       // set when the connection must end at once, whatever is queued
	connector *Connector  // the client's side: who has opened the connection
	producer  Producer    // one that is not the protocol itself
	consumers []Transport // the connections that this one is the producer of
	unread    []byte      // what SetProtocol took along and could not hand over
}

// rare returns the cold part, made when it is first needed.
func (t *transport) rare() *cold {
	if t.cold == nil {
		t.cold = &cold{}
	}
	return t.cold
}

// flags is what a connection wants and where it is.
type flags uint32

const (
	paused      flags = 1 << iota // PauseReading
	eof                           // the peer has half-closed
	losing                        // LoseConnection: end when all is sent
	halfClosing                   // CloseWrite: half-close when all is sent
	halfClosed                    // and that has been done
	doomed                        // fate is set
	gone                          // out of the table
	full                          // the socket takes no more until it is writable
	touched                       // on the reactor's list of connections to settle
	produced                      // a producer is registered: the protocol, or another in cold
	slowed                        // it was told to pause
	hungUp                        // both ends have sent their last, and what is left is to be read
	loseLater                     // LoseConnection, which waits until the producer is unregistered
	halfLater                     // CloseWrite, which waits in the same way
	cut                           // accepted output was dropped: only a reset tells the peer
	waiting                       // the clock runs: see pace.go
	slow                          // and the peer has used up its credit, although it reads
	roomLent                      // by Room, and nothing was written since
	undelivered                   // cold.unread is handed over before anything is read
	oneKernel                     // a Unix socket, although remote is an address: see SetRemoteAddr
	wide                          // the kernel takes more of it: see wide.go
)

const (
	dead   = doomed | gone                      // nothing more is sent
	silent = paused | losing | loseLater | dead // DataReceived is not called
	deaf   = silent | eof                       // and nothing is read
	mute   = halfClosing | losing | dead        // Write does nothing
)

var (
	_ Reader    = (*transport)(nil)
	_ Writer    = (*transport)(nil)
	_ Transport = (*transport)(nil)
)

// adopt makes a connection of a descriptor that was just accepted. It is in the table before anybody is called, so that
// whatever goes wrong then has one way out.
func (p *Port) adopt(fd int, remote netip.AddrPort) {
	t := &transport{r: p.r, options: &p.options.TransportOptions, fd: int32(fd), remote: remote}
	p.r.fds.claim(fd, t)
	defer t.contain()
	if reason := t.open(p.factory); reason != nil {
		p.r.lose(t, reason)
	}
}

// open introduces the connection to its protocol.
func (t *transport) open(f Factory) error {
	defer t.r.watch.back(t.r.watch.outer())
	t.r.watch.begin(servingDescriptor, t, int(t.fd), nil)
	proto := f.BuildProtocol(t.remote)
	if proto == nil {
		return ErrRefused
	}
	t.proto = proto
	proto.ConnectionMade(t)
	return t.settle()
}

// contain is deferred: it keeps a panic from the caller. StopListening may be called in another connection's
// callback, and a newcomer's panic must not cost that one.
func (t *transport) contain() {
	if v := recover(); v != nil {
		err := &PanicError{Value: v, Stack: debug.Stack()}
		t.r.report(err)
		t.r.lose(t, err)
	}
}

// DoRead reads once and hands over what there is. If there is more, the poller will say so: asking the socket until it is
// empty would cost one more system call each time.
func (t *transport) DoRead() error {
	r := t.r
	if t.flags&(deaf|undelivered) != 0 {
		if t.flags&deaf == 0 {
			return t.settle() // hands over what comes first
		}
		return nil // an earlier callback of this tick asked for it
	}
	n, errno := r.sys.Read(int(t.fd), r.in)
	switch {
	case n > 0:
		r.out.owner = t
		t.proto.DataReceived(r.in[:n])
	case errno == 0:
		t.flags |= eof
		h, ok := t.proto.(HalfCloser)
		if !ok {
			return t.endWithPeer()
		}
		r.out.owner = t
		h.ReadConnectionLost()
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	default:
		return lost(errno)
	}
	t.push()
	r.out.owner = nil
	if t.out != nil && t.out.files > 0 {
		t.touch() // files go out at the end of the tick: sending one takes our code out of the processor's cache
		return nil
	}
	return t.settle()
}

// endWithPeer ends a connection whose peer has half-closed and whose protocol does not go on after that. Output that is
// queued is sent first, or the peer would take the end for that of all output. A producer that was told to pause has more
// than that, which is not waited for: then the peer gets a reset.
func (t *transport) endWithPeer() error {
	switch {
	case t.out == nil:
		return ErrConnectionDone
	case t.flags&slowed != 0:
		return &lostError{errUnfinished}
	}
	t.flags |= losing
	t.restartClock() // LingerTimeout is counted from here
	return t.settle()
}

// errUnfinished is output that a producer still had when the connection had to end.
var errUnfinished = fmt.Errorf("the peer has half-closed while a producer had more to send: %w", io.ErrShortWrite)

// DoWrite goes on sending.
func (t *transport) DoWrite() error {
	t.flags &^= full
	return t.settle()
}

// faulted is called when there is trouble and the connection neither reads nor writes. An error is the end: a read would only
// tell it behind what has arrived before, and no answer would arrive any more. A hang-up without an error says that both ends
// have sent their last, which is no loss: what has arrived is read when reading resumes. It lasts, and so is watched for no
// longer.
func (t *transport) faulted() error {
	if errno := t.r.sys.SocketError(int(t.fd)); errno != 0 {
		return lost(errno)
	}
	t.flags |= hungUp
	return t.watch()
}

// settleTouched is settle for those on the list.
func (t *transport) settleTouched() error {
	t.flags &^= touched
	return t.settle()
}

// settle does what the connection's state calls for. A non-nil result is the reason that it ends.
func (t *transport) settle() error {
	t.flags &^= roomLent
	if t.flags&undelivered != 0 && t.flags&silent == 0 {
		t.handOver()
	}
	if t.flags&gone != 0 {
		return nil
	}
	t.sendQueued()
	if t.flags&gone != 0 {
		return nil // who was told that a file is free has detached the connection
	}
	if t.flags&doomed != 0 {
		return t.cold.fate
	}
	if t.out == nil {
		if t.flags&losing != 0 {
			return ErrConnectionDone
		}
		if t.flags&(halfClosing|halfClosed) == halfClosing {
			t.flags |= halfClosed
			if errno := t.r.sys.CloseWrite(int(t.fd)); errno != 0 {
				return lost(errno)
			}
			if h, ok := t.proto.(CloseWriteHandler); ok {
				h.WriteConnectionLost()
				switch {
				case t.flags&gone != 0:
					return nil // it has detached the connection
				case t.flags&doomed != 0:
					return t.cold.fate
				}
			}
		}
		if t.flags&(halfClosed|eof|undelivered) == halfClosed|eof {
			return ErrConnectionDone
		}
	} else if t.flags&(losing|loseLater) != 0 {
		t.hurry()
	}
	if t.flags&produced != 0 {
		t.tellProducer()
		if t.flags&gone != 0 {
			return nil // it has detached the connection
		}
	}
	return t.watch()
}

// watch has the poller watch for what the connection waits for.
func (t *transport) watch() error {
	var reader Reader
	var writer Writer
	var want Interest
	if t.flags&deaf == 0 {
		reader, want = t, Readable
	}
	if t.flags&full != 0 {
		writer, want = t, want|Writable
	}
	if want == 0 && t.flags&(hungUp|dead) == 0 {
		want = Fault
	}
	fds := &t.r.fds
	if want == fds.slot(int(t.fd)).have {
		return nil
	}
	if err := fds.watch(int(t.fd), reader, writer, want); err != nil {
		return &lostError{err}
	}
	return nil
}

// ConnectionLost is called by the reap step: it closes the socket first, so that no protocol's fault can keep it open,
// and then tells the producer and the protocol.
func (t *transport) ConnectionLost(reason error) {
	if t.fd >= 0 { // else it was detached
		r := t.r
		r.fds.release(int(t.fd))
		if t.resets(reason) {
			r.sys.Reset(int(t.fd))
		}
		r.sys.Close(int(t.fd))
		t.fd = -1
	}
	defer t.tell(reason) // also when one of the callbacks before ends the goroutine
	t.flags &^= undelivered
	if t.cold != nil {
		t.cold.unread = nil
	}
	t.release()
	t.stopProducing()
}

// tell tells the protocol of the loss, or the connector, if the connection has one.
func (t *transport) tell(reason error) {
	switch {
	case t.cold != nil && t.cold.connector != nil:
		t.cold.connector.lost(t, reason)
	case t.proto != nil:
		t.proto.ConnectionLost(reason)
	}
}

// resets reports whether the peer gets a reset instead of an orderly end: whenever accepted output was dropped, or the end
// is one-sided.
func (t *transport) resets(reason error) bool {
	if t.flags&(cut|doomed) != 0 || t.out != nil {
		return true
	}
	_, panicked := reason.(*PanicError)
	return panicked
}

// touch has settle called: by DoRead if it is this connection's, else at the end of the tick.
func (t *transport) touch() {
	if t.flags&(touched|gone) == 0 && t.r.out.owner != t {
		t.flags |= touched
		t.r.touched.add(t)
	}
}

// doom ends the connection at the next settle.
func (t *transport) doom(reason error) {
	if t.flags&(doomed|gone) == 0 {
		t.flags |= doomed
		t.rare().fate = reason
		t.touch()
	}
}

// FD is the descriptor, -1 when it is closed.
func (t *transport) FD() int { return int(t.fd) }

func (t *transport) LoseConnection() {
	if t.flags&(losing|loseLater) != 0 {
		return
	}
	if t.waitsForProducer() {
		t.flags |= loseLater
	} else {
		t.flags |= losing
	}
	t.restartClock() // LingerTimeout is counted from here
	t.touch()
}

func (t *transport) AbortConnection() { t.doom(ErrAborted) }

func (t *transport) CloseWrite() {
	if t.waitsForProducer() {
		t.flags |= halfLater
	} else {
		t.flags |= halfClosing
	}
	t.touch()
}

func (t *transport) PauseReading() {
	t.flags |= paused
	t.touch()
}

func (t *transport) ResumeReading() {
	t.flags &^= paused
	t.touch()
}

func (t *transport) SetTimeout(d time.Duration) {
	if d <= 0 {
		t.deadline = 0
		return
	}
	t.deadline = later(t.r.clock(), d)
	t.dueBy(t.deadline)
}

func (t *transport) Reactor() *Reactor { return t.r }
