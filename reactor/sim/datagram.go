package sim

// UDP and multicast. Datagrams travel alone: each arrives, or not, at a time of its own.

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"microhttp/reactor"
)

// mailboxSize is how many bytes a datagram socket keeps when it was not told; what is beyond is dropped.
const mailboxSize = 64 << 10

// largestDatagram is the most that fits into a UDP datagram over IPv4.
const largestDatagram = 65507

type packet struct {
	data []byte
	from netip.AddrPort
}

type multicast struct {
	groups map[netip.Addr]int // how often it was joined, over all interfaces
	silent bool               // what it sends does not come back to this machine
	ttl    *int               // nil is 1, the default
}

// sendTo sends one datagram.
func (w *World) sendTo(s *socket, data []byte, to netip.AddrPort) syscall.Errno {
	if s.err != 0 {
		return s.take()
	}
	if !to.IsValid() {
		to = s.to
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	switch {
	case !to.IsValid():
		return syscall.EDESTADDRREQ
	case to.Port() == 0:
		return syscall.EINVAL
	case len(data) > largestDatagram:
		return syscall.EMSGSIZE
	}
	p := packet{append([]byte(nil), data...), s.local.IP}
	if ip := p.from.Addr(); ip.IsUnspecified() {
		p.from = netip.AddrPortFrom(reachable(netip.AddrPortFrom(sameFamily(to.Addr()), 1)).Addr(), p.from.Port())
	}
	copies := 1
	if w.chance(w.c.Doubled) {
		copies = 2
	}
	for range copies {
		if !w.chance(w.c.Lost) {
			w.mail(s, p, to)
		}
	}
	return 0
}

// sameFamily is the unspecified address of ip's family.
func sameFamily(ip netip.Addr) netip.Addr {
	if ip.Unmap().Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// mail puts a packet under way.
func (w *World) mail(s *socket, p packet, to netip.AddrPort) {
	at := max(s.lastAt, w.now+w.upTo(w.c.Latency/10))
	if w.chance(w.c.Overtaken) {
		at += w.upTo(w.c.Latency)
	} else {
		s.lastAt = at
	}
	w.schedule(event{at: at, f: func() { w.deliver(s, p, to) }})
}

// deliver is the arrival of a packet.
func (w *World) deliver(from *socket, p packet, to netip.AddrPort) {
	if to.Addr().IsMulticast() {
		for _, s := range w.bound {
			joined := s.kind == datagram && s.local.IP.Port() == to.Port() && s.multi.groups[to.Addr().WithZone("")] > 0
			if joined && from.reaches(s) {
				s.put(p)
			}
		}
		return
	}
	all := w.receivers(datagram, reactor.Address{IP: reachable(to)})
	if len(all) == 0 {
		if from.to.IsValid() && !from.closed { // a connected socket learns of it
			from.err = syscall.ECONNREFUSED
		}
		return
	}
	all[w.rng.IntN(len(all))].put(p)
}

// reaches reports whether what s sends to a group that to has joined gets there. The reactors are on one machine, each
// script is on another.
func (s *socket) reaches(to *socket) bool {
	here := s == to || s.fd >= 0 && to.fd >= 0
	if here {
		return !s.multi.silent
	}
	return s.multi.ttl == nil || *s.multi.ttl > 0
}

// put adds to what can be received.
func (s *socket) put(p packet) {
	if s.closed || s.to.IsValid() && s.to != p.from {
		return
	}
	size, limit := len(p.data), s.dgram.ReadBuffer
	if limit <= 0 {
		limit = mailboxSize
	}
	for _, q := range s.mail {
		size += len(q.data)
	}
	if size <= limit {
		s.mail = append(s.mail, p)
	}
}

func (s *socket) connectTo(to netip.AddrPort) {
	s.to = reachable(to)
	s.remote = s.to
	if s.local.IP.Addr().IsUnspecified() {
		s.local.IP = netip.AddrPortFrom(s.to.Addr(), s.local.IP.Port())
	}
}

func (s *system) ListenDatagram(at netip.AddrPort, o reactor.DatagramOptions) (int, error) {
	w := s.enter()
	defer w.leave()
	d := w.newSocket(datagram)
	d.dgram = o
	fd, errno := w.open(d)
	if errno == 0 {
		if errno = w.bind(d, reactor.Address{IP: at}); errno != 0 {
			d.close()
		}
	}
	return w.opened("bind", fd, errno)
}

// datagramOf finds the socket that something is to be done with.
func (w *World) datagramOf(fd int, what string) (*socket, syscall.Errno) {
	switch d := w.lookUp(fd, what); {
	case d == nil:
		return nil, syscall.EBADF
	case d.kind != datagram:
		return nil, syscall.EOPNOTSUPP
	default:
		return d, 0
	}
}

func (s *system) ConnectDatagram(fd int, to netip.AddrPort) syscall.Errno {
	w := s.enter()
	defer w.leave()
	d, errno := w.datagramOf(fd, "connect")
	if d != nil {
		d.connectTo(to)
	}
	w.note("", "connect", fd, 0, 0, errno)
	return errno
}

func (s *system) Receive(fd int, batch []reactor.Datagram) (int, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	d, errno := w.datagramOf(fd, "receive")
	n := 0
	switch {
	case d == nil:
	case w.chance(w.c.Interrupt):
		errno = syscall.EINTR
	case d.err != 0:
		errno = d.take()
	case len(d.mail) == 0 || w.chance(w.c.Again):
		errno = syscall.EAGAIN
	default:
		n = d.receive(batch)
	}
	w.note("", "receive", fd, n, len(batch), errno)
	return n, errno
}

func (s *socket) receive(batch []reactor.Datagram) int {
	s.poller.poison()
	n := min(len(s.mail), len(batch))
	if n > 1 && s.w.chance(s.w.c.Split) {
		n = 1 + s.w.rng.IntN(n)
	}
	for i, p := range s.mail[:n] {
		b := &batch[i]
		b.Truncated = len(p.data) > len(b.Bytes)
		b.Bytes = b.Bytes[:copy(b.Bytes, p.data)]
		b.Addr = p.from
		s.poller.lends(b.Bytes)
	}
	s.mail = s.mail[n:]
	return n
}

func (s *system) Send(fd int, batch []reactor.Datagram) (int, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	d, errno := w.datagramOf(fd, "send")
	n := 0
	switch {
	case d == nil || len(batch) == 0:
	case w.chance(w.c.Interrupt):
		errno = syscall.EINTR
	case w.chance(w.c.Again):
		errno = syscall.EAGAIN
	default:
		most := len(batch)
		if most > 1 && w.chance(w.c.Partial) {
			most = 1 + w.rng.IntN(most)
		}
		for n < most {
			if errno = w.sendTo(d, batch[n].Bytes, batch[n].Addr); errno != 0 {
				break
			}
			n++
		}
		if n > 0 {
			errno = 0 // the next call tells it
		}
	}
	w.note("", "send", fd, n, len(batch), errno)
	return n, errno
}

func (s *system) Multicast(fd int, o reactor.MulticastOptions) error {
	w := s.enter()
	defer w.leave()
	d, errno := w.datagramOf(fd, "set multicast")
	if d != nil {
		errno = d.multi.set(o)
	}
	w.note("", "set multicast", fd, int(o.Do), 0, errno)
	if errno != 0 {
		return os.NewSyscallError("setsockopt", errno)
	}
	return nil
}

func (m *multicast) set(o reactor.MulticastOptions) syscall.Errno {
	group := o.Group.WithZone("")
	switch o.Do {
	case reactor.JoinGroup:
		switch {
		case !group.IsMulticast():
			return syscall.EINVAL
		case m.groups[group] > 0:
			return syscall.EADDRINUSE
		case m.groups == nil:
			m.groups = map[netip.Addr]int{}
		}
		m.groups[group]++
	case reactor.LeaveGroup:
		if m.groups[group] == 0 {
			return syscall.EADDRNOTAVAIL
		}
		delete(m.groups, group)
	case reactor.SetLoopback:
		m.silent = o.Value == 0
	case reactor.SetTTL:
		m.ttl = &o.Value
	case reactor.SetInterface: // there is one
	}
	return 0
}

// A PacketConn is a script's UDP socket, a net.PacketConn.
type PacketConn struct {
	s        *socket
	deadline time.Duration
}

var _ net.PacketConn = (*PacketConn)(nil)

// ListenPacket gives a script a UDP socket; port 0 is any. It may be called before Run.
func (w *World) ListenPacket(at netip.AddrPort) (*PacketConn, error) {
	c := &PacketConn{w.newSocket(datagram), never}
	c.s.dgram.Shared = at.Port() != 0 // scripts are on machines of their own
	if errno := w.bind(c.s, reactor.Address{IP: at}); errno != 0 {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(at), Err: errno}
	}
	return c, nil
}

// ReadFrom implements net.PacketConn.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromAddrPort waits for a datagram.
func (c *PacketConn) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	s := c.s
	s.w.parkScript("a datagram", c.deadline, func() bool { return len(s.mail) > 0 || s.closed })
	switch {
	case s.closed:
		return 0, netip.AddrPort{}, c.error("read", net.ErrClosed)
	case len(s.mail) == 0:
		return 0, netip.AddrPort{}, c.error("read", os.ErrDeadlineExceeded)
	}
	m := s.mail[0]
	s.mail = s.mail[1:]
	s.w.note("", "receives", -1, len(m.data), 0, 0)
	return copy(p, m.data), m.from, nil
}

