package reactor

// The bottom seam. Everything that a reactor asks of the kernel it asks of a System: what is ready, the socket
// operations, the time. The loop, the port and the transport above it are written once, and a simulation that replaces
// exactly this interface runs them unchanged under a virtual clock and faults of its choosing.
//
// The hot calls return a syscall.Errno and not an error, because an interface value of an errno may cost an allocation
// and a type switch where a comparison is enough.

import (
	"net/netip"
	"syscall"
	"time"
)

// Interest is what a descriptor is watched for, and what it is found ready for.
type Interest uint8

// The two interests; they combine.
const (
	Readable Interest = 1 << iota
	Writable
)

// An Event is one ready descriptor. Gen is the generation it was watched under, so that an event meant for an earlier
// owner of the same number is told apart and dropped. An error or a hang-up is ready for both interests: the loop asks
// whoever watches, and the read or the write says what it is.
type Event struct {
	FD    int32
	Gen   uint32
	Ready Interest
}

// A Poller says which descriptors are ready. All methods but Wake are called on the loop's goroutine.
type Poller interface {
	// Update tells the interest that there was and the interest that there is now; the poller derives add, modify or
	// delete. Interest 0 watches nothing, not even faults.
	Update(fd int, gen uint32, old, now Interest) error
	// Forget says that fd, last watched for old, is closed next. A poller that learns it from close(2) does nothing.
	Forget(fd int, old Interest)
	// Poll reports what is ready without waiting.
	Poll(events []Event) (int, error)
	// Wait reports what is ready, and sleeps until something is, or Wake, or until is reached; the zero time is never.
	// It may return early with nothing.
	Wait(events []Event, until time.Time) (int, error)
	// Wake ends a Wait, this one or the next. It may be called from any goroutine, not after Close has begun.
	Wake()
	// Close frees what the poller holds.
	Close() error
}

// ListenOptions is how a System makes a listening socket.
type ListenOptions struct {
	Backlog   int  // of listen(2)
	Shared    bool // siblings may join it later
	Sibling   bool // joins a Shared socket that listens on the same address
	DualStack bool // the address is the IPv6 wildcard and stands for IPv4 too
}

// A System is all that a reactor needs from below. Config.System replaces it; nil is the kernel. Descriptors are small
// non-negative numbers that the System hands out and may use again after Close. All methods are called on the loop's
// goroutine, or before Run.
type System interface {
	// Now is the clock: wall time together with a monotonic reading.
	Now() time.Time
	// NewPoller makes the poller of that name, "" being the best; and Pollers lists the names, the best first.
	NewPoller(name string) (Poller, error)
	Pollers() []string

	// Listen makes a non-blocking listening socket whose accepted sockets have TCP_NODELAY set.
	Listen(addr netip.AddrPort, o ListenOptions) (fd int, err error)
	// Share makes another descriptor that accepts from the same port as fd, which was made Shared.
	Share(fd int, addr netip.AddrPort, o ListenOptions) (fd2 int, err error)
	// Accept takes one connection; its descriptor is non-blocking and closed on exec.
	Accept(fd int) (conn int, remote netip.AddrPort, errno syscall.Errno)
	// LocalAddr is getsockname(2); the zero AddrPort when it fails.
	LocalAddr(fd int) netip.AddrPort

	// Read and Write are read(2) and write(2). n is 0 when errno is not.
	Read(fd int, p []byte) (n int, errno syscall.Errno)
	Write(fd int, p []byte) (n int, errno syscall.Errno)
	// CloseWrite sends what is queued in the kernel and then the end.
	CloseWrite(fd int) syscall.Errno
	// Reset makes the coming Close send a reset and drop what is queued in the kernel.
	Reset(fd int)
	// Close frees the number at once, whatever it returns.
	Close(fd int) syscall.Errno
	// Reserve opens a descriptor of no use but to be closed when no other is left.
	Reserve() (fd int, errno syscall.Errno)
}
