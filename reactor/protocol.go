package reactor

// What a program writes against: a Factory makes a Protocol for each accepted connection, the Protocol gets what
// happens to it, and acts through its Transport. All three live on the loop's goroutine and need no locks.

import (
	"net/netip"
	"time"
)

// A Factory makes the protocol of each connection that a port accepts.
type Factory interface {
	// BuildProtocol is called on the loop for each accepted connection. Returning nil refuses it: the connection is
	// closed, and no method is called.
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
	// is closed by then, or given away by Detach. errors.Is tells the reasons apart: ErrConnectionDone (an orderly
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
// nothing: ConnectionLost reports a loss, once, and never an error here.
type Transport interface {
	// A Transport is a Producer of the bytes that it reads, so that it can be registered as the producer of another one:
	// PauseProducing is PauseReading, ResumeProducing is ResumeReading, and StopProducing is LoseConnection.
	Producer

	// Write queues p, or sends it at once. It copies what it cannot send, so p is free on return. It never blocks.
	// What is written inside DataReceived goes out when that returns; all else at the end of the tick. A piece of 16 KiB or
	// more is sent at once, after what is queued and together with it, and only what the socket does not take is copied.
	Write(p []byte)

	// Room returns an empty slice with room for n bytes or more, and for 4 KiB at least. Append to it and pass the result to
	// Commit, as the next call of those that write. The bytes then need not be copied. Appending more than there is room for
	// is allowed. The room is void after any other of these calls, and when the callback returns; not using it is harmless.
	Room(n int) []byte

	// Commit writes what was appended to what Room returned. b must not be used afterwards, for it is the connection's: it is
	// the room, or, when append has moved it to get more, memory that is treated as Given. Commit panics without a Room
	// before it, and for another slice than the one that Room returned and append continued.
	Commit(b []byte)

	// Send writes the pieces, in order. Together they are treated as one Write: from 16 KiB on, bytes are sent at once by
	// writev(2), after what is queued and together with it. What the socket does not take of Lent pieces is copied, so they
	// are free on return. Given pieces of 16 KiB or more are kept where they lie, and a FileRange is read when its turn comes.
	// Bytes after a FileRange wait for it. More than 1024 given pieces and files waiting are ErrWriteBound.
	//
	// The slice is free on return. Keep one and pass it on ("pieces...") where an allocation matters.
	Send(pieces ...Piece)

	// Buffered returns how many bytes were accepted and not yet taken by the socket, those of files included. The water
	// marks count them too; MaxBuffered counts only what is in memory, given or not.
	Buffered() int

	// Held returns how many bytes of memory wait in the connection's queue, by the capacity of its buffers. Given pieces count
	// with their length, and files not at all.
	Held() int

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

	// SetProtocol hands the connection to another protocol, also in the middle of DataReceived: p.ConnectionMade is called
	// before SetProtocol returns, and p gets all that comes after. The protocol before gets no further call. A timeout and a
	// producer stay as they are. On a connection that is lost it does nothing.
	//
	// unread is what was received and belongs to p, such as the rest of the bytes that DataReceived was lent. It may be nil.
	// p.DataReceived gets it after ConnectionMade and before anything newer. If reading is paused by then, the connection
	// keeps a copy and hands it over after ResumeReading, in a callback of its own. If the connection is ending by then, it
	// is dropped.
	SetProtocol(p Protocol, unread []byte)

	// Detach takes the connection off the loop. The descriptor is the caller's to close, and so are the bytes that were
	// accepted and not sent, and those that were received and not handed to the protocol. The bytes lent to the DataReceived
	// that calls Detach are not among them: the protocol has them. The transport is dead from here on, and the protocol is
	// lost with ErrDetached at the end of the tick. A CloseWrite that has not been done is left to the caller.
	// Reactor.AdoptFD takes the descriptor over, on the same loop or another.
	//
	// The error is net.ErrClosed when the connection is lost or ending, or ErrFilesQueued; nothing has happened then. A
	// transport without a socket, and a layer whose peer expects more than the bytes, return errors.ErrUnsupported.
	Detach() (Detached, error)

	// Info says what the connection is on: its addresses, and the socket with its options, if it has one.
	Info() Info

	// String names the connection by its peer for logs, as "tcp 192.0.2.1:4711", "unix /run/peer.sock" or, when the peer of
	// a Unix socket has no path, "unix pid 17 uid 1000"; with ", ending" behind it when it has been asked to end, and
	// ", lost" when it has ended.
	String() string

	// Reactor is the loop that this connection lives on.
	Reactor() *Reactor
}
