//go:build unix

package reactor

// UDP sockets of the kernel: how they are made and what they are told. How batches move is in datagram_linux.go and
// datagram_each.go.

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func (kernel) ListenDatagram(at netip.AddrPort, o DatagramOptions) (int, error) {
	return socket(unix.SOCK_DGRAM, Address{IP: at}, func(fd int) error { return bindDatagram(fd, at, o) })
}

func bindDatagram(fd int, at netip.AddrPort, o DatagramOptions) error {
	sa, err := sockaddr(at)
	if err != nil {
		return err
	}
	only := 1
	if o.DualStack {
		only = 0
	}
	for _, s := range []struct {
		when               bool
		level, name, value int
	}{
		{at.Addr().Is6(), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only},
		{o.Shared, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{o.Shared, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{o.ReadBuffer > 0, unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReadBuffer},
		{o.WriteBuffer > 0, unix.SOL_SOCKET, unix.SO_SNDBUF, o.WriteBuffer},
	} {
		if s.when {
			if err := unix.SetsockoptInt(fd, s.level, s.name, s.value); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
	}
	onlyJoined(fd, at.Addr().Is6())
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

func (kernel) ConnectDatagram(fd int, to netip.AddrPort) syscall.Errno {
	sa, err := sockaddr(to)
	if err != nil {
		return errnoOf(err)
	}
	return errnoOf(unix.Connect(fd, sa))
}

// Multicast picks the option of the family: of the group's where there is one, of the socket's else. A socket of both has
// both.
func (k kernel) Multicast(fd int, o MulticastOptions) error {
	is6 := o.Group.Is6()
	if !o.Group.IsValid() {
		is6 = k.LocalAddr(fd).Addr().Is6()
	}
	if is6 {
		err := multicast6(fd, o)
		if err == nil && !o.Group.IsValid() {
			_ = multicast4(fd, o) // not all systems have them for a socket of IPv6
		}
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("setsockopt", multicast4(fd, o))
}

func multicast4(fd int, o MulticastOptions) error {
	if o.Do <= SetInterface {
		return group4(fd, o)
	}
	name := unix.IP_MULTICAST_TTL
	if o.Do == SetLoopback {
		name = unix.IP_MULTICAST_LOOP
	}
	if o.Value < 0 || o.Value > 255 {
		return unix.EINVAL
	}
	return unix.SetsockoptByte(fd, unix.IPPROTO_IP, name, byte(o.Value))
}

func multicast6(fd int, o MulticastOptions) error {
	mreq := unix.IPv6Mreq{Interface: uint32(o.Interface)}
	if o.Group.IsValid() {
		mreq.Multiaddr = o.Group.As16()
	}
	switch o.Do {
	case JoinGroup:
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &mreq)
	case LeaveGroup:
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, &mreq)
	case SetInterface:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, o.Interface)
	case SetTTL:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, o.Value)
	default:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, o.Value)
	}
}
