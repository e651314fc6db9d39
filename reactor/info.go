package reactor

// What only some connections have: addresses, and below those a socket. A layer replaces what it knows better by embedding
// an Info, and passes the rest through.

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// Info says what a connection is on, beyond the stream of bytes that a Transport is. A layer that knows an address better
// embeds the Info of the Transport below it and has its own RemoteAddr. A connection without a socket returns the zero Socket.
type Info interface {
	// LocalAddr is the address of our end. It asks the kernel, and so is for the loop. It is the zero AddrPort when the
	// connection is lost, and for a Unix socket.
	LocalAddr() netip.AddrPort

	// RemoteAddr is the address of the peer. It costs nothing and holds also when the connection is lost. It is the zero
	// AddrPort for a Unix socket. An IPv4 address is given as IPv4, also on a dual-stack port.
	RemoteAddr() netip.AddrPort

	// Socket is the socket that the bytes pass through, at the bottom of all layers.
	Socket() Socket
}

// A Socket is the socket of a connection: its descriptor and its options. All methods are for the loop. The zero Socket is
// none: its FD is -1 and its methods return errors.ErrUnsupported. Once the connection is lost they return net.ErrClosed,
// and else the errno, such as EOPNOTSUPP for an option of TCP on a Unix socket.
type Socket struct{ t *transport }

// FD is the descriptor, or -1. It belongs to the connection, which closes it: Detach gives it away.
func (s Socket) FD() int {
	if s.t == nil {
		return -1
	}
	return int(s.t.fd)
}

// SetNoDelay overrides Nagle of TransportOptions: true is TCP_NODELAY, which is the default.
func (s Socket) SetNoDelay(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return s.set(OptionNoDelay, value)
}

// NoDelay reports whether TCP_NODELAY is set.
func (s Socket) NoDelay() (bool, error) {
	n, err := s.get(OptionNoDelay)
	return n != 0, err
}

// A KeepAlive is how TCP asks after a silent peer: see TransportOptions. An Idle of 0 is not at all.
type KeepAlive struct {
	Idle, Interval time.Duration
	Count          int
}

// SetKeepAlive overrides KeepAlive, KeepAliveInterval and KeepAliveCount of TransportOptions. An Idle of 0 switches
// keep-alive off. Values of zero or less beside it are the defaults. Systems count whole seconds, rounded up.
func (s Socket) SetKeepAlive(k KeepAlive) error {
	if err := s.usable(); err != nil {
		return err
	}
	interval, count := orDefault(k.Interval, defaultKeepAliveInterval), orDefault(k.Count, defaultKeepAliveCount)
	if errno := s.t.r.sys.SetKeepAlive(s.FD(), max(k.Idle, 0), interval, count); errno != 0 {
		return errno
	}
	return nil
}

// KeepAlive returns what is set.
func (s Socket) KeepAlive() (k KeepAlive, err error) {
	on, err := s.get(OptionKeepAlive)
	if err != nil || on == 0 {
		return k, err
	}
	var values [3]int
	for i := range values {
		if values[i], err = s.get(OptionKeepAliveIdle + SocketOption(i)); err != nil {
			return k, err
		}
	}
	return KeepAlive{time.Duration(values[0]) * time.Second, time.Duration(values[1]) * time.Second, values[2]}, nil
}

// SetTTL sets how many routers a packet may pass: the time to live of IPv4, the hop limit of IPv6, from 1 to 255.
func (s Socket) SetTTL(n int) error { return s.set(OptionTTL, n) }

// TTL returns the time to live, or the hop limit.
func (s Socket) TTL() (int, error) { return s.get(OptionTTL) }

// SetTOS sets the type of service of IPv4, or the traffic class of IPv6, from 0 to 255. The upper six bits are the DSCP of
// RFC 2474.
func (s Socket) SetTOS(n int) error { return s.set(OptionTOS, n) }

// TOS returns the type of service, or the traffic class.
func (s Socket) TOS() (int, error) { return s.get(OptionTOS) }

// SetReadBuffer sets how many bytes the kernel buffers of what has arrived. Linux takes twice as much, for its own
// bookkeeping, and ends its own tuning of the buffer.
func (s Socket) SetReadBuffer(n int) error { return s.set(OptionReadBuffer, n) }

// ReadBuffer returns what the kernel has made of it.
func (s Socket) ReadBuffer() (int, error) { return s.get(OptionReadBuffer) }

// SetWriteBuffer sets how many bytes the kernel buffers of what is sent, as SetReadBuffer does.
func (s Socket) SetWriteBuffer(n int) error { return s.set(OptionWriteBuffer, n) }

// WriteBuffer returns what the kernel has made of it.
func (s Socket) WriteBuffer() (int, error) { return s.get(OptionWriteBuffer) }

// SetRemoteAddr makes Info.RemoteAddr, and the name of the connection in logs, show addr in place of the address that the
// kernel knows. It is for a header that names the client of a proxy in front: see package proxyproto. The zero AddrPort is
// refused with an error, and so is any address once the connection is lost.
func (s Socket) SetRemoteAddr(addr netip.AddrPort) error {
	if err := s.usable(); err != nil {
		return err
	}
	if !addr.IsValid() {
		return errors.New("reactor: SetRemoteAddr of the zero AddrPort")
	}
	if !s.t.remote.IsValid() {
		s.t.flags |= oneKernel
	}
	s.t.remote = addr
	return nil
}

// UnixPeer asks the kernel for the other end of a Unix socket: the path that its socket is bound to, and the process.
// EPROTOTYPE is a socket of another kind.
func (s Socket) UnixPeer() (UnixPeer, error) {
	if err := s.usable(); err != nil {
		return UnixPeer{}, err
	}
	p, errno := s.t.r.sys.UnixPeer(s.FD())
	if errno != 0 {
		return UnixPeer{}, errno
	}
	return p, nil
}

func (s Socket) usable() error {
	switch {
	case s.t == nil:
		return errors.ErrUnsupported
	case s.t.fd < 0:
		return net.ErrClosed
	}
	return nil
}

func (s Socket) set(o SocketOption, value int) error {
	if err := s.usable(); err != nil {
		return err
	}
	if errno := s.t.r.sys.SetOption(s.FD(), o, value); errno != 0 {
		return errno
	}
	return nil
}

func (s Socket) get(o SocketOption) (int, error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	value, errno := s.t.r.sys.Option(s.FD(), o)
	if errno != 0 {
		return 0, errno
	}
	return value, nil
}

// info is a transport as an Info: the same pointer, so that none is made.
type info transport

func (t *transport) Info() Info { return (*info)(t) }

func (i *info) LocalAddr() netip.AddrPort {
	if i.fd < 0 {
		return netip.AddrPort{}
	}
	return i.r.sys.LocalAddr(int(i.fd))
}

func (i *info) RemoteAddr() netip.AddrPort { return i.remote }

func (i *info) Socket() Socket { return Socket{(*transport)(i)} }
