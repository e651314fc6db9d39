//go:build unix

package reactor

// The kernel's side of the options of a connected socket.

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func (kernel) SetOption(fd int, o SocketOption, value int) syscall.Errno {
	level, name, errno := optionName(fd, o)
	if errno != 0 {
		return errno
	}
	return errnoOf(unix.SetsockoptInt(fd, level, name, value))
}

func (kernel) Option(fd int, o SocketOption) (int, syscall.Errno) {
	level, name, errno := optionName(fd, o)
	if errno != 0 {
		return 0, errno
	}
	n, err := unix.GetsockoptInt(fd, level, name)
	return n, errnoOf(err)
}

// optionName is what getsockopt(2) and setsockopt(2) call it.
func optionName(fd int, o SocketOption) (level, name int, errno syscall.Errno) {
	switch o {
	case OptionNoDelay:
		return unix.IPPROTO_TCP, unix.TCP_NODELAY, 0
	case OptionKeepAlive:
		return unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0
	case OptionKeepAliveIdle, OptionKeepAliveInterval, OptionKeepAliveCount:
		if i := int(o - OptionKeepAliveIdle); i < len(keepAliveTimes) {
			return unix.IPPROTO_TCP, keepAliveTimes[i], 0
		}
	case OptionTTL:
		return ofNetwork(fd, unix.IP_TTL, unix.IPV6_UNICAST_HOPS)
	case OptionTOS:
		return ofNetwork(fd, unix.IP_TOS, unix.IPV6_TCLASS)
	case OptionReadBuffer:
		return unix.SOL_SOCKET, unix.SO_RCVBUF, 0
	case OptionWriteBuffer:
		return unix.SOL_SOCKET, unix.SO_SNDBUF, 0
	}
	return 0, 0, syscall.ENOPROTOOPT
}

// ofNetwork is an option that IPv4 and IPv6 have different names for. A connection of IPv4 may have a socket of IPv6.
func ofNetwork(fd, name4, name6 int) (level, name int, errno syscall.Errno) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, errnoOf(err)
	}
	switch addr := addrPort(sa); {
	case !addr.IsValid():
		return 0, 0, syscall.EOPNOTSUPP
	case addr.Addr().Is4():
		return unix.IPPROTO_IP, name4, 0
	}
	return unix.IPPROTO_IPV6, name6, 0
}
