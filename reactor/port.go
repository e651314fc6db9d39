package reactor

// A port listens, and makes a connection of whatever arrives. It is Twisted's tcp.Port: how many connections it takes at
// a time adapts to how many there were last time, and running out of descriptors costs the newcomers and not the server.

import (
	"errors"
	"fmt"
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
	at        Address
	fd        int
	accepts   int  // how many to take at a time
	shedding  bool // the lack of descriptors was reported
	closed    bool
	started   bool // the factory was told
	dualStack bool
	single    bool         // the socket cannot be bound once for each loop
	file      *socketFile  // of a Unix socket that we have bound; nil for all others
	rest      *DelayedCall // ends the rest; nil if the port never rested
}

// Addr is where the port listens, and the zero AddrPort for a Unix socket. It may be called from any goroutine.
func (p *Port) Addr() netip.AddrPort { return p.at.IP }

// Path is where a Unix socket listens, and empty for others. It may be called from any goroutine.
func (p *Port) Path() string { return p.at.Path }

// StopListening takes the connections that the kernel has queued, for closing would reset them, and closes the port.
// Connections live on. The file of a Unix socket is removed first, with the last port that shares it. It is for the loop,
// or before Run, and may be called again.
func (p *Port) StopListening() {
	if p.closed {
		return
	}
	defer p.close()
	p.file.release(p)
	for range p.options.Backlog {
		if p.closed || p.accept() != acceptNext {
			return // closed by one that was just taken: the number may be somebody else's
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
	p.file.release(p) // before the socket: while that is open nobody else's file can look like ours
	p.r.sys.Close(p.fd)
	delete(p.r.ports, p)
	if p.rest != nil {
		_ = p.rest.Cancel() // it may have ended already
	}
	if p.started {
		p.r.stopFactory(p.factory)
	}
}

// FD is the listening descriptor.
func (p *Port) FD() int { return p.fd }

// ConnectionLost is called by the loop when accepting has failed for good.
func (p *Port) ConnectionLost(reason error) {
	if !p.closed {
		p.r.report(fmt.Errorf("reactor: port %v is closed: %w", p.at, reason))
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
		p.r.report(fmt.Errorf("reactor: port %v turns connections away: %w", p.at, errno))
		if p.closed {
			return acceptNobody // by whoever was told
		}
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
