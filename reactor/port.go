package reactor

// A port listens, and makes a connection of whatever arrives. It is Twisted's tcp.Port: how many connections it takes at
// a time adapts to how many there were last time, and running out of descriptors costs the newcomers and not the server.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	// acceptsPerTick bounds what a burst of newcomers takes from those who are connected; acceptsStep is how fast a port
	// gets there.
	acceptsPerTick = 64
	acceptsStep    = 20

	// acceptRest is how long a port looks away when the system has no room for another connection and no descriptor is
	// left to shed with. Without it the loop would spin on a readable port.
	acceptRest = 100 * time.Millisecond
)

// A Port is a listening socket on a reactor.
type Port struct {
	r         *Reactor
	factory   Factory
	options   TCPOptions
	addr      netip.AddrPort
	fd        int
	accepts   int  // how many to take at a time
	shedding  bool // the lack of descriptors was reported
	closed    bool
	dualStack bool
	rest      *DelayedCall // ends the rest; nil if the port never rested
}

// ListenTCP listens on addr, "host:port", and hands what it accepts to f. An empty host is every address, of IPv4 and
// IPv6 both; port 0 lets the kernel choose, see Addr. It is for the loop, or before Run.
//
// The error is ErrStopped, or a *net.OpError that names the address and wraps the errno: errors.Is(err,
// syscall.EADDRINUSE) when somebody else listens there, also when the port was made Shared.
func (r *Reactor) ListenTCP(addr string, f Factory, o *TCPOptions) (*Port, error) {
	if r.ending || r.stage.Load() == stageEnded {
		return nil, ErrStopped
	}
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &Port{r: r, factory: f, options: o.withDefaults()}
	where := a.AddrPort()
	if a.IP == nil {
		where = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(a.Port))
		p.dualStack = true
	}
	where = netip.AddrPortFrom(where.Addr().Unmap(), where.Port())
	if p.fd, err = p.bind(where); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: err}
	}
	return p, p.start()
}

// bind opens the listening socket. A machine without IPv6 has no dual stack.
func (p *Port) bind(where netip.AddrPort) (int, error) {
	fd, err := p.r.sys.Listen(Address{IP: where}, p.listenOptions())
	if p.dualStack && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		p.dualStack = false
		where = netip.AddrPortFrom(netip.IPv4Unspecified(), where.Port())
		fd, err = p.r.sys.Listen(Address{IP: where}, p.listenOptions())
	}
	return fd, err
}

func (p *Port) listenOptions() ListenOptions {
	return ListenOptions{Backlog: p.options.Backlog, Shared: p.options.Shared, DualStack: p.dualStack}
}

// start has the loop watch the listening socket.
func (p *Port) start() error {
	p.addr = p.r.sys.LocalAddr(p.fd)
	p.options.tune(p.r.sys, p.fd) // what is accepted inherits it
	p.accepts = 1
	p.r.ports[p] = struct{}{}
	if err := p.r.AddReader(p); err != nil {
		p.close()
		return err
	}
	return nil
}

// Share has r2 accept from the same port, with the factory f and the same options. The port must have been made Shared.
// It touches both reactors, so neither may run yet, unless it is on their common goroutine. Where the system can, each
// reactor gets a listening socket of its own and the kernel spreads connections over them; elsewhere they share one.
func (p *Port) Share(r2 *Reactor, f Factory) (*Port, error) {
	if !p.options.Shared {
		return nil, fmt.Errorf("reactor: port %v was not made Shared", p.addr)
	}
	if p.closed {
		return nil, net.ErrClosed
	}
	if r2.ending || r2.stage.Load() == stageEnded {
		return nil, ErrStopped
	}
	p2 := &Port{r: r2, factory: f, options: p.options, dualStack: p.dualStack}
	o := p2.listenOptions()
	o.Sibling = true
	var err error
	if p2.fd, err = r2.sys.Share(p.fd, Address{IP: p.addr}, o); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(p.addr), Err: err}
	}
	return p2, p2.start()
}

// Addr is where the port listens. It may be called from any goroutine.
func (p *Port) Addr() netip.AddrPort { return p.addr }

// StopListening takes the connections that the kernel has queued, for closing would reset them, and closes the port.
// Connections live on. It is for the loop, or before Run, and may be called again.
func (p *Port) StopListening() {
	if p.closed {
		return
	}
	defer p.close()
	for range p.options.Backlog {
		if p.accept() != acceptNext {
			return
		}
	}
}