// WriteTo implements net.PacketConn; to is a *net.UDPAddr.
func (c *PacketConn) WriteTo(p []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.error("write", syscall.EAFNOSUPPORT)
	}
	return c.WriteToAddrPort(p, a.AddrPort())
}

// WriteToAddrPort sends a datagram. It does not wait.
func (c *PacketConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if c.s.closed {
		return 0, c.error("write", net.ErrClosed)
	}
	c.s.w.note("", "sends", -1, len(p), 0, 0)
	if errno := c.s.w.sendTo(c.s, p, to); errno != 0 {
		return 0, c.error("write", errno)
	}
	return len(p), nil
}

// Join has the socket receive what is sent to a multicast group.
func (c *PacketConn) Join(group netip.Addr) error {
	if errno := c.s.multi.set(reactor.MulticastOptions{Do: reactor.JoinGroup, Group: group}); errno != 0 {
		return c.error("join", errno)
	}
	return nil
}

func (c *PacketConn) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}

// Close implements net.PacketConn.
func (c *PacketConn) Close() error {
	if !c.s.closed {
		c.s.close()
	}
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.s.local.IP) }

// AddrPort is the socket's address.
func (c *PacketConn) AddrPort() netip.AddrPort { return c.s.local.IP }

// SetDeadline implements net.PacketConn; t is the world's time. Sending does not wait.
func (c *PacketConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.deadline = c.s.w.deadline(t)
	return nil
}

// SetWriteDeadline implements net.PacketConn.
func (c *PacketConn) SetWriteDeadline(time.Time) error { return nil }
