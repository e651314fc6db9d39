package reactor

// A UDP port: a socket that sends and receives datagrams. Nothing is connected and nothing is lost: a DatagramProtocol is
// told what arrives, one call for each datagram, and sends through its UDPPort.
//
// Both ways go in batches. One system call brings as many datagrams as have arrived and fit into a buffer that all ports
// of the loop share; what is sent is gathered in a buffer of the port, which leaves at the end of the tick in one system
// call. What the kernel does not take waits, up to a bound; beyond it datagrams are dropped and counted, as any router on
// their way would.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"syscall"
)

const (
	// receiveRoom is the buffer of a loop that datagrams are received into, and datagramsPerTick how many at a time at
	// most: the rest of the loop waits meanwhile.
	receiveRoom      = 256 << 10
	datagramsPerTick = 64

	// sendsPerCall is how many datagrams one system call takes at most.
	sendsPerCall = 64

	defaultMaxDatagram = 8 << 10   // Twisted's maxPacketSize
	defaultSendBuffer  = 256 << 10 // about what a socket buffers by itself
	largestDatagram    = 65507     // what IPv4 leaves of 64 KiB

	// datagramOverhead is what a waiting datagram counts beside its bytes, so that a bound holds for empty ones, too.
	datagramOverhead = 64
)

// A DatagramProtocol gets what happens to a UDP port. Every method is called on the loop and must not block. A panic
// in one of them is reported and costs the datagram that it was about, not the port.
//
// A DatagramProtocol may also be a DatagramErrorHandler.
type DatagramProtocol interface {
	// StartProtocol is called once, first, by ListenUDP. The port is there to send with. A panic comes out of ListenUDP and
	// leaves nothing listening; StopProtocol is not called then, and what was written is not sent.
	StartProtocol(p *UDPPort)

	// DatagramReceived brings one datagram, which may be empty. The bytes are lent: they belong to the loop again when it
	// returns.
	DatagramReceived(p []byte, from netip.AddrPort)

	// StopProtocol is called exactly once, last, when the socket is closed: ErrConnectionDone after StopListening,
	// ErrShutdown when the reactor stops, or ErrConnectionLost when the socket failed.
	StopProtocol(reason error)
}

// A DatagramErrorHandler is a DatagramProtocol that wants to know of datagrams that came to nothing.
type DatagramErrorHandler interface {
	// ErrorReceived gets an errno that the kernel gave for a datagram to peer, or, for a connected port, that the peer's
	// machine sent back (ECONNREFUSED); or ErrTruncated for one from peer that was longer than MaxDatagram. peer is the
	// zero AddrPort where that is not known. The port lives on.
	ErrorReceived(peer netip.AddrPort, err error)
}

// UDPOptions are the options of ListenUDP. Nil and the zero value are the defaults.
type UDPOptions struct {
	// MaxDatagram is the longest datagram that is received, in bytes. A longer one is dropped, and told as ErrTruncated:
	// half a message is never handed over. Default 8192; the most is 65507.
	MaxDatagram int

	// SendBuffer is how many bytes may wait for the socket to take them, each datagram counted with 64 more. Datagrams
	// beyond are dropped and counted in UDPStats. Default 256 KiB.
	SendBuffer int

	// Shared lets other sockets of this machine bind the same address. It is for multicast, where each of them receives
	// everything; of other datagrams only one of them gets each.
	Shared bool

	// KernelReadBuffer and KernelWriteBuffer are what the kernel is asked to buffer, in bytes (SO_RCVBUF, SO_SNDBUF). 0 is
	// its own default.
	KernelReadBuffer, KernelWriteBuffer int
}

// UDPStats counts what has become of a port's datagrams.
type UDPStats struct {
	Received  uint64 // handed to DatagramReceived
	Truncated uint64 // dropped on arrival: longer than MaxDatagram
	Sent      uint64 // taken by the kernel
	Dropped   uint64 // never sent: SendBuffer was full, or the port was closed while they waited
	Failed    uint64 // refused by the kernel
}

// ErrTruncated is the error of a datagram that was longer than MaxDatagram.
var ErrTruncated = errors.New("reactor: datagram truncated")

