package reactor

// What a program writes against: a Factory makes a Protocol for each accepted connection, the Protocol is told what
// happens to it, and acts through its Transport. All three live on the loop's goroutine and need no locks.

import (
	"net/netip"
	"time"
)

// A Factory makes the protocol of each connection that a port accepts.
type Factory interface {
	// BuildProtocol is called on the loop for each accepted connection. Returning nil refuses it: the connection is
	// closed and nobody is told.
	BuildProtocol(remote netip.AddrPort) Protocol
}

// FactoryFunc is a function used as a Factory.
type FactoryFunc func(remote netip.AddrPort) Protocol

// BuildProtocol calls f.
func (f FactoryFunc) BuildProtocol(remote netip.AddrPort) Protocol { return f(remote) }

// A Protocol receives what happens to one connection. Every method is called on the loop and must not block. A panic
// in one of them ends this connection and no other.
//
// A Protocol may also be a HalfCloser, a CloseWriteHandler and a TimeoutHandler.
type Protocol interface {
	// ConnectionMade is called once, first.
	ConnectionMade(t Transport)

	// DataReceived brings what one read gave. The bytes are lent: they belong to the loop again when it returns.
	DataReceived(p []byte)

	// ConnectionLost is called exactly once, last, and never from inside another callback of the same connection. The socket
	// is closed by then, or given away by Detach. The reason is told apart with errors.Is: ErrConnectionDone (an orderly
	// end, from either side), ErrConnectionLost (with the errno), ErrAborted, ErrTimeout, ErrWriteBound, ErrDetached,
	// ErrShutdown; or it is a *PanicError. ReasonName gives them short names.
	ConnectionLost(reason error)
}

// A HalfCloser is a Protocol that goes on when its peer has finished sending. Without it the end of the peer's bytes is the
// end of the connection, as after LoseConnection: output that is queued is sent first, within the LingerTimeout, and what is
// written after that is dropped. A registered Producer is not waited for; if it was told to pause, and so has more, the
// connection is reset and lost with ErrConnectionLost and io.ErrShortWrite.
type HalfCloser interface {
	// ReadConnectionLost is called at most once, when the peer has half-closed; no DataReceived follows. The
	// connection lives until LoseConnection, AbortConnection, or a CloseWrite whose output has been sent.
	ReadConnectionLost()
}

// A CloseWriteHandler is a Protocol that wants to know when a CloseWrite has been done.
type CloseWriteHandler interface {
	// WriteConnectionLost is called at most once, when all output has been sent and the connection is half-closed, and never
	// from inside CloseWrite. The peer may not have received everything by then. It is not called for a connection that
	// ends before that, which ConnectionLost tells.
	WriteConnectionLost()
}

// A TimeoutHandler is a Protocol that decides what an expired SetTimeout means. Without it the connection is aborted
// and lost with ErrTimeout.
type TimeoutHandler interface {
	// TimeoutConnection is called once for each SetTimeout that expires. DataReceived and ReadConnectionLost come before it
	// with what had arrived by then, unless reading is paused.
	TimeoutConnection()
}

