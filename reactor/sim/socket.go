package sim

// A socket, of whatever kind, and where it is bound. All reactors of a world are one process on one machine: they have
// one table of descriptors and one set of ports. The scripts are the rest of the world: their sockets have no
// descriptor.

import (
	"net/netip"
	"syscall"
	"time"

	"microhttp/reactor"
)

type kind uint8

const (
	spare    kind = iota // what Reserve opens
	stream               // a connection, or what is to become one
	listener             // where connections arrive
	datagram             // UDP
)

func (k kind) String() string {
	return [...]string{"spare", "stream", "listening", "datagram"}[k]
}

type socket struct {
	w      *World
	kind   kind
	fd     int     // -1 if it is a script's
	poller *poller // that watched it last
	local  reactor.Address
	remote netip.AddrPort
	closed bool
	err    syscall.Errno // what the next call returns, once
	set    map[reactor.SocketOption]int

	// A listener's.
	options reactor.ListenOptions
	queue   []*socket // connections that were not accepted

	// A stream's; see stream.go.
	peer       *socket
	connecting bool
	broken     bool // it was reset, or never came to be: nothing moves any more
	shut       bool // its writing end
	linger     bool // the coming close is a reset
	fin        bool // the peer's end has arrived
	in         []byte
	flight     []segment
	flying     int           // bytes in flight
	room       int           // for bytes that are in flight or in in
	out        []byte        // what our kernel has taken, and the peer has no room for
	outRoom    int           // for those
	shutAfter  bool          // the end goes out behind them
	closedDown bool          // our window is closed, until a lump of it is free
	latency    time.Duration // the longest for a segment of this connection
	lastAt     time.Duration // when the last of flight arrives

	// A datagram socket's; see datagram.go.
	mail  []packet
	to    netip.AddrPort // the peer that it is connected to
	multi multicast
	dgram reactor.DatagramOptions
}

func (w *World) newSocket(k kind) *socket { return &socket{w: w, kind: k, fd: -1} }

// lookUp finds the socket of a descriptor. To use one that is not open is a fault of the caller's: the number may be
// another socket's by then.
func (w *World) lookUp(fd int, what string) *socket {
	if fd >= 0 && fd < len(w.fds) && w.fds[fd] != nil {
		return w.fds[fd]
	}
	w.note("", what, fd, 0, 0, syscall.EBADF)
	w.Errorf("%s of descriptor %d, which is not open", what, fd)
	return nil
}

// bind gives s its address, and a port if that is 0.
func (w *World) bind(s *socket, at reactor.Address) syscall.Errno {
	if at.Path == "" && at.IP.Port() == 0 {
		for taken := true; taken; {
			w.ports++
			if w.ports < 1024 {
				w.ports = 49152 // it has gone round
			}
			at.IP = netip.AddrPortFrom(at.IP.Addr(), w.ports)
			taken = false
			for _, b := range w.bound {
				taken = taken || b.kind == s.kind && b.local.IP.Port() == w.ports
			}
		}
	}
	for _, b := range w.bound {
		if b.kind == s.kind && clash(s, b, at) {
			return syscall.EADDRINUSE
		}
	}
	s.local = at
	w.bound = append(w.bound, s)
	return 0
}

// clash reports whether s may not have the address because b has it.
func clash(s, b *socket, at reactor.Address) bool {
	if at.Path != "" || b.local.Path != "" {
		return at.Path == b.local.Path
	}
	if at.IP.Port() != b.local.IP.Port() || !overlap(s, at.IP.Addr(), b) {
		return false
	}
	switch {
	case s.kind == datagram:
		return !s.dgram.Shared || !b.dgram.Shared
	case s.options.Sibling:
		return !b.options.Shared && !b.options.ReusePort
	default:
		return !s.options.ReusePort || !b.options.ReusePort
	}
}

// overlap reports whether two sockets would take what is sent to the same address.
func overlap(s *socket, ip netip.Addr, b *socket) bool {
	return takes(ip, s.dual(), b.local.IP.Addr()) || takes(b.local.IP.Addr(), b.dual(), ip)
}

func (s *socket) dual() bool { return s.options.DualStack || s.dgram.DualStack }

// takes reports whether a socket bound to at takes what is sent to ip.
func takes(at netip.Addr, dual bool, ip netip.Addr) bool {
	switch {
	case at == ip:
		return true
	case !at.IsUnspecified():
		return false
	}
	return at.Is4() == ip.Is4() || dual
}

// unbind gives the address back.
func (w *World) unbind(s *socket) {
	for i := range w.bound {
		if w.bound[i] == s {
			w.bound = append(w.bound[:i], w.bound[i+1:]...)
			return
		}
	}
}

// receivers lists who takes what is sent to an address; those that are bound to exactly it go before the others.
func (w *World) receivers(k kind, to reactor.Address) []*socket {
	var exact, wild []*socket
	for _, b := range w.bound {
		switch {
		case b.kind != k:
		case to.Path != "" || b.local.Path != "":
			if to.Path == b.local.Path {
				exact = append(exact, b)
			}
		case b.local.IP == to.IP:
			exact = append(exact, b)
		case b.local.IP.Port() == to.IP.Port() && takes(b.local.IP.Addr(), b.dual(), to.IP.Addr()):
			wild = append(wild, b)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return wild
}

// reachable is where a connection to an unspecified address arrives: at home.
func reachable(to netip.AddrPort) netip.AddrPort {
	ip := to.Addr().Unmap()
	switch {
	case !ip.IsUnspecified():
	case ip.Is4():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, to.Port())
}

// ephemeral is an address for a socket that has not chosen one, to talk to that.
func (w *World) ephemeral(to netip.AddrPort) netip.AddrPort {
	w.ports++
	if w.ports < 1024 {
		w.ports = 49152
	}
	return netip.AddrPortFrom(to.Addr(), w.ports)
}

// ready is what s is ready for, as epoll reports it: trouble is for everybody.
func (s *socket) ready() reactor.Interest {
	const all = reactor.Readable | reactor.Writable | reactor.Fault
	var ready reactor.Interest
	switch s.kind {
	case listener:
		if len(s.queue) > 0 {
			ready = reactor.Readable
		}
	case stream:
		switch {
		case s.connecting:
			return 0
		case s.broken || s.err != 0 || s.fin && s.shut:
			return all
		}
		if len(s.in) > 0 || s.fin {
			ready = reactor.Readable
		}
		if s.shut || s.space()+s.outRoom-len(s.out) > (s.peer.room+s.outRoom)/4 {
			ready |= reactor.Writable
		}
	case datagram:
		ready = reactor.Writable
		if len(s.mail) > 0 || s.err != 0 {
			ready |= reactor.Readable
		}
	}
	return ready
}

// take gives the error that is pending, once.
func (s *socket) take() syscall.Errno {
	errno := s.err
	s.err = 0
	return errno
}

// close closes s, and gives its number back if it has one.
func (s *socket) close() {
	w := s.w
	if s.fd >= 0 {
		if s.poller != nil {
			s.poller.closes(s)
		}
		w.fds[s.fd] = nil
	}
	s.closed = true
	switch s.kind {
	case listener:
		w.unbind(s)
		for _, c := range s.queue {
			c.linger = true // the kernel resets those who were not accepted
			c.close()
		}
		s.queue = nil
	case datagram:
		w.unbind(s)
		s.mail = nil
	case stream:
		s.end()
	}
}