// close is StopListening without mercy.
func (p *Port) close() {
	if p.closed {
		return
	}
	p.closed = true
	p.r.RemoveReader(p)
	p.r.sys.Close(p.fd)
	delete(p.r.ports, p)
	if p.rest != nil {
		_ = p.rest.Cancel() // it may have ended already
	}
}

// FD is the listening descriptor.
func (p *Port) FD() int { return p.fd }

// ConnectionLost is called by the loop when accepting has failed for good.
func (p *Port) ConnectionLost(reason error) {
	if !p.closed {
		p.r.report(fmt.Errorf("reactor: port %v is closed: %w", p.addr, reason))
		p.close()
	}
}

// DoRead accepts what has arrived: as many as arrived last time, so that the accept that finds nobody is mostly saved,
// and more the next time if these were not all.
func (p *Port) DoRead() error {
	for i := range p.accepts {
		if p.closed {
			return nil // by the protocol just made
		}
		switch p.accept() {
		case acceptNobody:
			p.accepts = max(i, 1)
			return nil
		case acceptExhausted:
			p.pause()
			return nil
		case acceptBroken:
			return errBroken
		}
	}
	p.accepts = min(p.accepts+acceptsStep, acceptsPerTick)
	return nil
}

// What accepting one connection can come to.
type acceptResult uint8

const (
	acceptBroken    acceptResult = iota // the socket is none
	acceptNext                          // go on
	acceptNobody                        // nobody is waiting
	acceptExhausted                     // the system has no room
	acceptShed                          // no descriptor is left
)

// acceptErrors says what each errno of accept(2) means. Linux also reports trouble that the new connection has already
// run into, which says nothing about the port. What is missing means that the port is broken.
var acceptErrors = map[syscall.Errno]acceptResult{
	syscall.EAGAIN:       acceptNobody,
	syscall.EMFILE:       acceptShed,
	syscall.ENFILE:       acceptShed,
	syscall.ENOBUFS:      acceptExhausted,
	syscall.ENOMEM:       acceptExhausted,
	syscall.EINTR:        acceptNext,
	syscall.ECONNABORTED: acceptNext,
	syscall.EPERM:        acceptNext, // a firewall's word
	syscall.EPROTO:       acceptNext,
	syscall.ENETDOWN:     acceptNext,
	syscall.ENOPROTOOPT:  acceptNext,
	syscall.EHOSTDOWN:    acceptNext,
	syscall.EHOSTUNREACH: acceptNext,
	syscall.EOPNOTSUPP:   acceptNext,
	syscall.ENETUNREACH:  acceptNext,
}

var errBroken = errors.New("reactor: accept failed")

// accept takes one connection.
func (p *Port) accept() acceptResult {
	fd, remote, errno := p.r.sys.Accept(p.fd)
	if errno == 0 {
		p.shedding = false
		p.adopt(fd, remote)
		return acceptNext
	}
	result := acceptErrors[errno]
	if result != acceptShed {
		return result
	}
	if !p.shedding {
		p.shedding = true
		p.r.report(fmt.Errorf("reactor: port %v turns connections away: %w", p.addr, errno))
	}
	return p.shed()
}

// shed turns one newcomer away when there is no descriptor for it: the reserve is given up, the newcomer accepted and
// closed, and the reserve taken back. Left in the queue it would wait for ever, and the port be readable all the while.
func (p *Port) shed() acceptResult {
	r := p.r
	if r.reserve < 0 {
		r.openReserve()
	}
	if r.reserve < 0 {
		return acceptExhausted
	}
	r.sys.Close(r.reserve)
	fd, _, errno := r.sys.Accept(p.fd)
	if errno == 0 {
		r.sys.Close(fd)
	}
	r.openReserve()
	if errno == 0 {
		return acceptNext
	}
	if result := acceptErrors[errno]; result != acceptShed {
		return result
	}
	return acceptExhausted // another goroutine was quicker
}

// openReserve opens the descriptor to give up; without one, shedding waits until there is.
func (r *Reactor) openReserve() {
	fd, errno := r.sys.Reserve()
	if errno != 0 {
		fd = -1
	}
	r.reserve = fd
}

// pause stops accepting for a while.
func (p *Port) pause() {
	p.r.RemoveReader(p)
	p.rest = p.r.CallLater(acceptRest, func() {
		if err := p.r.AddReader(p); err != nil {
			p.ConnectionLost(err)
		}
	})
}