// A UDPPort is a UDP socket on a reactor. Its methods are for the loop, or before Run.
type UDPPort struct {
	r         *Reactor
	proto     DatagramProtocol
	fd        int
	addr      atomic.Pointer[netip.AddrPort]
	connected bool
	closed    bool // it has left the loop, or is about to
	dualStack bool
	is6       bool // the socket, also when it is connected to an IPv4 peer
	maxSize   int
	bound     int
	stats     UDPStats

	queue    []queuedDatagram // waits for the socket
	out      []byte           // the queue's bytes, end to end
	touched  bool             // on the reactor's list
	full     bool             // the socket takes no more until it is writable
	flushing bool             // is sending, and ErrorReceived may be running
}

// A queuedDatagram is how many of the port's waiting bytes go to whom.
type queuedDatagram struct {
	to   netip.AddrPort
	size int
}

var (
	_ Reader = (*UDPPort)(nil)
	_ Writer = (*UDPPort)(nil)
)

// ListenUDP binds a UDP socket to addr, "host:port", and hands what arrives to proto. An empty host is every address, of
// IPv4 and IPv6 both; port 0 lets the kernel choose, see Addr. It is for the loop, or before Run.
//
// A host that is a name is looked up, which blocks: give an address when the reactor is running. The error is ErrStopped,
// or a *net.OpError that names the address and wraps the errno.
func (r *Reactor) ListenUDP(addr string, proto DatagramProtocol, o *UDPOptions) (*UDPPort, error) {
	if r.over() {
		return nil, ErrStopped
	}
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err} // which names addr itself
	}
	var options UDPOptions
	if o != nil {
		options = *o
	}
	p := &UDPPort{
		r: r, proto: proto, dualStack: a.IP == nil,
		maxSize: min(orDefault(options.MaxDatagram, defaultMaxDatagram), largestDatagram),
		bound:   orDefault(options.SendBuffer, defaultSendBuffer),
	}
	where := netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), uint16(a.Port))
	if p.dualStack {
		where = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(a.Port))
	}
	if err := p.open(where, options); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: a, Err: err}
	}
	started := false
	defer func() {
		if !started && !p.closed {
			p.abandon()
		}
	}()
	proto.StartProtocol(p)
	started = true
	return p, nil
}

// abandon closes a port whose StartProtocol has panicked or ended the goroutine. StopProtocol is not called.
func (p *UDPPort) abandon() {
	p.r.fds.expel(p)
	p.r.sys.Close(p.fd)
	p.fd, p.closed = -1, true
	p.queue, p.out = nil, nil
}

// open binds the socket and has the loop watch it. A machine without IPv6 has no dual stack.
func (p *UDPPort) open(where netip.AddrPort, o UDPOptions) (err error) {
	sys := p.r.sys
	options := DatagramOptions{
		DualStack: p.dualStack, Shared: o.Shared, ReadBuffer: o.KernelReadBuffer, WriteBuffer: o.KernelWriteBuffer,
	}
	p.fd, err = sys.ListenDatagram(where, options)
	if p.dualStack && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		options.DualStack, p.dualStack = false, false
		p.fd, err = sys.ListenDatagram(netip.AddrPortFrom(netip.IPv4Unspecified(), where.Port()), options)
	}
	if err != nil {
		return err
	}
	p.readAddr()
	p.is6 = p.Addr().Addr().Is6()
	p.r.fds.claim(p.fd, nil) // its owner in the table has closed it unnoticed
	if p.r.datagrams == nil {
		p.r.datagrams = &datagrams{in: make([]byte, receiveRoom)}
	}
	if err := p.r.AddReader(p); err != nil {
		sys.Close(p.fd)
		return err
	}
	return nil
}

// Addr is where the port is bound. It may be called from any goroutine.
func (p *UDPPort) Addr() netip.AddrPort { return *p.addr.Load() }

// readAddr asks the system for Addr.
func (p *UDPPort) readAddr() {
	addr := p.r.sys.LocalAddr(p.fd)
	p.addr.Store(&addr)
}

// Reactor is the loop that the port lives on.
func (p *UDPPort) Reactor() *Reactor { return p.r }