// A Transport is a connection as its Protocol sees it. All methods are for the loop's goroutine only; other goroutines
// come in through CallFromThread. Once the connection is lost, or asked to end, writing to it is harmless and does
// nothing: loss is told once, through ConnectionLost, and never by an error here.
type Transport interface {
	// A Transport is a Producer of the bytes that it reads, so that it can be registered as the producer of another one:
	// PauseProducing is PauseReading, ResumeProducing is ResumeReading, and StopProducing is LoseConnection.
	Producer

	// Write queues p, or sends it at once. It copies what it cannot send, so p is free on return. It never blocks.
	// What is written inside DataReceived goes out when that returns; all else at the end of the tick. A piece of 16 KiB or
	// more is not copied but sent at once, behind what is queued.
	Write(p []byte)

	// WriteSequence writes the pieces one behind the other, as so many Writes would. From 16 KiB in all they are not copied
	// but sent at once, behind what is queued, by writev(2). Keep a slice of pieces and pass it on ("pieces...") where an
	// allocation matters.
	WriteSequence(pieces ...[]byte)

	// Give is Write of bytes that are the connection's from now on: nobody may change them any more, also not when they
	// were sent. What the socket does not take of 16 KiB or more is not copied but kept where it lies, however long that
	// takes; so a page that all get is in memory once, however slowly they read it.
	Give(p []byte)

	// SendFile sends n bytes of f from offset on, by sendfile(2) where the system can, in its place among what is written
	// before and after. They are read when their turn comes, at most 256 KiB in a tick, so that other connections live
	// meanwhile; but a page that is not in memory holds the loop up until it is there.
	//
	// f belongs to the connection until the bytes are sent or the connection is lost; then, on the loop, it is closed if
	// it is an io.Closer, as an *os.File is. That is also how to learn of it; struct{ File }{f} hides a Close from us. If
	// the file is shorter than that, the connection is reset and lost with ErrConnectionLost and io.ErrUnexpectedEOF. More
	// than 1024 files waiting are ErrWriteBound.
	SendFile(f File, offset, n int64)

	// AvailableBuffer returns an empty slice with room behind it, as bufio.Writer.AvailableBuffer does: append to it
	// and pass the result to the very next Write or Give, or as the first piece of the next WriteSequence, which then
	// copies nothing. It is void after any other of these and when the callback returns.
	AvailableBuffer() []byte

	// Buffered returns how many bytes were accepted and not yet taken by the socket, those of files included. The water
	// marks count them too; MaxBuffered counts only what is in memory, given or not.
	Buffered() int

	// Unacknowledged returns how many bytes were accepted and not yet acknowledged by the peer's kernel: Buffered, and what
	// the socket has taken and still keeps. A byte more stands for the end that CloseWrite sends. On systems other than
	// Linux it is only Buffered. It costs a system call.
	Unacknowledged() int

	// LoseConnection ends the connection with ErrConnectionDone when all that is queued has been sent. Reading stops
	// at once. A peer that does not read holds it open for the LingerTimeout, or until a SetTimeout. A registered producer
	// holds it open until it is unregistered, and may write until then.
	LoseConnection()

	// AbortConnection ends the connection at once with ErrAborted: what is queued is dropped and the peer gets a reset
	// (RFC 9293, section 3.5.2).
	AbortConnection()

	// CloseWrite half-closes the connection when all that is queued has been sent. Reading goes on. A registered producer is
	// waited for, as by LoseConnection. A CloseWriteHandler learns when it is done.
	CloseWrite()

	// PauseReading stops DataReceived, so that the peer is slowed by TCP's own flow control. ResumeReading undoes it.
	// While reading is paused the end of the peer's bytes is not noticed either, since it stands behind them. That the
	// peer has reset the connection is, at once, and costs what it had sent; but not with select(2), unless output is waiting.
	PauseReading()
	ResumeReading()

	// SetTimeout makes the timeout expire once, d from Now; 0 takes it back, and each call replaces the one before. It
	// costs a few nanoseconds and is coarse: up to 50 ms late. Before it expires the connection is read once, and a
	// SetTimeout made then replaces it: bytes that arrived in time are never overtaken by their timeout.
	SetTimeout(d time.Duration)

	// RegisterProducer has p told of the water marks, and LoseConnection and CloseWrite wait for it, until it is unregistered
	// with RegisterProducer(nil) or the connection is lost. Registering another one meanwhile, or the same again, is a
	// mistake of the program, and panics. On a connection that is lost p.StopProducing is called at once.
	//
	// A Transport of this package that is registered is unregistered when it is lost itself. It must be on the same reactor.
	RegisterProducer(p Producer)

	// SetProtocol hands the connection to another protocol, also in the middle of DataReceived: p is told ConnectionMade
	// before SetProtocol returns, and all that comes after; the protocol before is told nothing more. What it has not used
	// of the bytes of this DataReceived it passes to p.DataReceived itself. A timeout and a producer stay as they are. On a
	// connection that is lost it does nothing.
	SetProtocol(p Protocol)

	// Detach takes the connection off the loop: fd, still open, non-blocking and watched by nobody, is the caller's to
	// close, and so are the bytes that were accepted and not sent, to be sent first. Nothing else is held back: what the
	// peer has sent is still in the kernel, except for the bytes lent to the DataReceived that calls Detach, if one does;
	// those it has are all there are. The transport is dead from here on, and the protocol is told ConnectionLost with
	// ErrDetached at the end of the tick. A CloseWrite that has not been done is left to the caller. Reactor.AdoptFD takes fd
	// over, on the same loop or another.
	//
	// The error is net.ErrClosed when the connection is lost or ending, or ErrFilesQueued; nothing has happened then.
	Detach() (fd int, unsent []byte, err error)

	// SetNoDelay and SetKeepAlive override Nagle and KeepAlive of TransportOptions; an idle time of 0 switches keep-alive
	// off. They do nothing for a Unix socket.
	SetNoDelay(on bool)
	SetKeepAlive(idle, interval time.Duration, count int)

	// LocalAddr asks the kernel for our end; it is the zero AddrPort once the connection is lost. RemoteAddr is the
	// peer's and is always there. An IPv4 address is given as IPv4, also on a dual-stack port. Unix sockets have no
	// addresses; see UnixPeer.
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort

	// UnixPeer asks the kernel who is at the other end of a Unix socket: the path that its socket is bound to, and the
	// process. The error is net.ErrClosed once the connection is lost, or an errno: EPROTOTYPE when it is no Unix socket.
	UnixPeer() (UnixPeer, error)

	// String names the connection by its peer for logs, as "tcp 192.0.2.1:4711", "unix /run/peer.sock" or, when the peer of
	// a Unix socket has no path, "unix pid 17 uid 1000"; with ", ending" behind it when it has been asked to end, and
	// ", lost" when it has ended.
	String() string

	// Reactor is the loop that this connection lives on.
	Reactor() *Reactor
}
