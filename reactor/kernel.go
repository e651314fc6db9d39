//go:build unix

package reactor

// The System that is the kernel: what all unix systems have in common. What differs is in sock_linux.go and sock_bsd.go,
// and what must be fast in raw_linux.go.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernel is the System of a reactor that runs in earnest.
type kernel struct {
	warm *warmth // of the files that are sent; nil remembers none
}

func (kernel) Now() time.Time { return time.Now() }

func (kernel) NewPoller(name string) (Poller, error) {
	if name == "" {
		return pollers[0].make()
	}
	for _, p := range pollers {
		if p.name == name {
			return p.make()
		}
	}
	return nil, fmt.Errorf("reactor: no poller %q here, only %q", name, kernel{}.Pollers())
}

func (kernel) Pollers() []string {
	var names []string
	for _, p := range pollers {
		names = append(names, p.name)
	}
	return names
}

// A pollerKind is one way to wait.
type pollerKind struct {
	name string
	make func() (Poller, error)
}

func (kernel) Read(fd int, p []byte) (int, syscall.Errno)  { return sysRead(fd, p) }
func (kernel) Write(fd int, p []byte) (int, syscall.Errno) { return sysWrite(fd, p) }
func (kernel) Close(fd int) syscall.Errno                  { return sysClose(fd) }

func (kernel) CloseWrite(fd int) syscall.Errno { return errnoOf(unix.Shutdown(fd, unix.SHUT_WR)) }

// Reset sets a linger time of zero, which makes close(2) send RST.
func (kernel) Reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // then it is closed the ordinary way
}

func (kernel) Reserve() (int, syscall.Errno) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, errnoOf(err)
}

func (kernel) LocalAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// listen makes a listening socket out of one that was just opened, and closes it if that fails. share marks it as one of
// many; it is done before bind by a sibling, which so may join, and after bind by the first, which so may not.
func listen(fd int, addr netip.AddrPort, o ListenOptions, share func(fd int) error) error {
	sa, err := sockaddr(addr)
	if err != nil {
		return err
	}
	type step struct {
		name string
		when bool
		do   func() error
	}
	option := func(level, name, value int) func() error {
		return func() error { return unix.SetsockoptInt(fd, level, name, value) }
	}
	only := 1
	if o.DualStack {
		only = 0
	}
	for _, s := range []step{
		{"setsockopt", true, option(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)},
		{"setsockopt", true, option(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)}, // accepted sockets inherit it, and the next two
		{"setsockopt", true, func() error { return boundUnsent(fd, kernelUnsent) }},
		{"setsockopt", true, func() error { return keepAliveByDefault(fd) }},
		{"setsockopt", addr.Addr().Is6(), option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)},
		{"setsockopt", o.ReusePort, option(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)},
		{"setsockopt", o.Sibling, func() error { return share(fd) }},
		{"bind", true, func() error { return unix.Bind(fd, sa) }},
		{"setsockopt", o.Shared && !o.Sibling, func() error { return share(fd) }},
		{"listen", true, func() error { return unix.Listen(fd, o.Backlog) }},
	} {
		if !s.when {
			continue
		}
		if err := s.do(); err != nil {
			return os.NewSyscallError(s.name, err)
		}
	}
	return nil
}

// socket opens a socket of that kind for at and hands it to setUp; on failure it is closed again.
func socket(kind int, at Address, setUp func(fd int) error) (int, error) {
	family := unix.AF_INET
	switch {
	case at.Path != "":
		family = unix.AF_UNIX
	case at.IP.Addr().Is6():
		family = unix.AF_INET6
	}
	fd, err := openSocket(family, kind)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := setUp(fd); err != nil {
		sysClose(fd)
		return -1, err
	}
	return fd, nil
}

// sockaddr is a as the kernel wants it.
func (a Address) sockaddr() (unix.Sockaddr, error) {
	if a.Path != "" {
		return &unix.SockaddrUnix{Name: a.Path}, nil
	}
	return sockaddr(a.IP)
}

// sockaddr is addr as the kernel wants it.
func sockaddr(addr netip.AddrPort) (unix.Sockaddr, error) {
	ip := addr.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, nil
	}
	zone, err := zoneID(ip.Zone())
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16(), ZoneId: zone}, err
}

// zoneID is the index of a zone, given as a number or as the name of an interface.
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// addrPort is a kernel's address as we give it: IPv4 in IPv6 as IPv4, a zone as a number.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return addrPort6(sa.Addr, uint16(sa.Port), sa.ZoneId)
	}
	return netip.AddrPort{}
}

func addrPort6(addr [16]byte, port uint16, zone uint32) netip.AddrPort {
	ip := netip.AddrFrom16(addr).Unmap()
	if zone != 0 && ip.Is6() {
		ip = ip.WithZone(strconv.FormatUint(uint64(zone), 10))
	}
	return netip.AddrPortFrom(ip, port)
}

// errnoOf unpacks what the wrappers of package unix return, and package os makes of it.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EIO
}