// Stats returns the counts so far.
func (p *UDPPort) Stats() UDPStats { return p.stats }

// FD is the descriptor, -1 when it is closed.
func (p *UDPPort) FD() int { return p.fd }

// Connect fixes the peer: only its datagrams arrive from now on, Write sends to it, and what its machine reports
// (ECONNREFUSED: no socket listens) goes to ErrorReceived. What is queued is sent first, but not from within ErrorReceived.
// It returns the errno, or net.ErrClosed.
func (p *UDPPort) Connect(to netip.AddrPort) error {
	if p.closed {
		return net.ErrClosed
	}
	_ = p.flush() // as in WriteTo
	if errno := p.r.sys.ConnectDatagram(p.fd, p.reachable(to)); errno != 0 {
		return errno
	}
	p.connected = true
	p.readAddr() // a wildcard has become an address
	return nil
}

// WriteTo sends one datagram to an address: at the end of the tick, together with all else that is sent in it. It copies
// b, which is free on return. What the kernel says of it later goes to ErrorReceived; on a port that is closed it does
// nothing.
func (p *UDPPort) WriteTo(b []byte, to netip.AddrPort) {
	if p.closed {
		return
	}
	if len(p.queue) >= sendsPerCall && !p.full {
		_ = p.flush() // a socket that is broken is found so again at the end of the tick
	}
	waiting := len(p.out) + len(p.queue)*datagramOverhead
	switch {
	case len(b) > largestDatagram:
		p.stats.Failed++
		p.tell(to, syscall.EMSGSIZE)
		return
	case waiting > 0 && waiting+len(b)+datagramOverhead > p.bound:
		p.stats.Dropped++
		return
	}
	p.queue = append(p.queue, queuedDatagram{p.reachable(to), len(b)})
	p.out = append(p.out, b...)
	if !p.touched {
		p.touched = true
		p.r.touched.add(p)
	}
}

// Write is WriteTo the peer of Connect.
func (p *UDPPort) Write(b []byte) { p.WriteTo(b, netip.AddrPort{}) }

// reachable is to as the family of the socket has it.
func (p *UDPPort) reachable(to netip.AddrPort) netip.AddrPort {
	switch ip := to.Addr(); {
	case p.is6 && ip.Is4():
		return netip.AddrPortFrom(netip.AddrFrom16(ip.As16()), to.Port())
	case !p.is6 && ip.Is4In6():
		return netip.AddrPortFrom(ip.Unmap(), to.Port())
	}
	return to
}

// StopListening sends what the socket takes at once of what is queued, though not from within ErrorReceived, and closes the
// port. StopProtocol is called at the end of the tick. It may be called again.
func (p *UDPPort) StopListening() {
	if !p.closed {
		p.closed = true
		_ = p.flush() // it is closed anyway
		p.r.lose(p, ErrConnectionDone)
	}
}

// ConnectionLost is called by the reap step.
func (p *UDPPort) ConnectionLost(reason error) {
	p.closed = true
	p.r.sys.Close(p.fd)
	p.fd = -1
	p.stats.Dropped += uint64(len(p.queue))
	p.queue, p.out = nil, nil
	p.proto.StopProtocol(reason)
}

// DoRead takes one batch of what has arrived. Where there is more the poller will say so.
func (p *UDPPort) DoRead() error {
	batch := p.r.datagrams.room(p.maxSize)
	n, errno := p.r.sys.Receive(p.fd, batch)
	if errno == syscall.EINVAL { // there is no address that could be to blame
		return lost(errno)
	}
	if errno != 0 {
		return p.failed(netip.AddrPort{}, errno)
	}
	for i := range batch[:n] {
		if p.closed {
			break // by a datagram before; the rest is dropped, as what had not arrived yet
		}
		p.deliver(&batch[i])
	}
	return nil
}

// deliver hands one datagram over, and keeps its panic from the others.
func (p *UDPPort) deliver(d *Datagram) {
	defer p.contain()
	if d.Truncated {
		p.stats.Truncated++
		p.tell(d.Addr, ErrTruncated)
		return
	}
	p.stats.Received++
	p.proto.DatagramReceived(d.Bytes, d.Addr)
}

