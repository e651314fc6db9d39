package reactor

// The bottom seam. Everything that a reactor asks of the kernel it asks of a System: what is ready, the socket
// operations, the time. The loop, the port and the transport above it are written once, and a simulation that replaces
// exactly this interface runs them unchanged under a virtual clock and faults of its choosing.
//
// The hot calls return a syscall.Errno and not an error, because an interface value of an errno may cost an allocation
// and a type switch where a comparison is enough.

import (
	"io"
	"io/fs"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// An Address is where a stream socket listens, or connects to: an IP address with a port, or, when Path is not empty, the
// path of a Unix socket ("@name" in Linux's abstract namespace).
type Address struct {
	IP   netip.AddrPort
	Path string
}

// ListenOptions is how a System makes a listening socket.
type ListenOptions struct {
	Backlog   int  // of listen(2)
	Shared    bool // siblings may join it later
	Sibling   bool // joins a Shared socket that listens on the same address
	ReusePort bool // other processes may listen on the same address, and share what arrives
	DualStack bool // the address is the IPv6 wildcard and stands for IPv4 too
	Single    bool // Share makes another descriptor of the one socket: it cannot be bound again

	Mode fs.FileMode // permissions of a Unix socket's file; 0 leaves what the system makes of it
}

// A File is what a FileRange reads from; an *os.File is one. The kernel reads by its descriptor. By ReadAt reads a simulation,
// and the kernel what has no descriptor: Fd is ^uintptr(0) then, as that of a closed *os.File.
type File interface {
	io.ReaderAt
	Fd() uintptr
}

// DatagramOptions is how a System makes a datagram socket.
type DatagramOptions struct {
	DualStack               bool // the address is the IPv6 wildcard and stands for IPv4 too
	Shared                  bool // others may bind the same address: for multicast, where each of them gets everything
	ReadBuffer, WriteBuffer int  // bytes that the kernel buffers; 0 is its default
}

// A Datagram is one message of a batch. To be received, Bytes is the room for it, and becomes what has arrived; Addr is
// who sent it, or to whom it goes: the zero AddrPort on a connected socket.
type Datagram struct {
	Bytes     []byte
	Addr      netip.AddrPort
	Truncated bool // it was longer than the room
}

// MulticastOptions is one change to how a datagram socket does multicast.
type MulticastOptions struct {
	Do        MulticastVerb
	Group     netip.Addr // to join or leave
	Interface int        // its index; 0 lets the kernel choose
	Value     int        // the TTL, or 1 and 0 for loopback
}

// MulticastVerb is what MulticastOptions asks for.
type MulticastVerb uint8

// The things that can be asked of multicast.
const (
	JoinGroup MulticastVerb = iota
	LeaveGroup
	SetInterface // of what is sent
	SetTTL       // of what is sent; hops in IPv6
	SetLoopback  // whether what is sent comes back to sockets of this machine
)

// A SocketOption is an option of a connected socket.
type SocketOption uint8

// The options that a Socket has. A value is 0 or 1 for those that are on or off.
const (
	OptionNoDelay           SocketOption = iota // TCP_NODELAY
	OptionKeepAlive                             // whether it is on
	OptionKeepAliveIdle                         // in seconds, as the interval
	OptionKeepAliveInterval                     // between two probes
	OptionKeepAliveCount                        // of probes
	OptionTTL                                   // the hop limit of IPv6
	OptionTOS                                   // the traffic class of IPv6
	OptionReadBuffer                            // in bytes
	OptionWriteBuffer                           // in bytes
)

// A System is all that a reactor needs from below. Config.System replaces it; nil is the kernel. Descriptors are small
// non-negative numbers that the System hands out and may use again after Close. All methods are called on the loop's
// goroutine, or before Run.
type System interface {
	// Now is the clock: wall time together with a monotonic reading.
	Now() time.Time
	// NewPoller makes the poller of that name, "" being the best; and Pollers lists the names, the best first.
	NewPoller(name string) (Poller, error)
	Pollers() []string

	// Listen makes a non-blocking listening socket whose accepted sockets have TCP_NODELAY and keep-alive set. The file of a
	// Unix socket is replaced when no process listens there any more.
	Listen(at Address, o ListenOptions) (fd int, err error)
	// Share makes another descriptor that accepts from the same port as fd, which was made Shared.
	Share(fd int, at Address, o ListenOptions) (fd2 int, err error)
	// Lstat and Unlink are for the file of a Unix socket: the port that has made it removes it, if it is still the same.
	Lstat(path string) (fs.FileInfo, error)
	Unlink(path string) error
	// Accept takes one connection; its descriptor is non-blocking and closed on exec. A Unix socket's peer is the zero
	// AddrPort.
	Accept(fd int) (conn int, remote netip.AddrPort, errno syscall.Errno)
	// Connect begins to connect a new socket, bound to from unless that is the zero AddrPort. errno 0 is a connection
	// made at once, and EINPROGRESS one that becomes writable when it is decided; ConnectError then says how, or
	// EINPROGRESS when it is not yet. With any other errno there is no descriptor. A new TCP socket has TCP_NODELAY and
	// keep-alive set as an accepted one.
	Connect(to Address, from netip.AddrPort) (fd int, errno syscall.Errno)
	ConnectError(fd int) syscall.Errno
	// SocketError takes the error that is pending on a socket, 0 if there is none.
	SocketError(fd int) syscall.Errno
	// Adopt readies a stream socket that other code has opened: non-blocking and closed on exec. It reports where the
	// socket is bound, its peer if it is connected, and whether it listens.
	Adopt(fd int) (at Address, remote netip.AddrPort, listens bool, err error)
	// LocalAddr is getsockname(2); the zero AddrPort when it fails and for Unix sockets.
	LocalAddr(fd int) netip.AddrPort

	// UnixPeer says who is at the other end of a connected Unix socket; EPROTOTYPE is a socket of another kind.
	UnixPeer(fd int) (peer UnixPeer, errno syscall.Errno)

	// Read, Write and Writev are read(2), write(2) and writev(2). n is 0 when errno is not.
	Read(fd int, p []byte) (n int, errno syscall.Errno)
	Write(fd int, p []byte) (n int, errno syscall.Errno)
	Writev(fd int, pieces [][]byte) (n int, errno syscall.Errno)
	// SendFile sends at most n bytes of f from offset on, as sendfile(2) does; 0 without an errno is the end of f.
	SendFile(fd int, f File, offset int64, n int) (sent int, errno syscall.Errno)
	// Unacknowledged is how much of what the socket has taken the peer's kernel has not acknowledged, the end of
	// CloseWrite counted as a byte. A system that cannot say returns 0. Of a Unix socket it is what the peer has not read,
	// and may count more than the bytes themselves.
	Unacknowledged(fd int) int
	// SetOption and Option are setsockopt(2) and getsockopt(2). ENOPROTOOPT or EOPNOTSUPP is an option that the socket does
	// not have.
	SetOption(fd int, o SocketOption, value int) syscall.Errno
	Option(fd int, o SocketOption) (value int, errno syscall.Errno)
	// SetKeepAlive sets the four options of keep-alive, and nothing on a Unix socket. An idle time of 0 switches it off.
	SetKeepAlive(fd int, idle, interval time.Duration, count int) syscall.Errno
	// CloseWrite sends what is queued in the kernel and then the end.
	CloseWrite(fd int) syscall.Errno
	// Reset makes the coming Close send a reset and drop what is queued in the kernel.
	Reset(fd int)
	// Close frees the number at once, whatever it returns.
	Close(fd int) syscall.Errno
	// Reserve opens a descriptor of no use but to be closed when no other is left.
	Reserve() (fd int, errno syscall.Errno)

	// ListenDatagram makes a non-blocking UDP socket bound to at.
	ListenDatagram(at netip.AddrPort, o DatagramOptions) (fd int, err error)
	// ConnectDatagram fixes the peer of a UDP socket: only its datagrams arrive, and errors that it reports are told.
	ConnectDatagram(fd int, to netip.AddrPort) syscall.Errno
	// Receive and Send move as many datagrams of the batch as the socket gives or takes, at least one if errno is 0.
	Receive(fd int, batch []Datagram) (n int, errno syscall.Errno)
	Send(fd int, batch []Datagram) (n int, errno syscall.Errno)
	// Multicast does one thing to a UDP socket.
	Multicast(fd int, o MulticastOptions) error
}

// String gives the path, or address and port.
func (a Address) String() string {
	if a.Path != "" {
		return a.Path
	}
	return a.IP.String()
}

// netAddr is a as package net has it, for its errors.
func (a Address) netAddr() net.Addr {
	if a.Path != "" {
		return &net.UnixAddr{Name: a.Path, Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a.IP)
}
