package reactor

// A port listens, and makes a connection of whatever arrives. It is Twisted's tcp.Port: how many connections it takes at
// a time adapts to how many there were last time, and running out of descriptors costs the newcomers and not the server.

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// acceptsPerTick bounds what a burst of newcomers takes from those who are connected; acceptsStep is how fast a port
	// gets there.
	acceptsPerTick = 64
	acceptsStep    = 20
)

// A Port is a listening socket on a reactor.
type Port struct {
	r         *Reactor
	factory   Factory
	options   TCPOptions
	at        Address
	fd        int
	accepts   int // how many to take at a time
	failures  int // how many accepts have failed since the last that succeeded
	closed    bool
	started   bool // the factory was told
	dualStack bool
	single    bool         // the socket cannot be bound once for each loop
	file      *socketFile  // of a Unix socket that we have bound; nil for all others
	rest      *DelayedCall // ends the rest; nil if the port never rested
	rested    time.Duration
	trouble   *acceptTrouble // shared with all that share the port
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
		if p.closed {
			return // by one that was just taken: the number may be another's
		}
		if result, errno := p.accept(); result != acceptNext {
			p.disownIfForeign(errno)
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
	p.leave()
	p.file.release(p) // before the socket: while that is open no other file can look like ours
	if p.fd >= 0 {
		p.r.sys.Close(p.fd)
	}
	if p.rest != nil {
		_ = p.rest.Cancel() // it may have ended already
	}
	if p.started {
		p.r.stopFactory(p.factory)
	}
}

// leave takes the port off the loop.
func (p *Port) leave() {
	p.r.RemoveReader(p)
	delete(p.r.ports, p)
}

// FD is the listening descriptor.
func (p *Port) FD() int { return p.fd }

// DoRead accepts what has arrived: as many as arrived last time, so that the accept that finds no newcomer is mostly saved,
// and more the next time if these were not all.
func (p *Port) DoRead() error {
	for i := range p.accepts {
		if p.closed {
			return nil // by the protocol just made
		}
		switch result, errno := p.accept(); result {
		case acceptNobody:
			p.accepts = max(i, 1)
			return nil
		case acceptRest:
			p.pause()
			return nil
		case acceptBroken:
			return os.NewSyscallError("accept", errno)
		}
	}
	p.accepts = min(p.accepts+acceptsStep, acceptsPerTick)
	return nil
}

// ConnectionLost is called by the loop when the socket is none any more.
func (p *Port) ConnectionLost(reason error) {
	if p.closed {
		return
	}
	p.disownIfForeign(reason)
	p.r.report(fmt.Errorf("reactor: port %v is closed: %w", p.at, reason))
	p.close()
}

// disownIfForeign lets go of a descriptor that is closed already, or that is no socket: its number may belong to something
// else by now, which is not ours to close.
func (p *Port) disownIfForeign(reason error) {
	if errors.Is(reason, syscall.EBADF) || errors.Is(reason, syscall.ENOTSOCK) {
		p.disown()
	}
}