func (p *UDPPort) contain() {
	if v := recover(); v != nil {
		p.r.report(&PanicError{Value: v, Stack: debug.Stack()})
	}
}

// failed is what an errno of the socket comes to. Most are about one datagram, which may be long gone.
func (p *UDPPort) failed(peer netip.AddrPort, errno syscall.Errno) error {
	switch errno {
	case syscall.EAGAIN, syscall.EINTR:
		return nil
	case syscall.EBADF, syscall.ENOTSOCK, syscall.EFAULT:
		return lost(errno)
	}
	p.tell(peer, errno)
	return nil
}

// tell tells of a datagram that has come to nothing, and keeps a panic from its caller.
func (p *UDPPort) tell(peer netip.AddrPort, err error) {
	defer p.contain()
	if h, ok := p.proto.(DatagramErrorHandler); ok {
		h.ErrorReceived(peer, err)
	}
}

// DoWrite goes on sending.
func (p *UDPPort) DoWrite() error {
	p.full = false
	return p.settleTouched()
}

// settleTouched sends what was queued in this tick, and has the loop watch for the socket when that was not all.
func (p *UDPPort) settleTouched() error {
	p.touched = false
	if p.closed {
		return nil
	}
	reason := p.flush()
	switch {
	case p.closed:
		return nil // by ErrorReceived, and will be told
	case reason != nil:
		return reason
	case !p.full:
		p.r.RemoveWriter(p)
		return nil
	}
	if err := p.r.AddWriter(p); err != nil {
		return &lostError{err}
	}
	return nil
}

// flush sends the queue, as far as the socket takes it. Each round sends or drops at least one datagram. What ErrorReceived
// has queued meanwhile waits for the next flush, or one that sends again what has failed would never come to an end.
func (p *UDPPort) flush() error {
	if p.flushing {
		return nil
	}
	p.flushing = true
	defer func() { p.flushing = false }()
	for left := len(p.queue); left > 0 && !p.full; {
		n, errno := p.r.sys.Send(p.fd, p.r.datagrams.fill(p.queue[:left], p.out))
		switch errno {
		case 0:
			p.stats.Sent += uint64(n)
			p.shift(n)
			left -= n
		case syscall.EAGAIN:
			p.full = true
		case syscall.EINTR:
		default: // the first of the batch is to blame
			p.stats.Failed++
			to := p.queue[0].to
			p.shift(1)
			left--
			if reason := p.failed(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), errno); reason != nil {
				return reason
			}
		}
	}
	return nil
}

// shift takes the first n datagrams out of the queue.
func (p *UDPPort) shift(n int) {
	size := 0
	for _, d := range p.queue[:n] {
		size += d.size
	}
	if n == len(p.queue) && cap(p.out) > defaultSendBuffer {
		p.queue, p.out = nil, nil // a rare burst should not be paid for for ever
		return
	}
	p.queue = p.queue[:copy(p.queue, p.queue[n:])]
	p.out = p.out[:copy(p.out, p.out[size:])]
}

// String names the port in logs.
func (p *UDPPort) String() string { return fmt.Sprintf("udp %v", p.Addr()) }

// datagrams is what the UDP ports of a loop share.
type datagrams struct {
	in       []byte
	incoming [datagramsPerTick]Datagram
	outgoing [sendsPerCall]Datagram
}

// room is a batch to receive into, of datagrams of at most size bytes.
func (d *datagrams) room(size int) []Datagram {
	n := min(len(d.in)/size, datagramsPerTick)
	for i := range d.incoming[:n] {
		d.incoming[i] = Datagram{Bytes: d.in[i*size : (i+1)*size : (i+1)*size]}
	}
	return d.incoming[:n]
}

// fill is a batch to send: the first of the queue.
func (d *datagrams) fill(queue []queuedDatagram, out []byte) []Datagram {
	n := min(len(queue), sendsPerCall)
	for i, q := range queue[:n] {
		d.outgoing[i] = Datagram{Bytes: out[:q.size], Addr: q.to}
		out = out[q.size:]
	}
	return d.outgoing[:n]
}
