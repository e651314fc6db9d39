package reactor

// Sockets as Linux has them: made non-blocking at birth, and a listening socket for each loop.

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var pollers = []pollerKind{{"epoll", newEpoller}, {"poll", newPollPoller}, {"select", newSelectPoller}}

func openSocket(family, kind int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

func (kernel) Listen(at Address, o ListenOptions) (int, error) {
	return socket(unix.SOCK_STREAM, at, func(fd int) error {
		if at.Path != "" {
			return listenUnix(fd, at.Path, o)
		}
		return listen(fd, at.IP, o, reusePort)
	})
}

// abstract reports whether path names a socket in the abstract namespace, which has no file.
func abstract(path string) bool { return strings.HasPrefix(path, "@") }

// Share opens another socket on the same port; the kernel spreads connections over all of them. The first one was bound
// without SO_REUSEPORT, so that a second process does not get in unnoticed.
//
// A socket that cannot be bound again is watched by all loops. EPOLLEXCLUSIVE would change nothing: the loops are parked on
// Go's poller, so the kernel finds no thread asleep in epoll_wait(2) whose waking would be enough. Each connection costs every
// other loop one look, with that flag and without.
func (k kernel) Share(fd int, at Address, o ListenOptions) (int, error) {
	if o.Single {
		return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	}
	return k.Listen(at, o)
}

// keepAliveTimes are TCP's options for the idle time, the interval and the count.
var keepAliveTimes = [...]int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT}

// choosePortLate has the kernel choose our port when it knows the peer, so that the same one may serve for many peers.
func choosePortLate(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // kernels before 4.2 choose early
}

// boundUnsent sets TCP_NOTSENT_LOWAT.
func boundUnsent(fd, most int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, most)
}

// Unacknowledged asks by SIOCOUTQ.
func (kernel) Unacknowledged(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

func reusePort(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

func (kernel) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	var sa unix.RawSockaddrInet6 // has room for IPv4 too
	conn, errno := sysAccept(fd, &sa)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return conn, rawAddrPort(&sa), 0
}

// rawAddrPort is an address that the kernel has written; the zero AddrPort if it is none of the Internet's.
func rawAddrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), netOrder(sa4.Port))
	case unix.AF_INET6:
		return addrPort6(sa.Addr, netOrder(sa.Port), sa.Scope_id)
	}
	return netip.AddrPort{}
}

// netOrder turns a port around on a little-endian machine, from the network's order and to it.
func netOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
