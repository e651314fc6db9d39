//go:build unix

package reactor

// The kernel's side of stream sockets beyond listening: connecting, sockets that others have opened, TCP's options.

import (
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (kernel) Connect(to Address, from netip.AddrPort) (int, syscall.Errno) {
	errno := syscall.Errno(0)
	fd, err := socket(unix.SOCK_STREAM, to, func(fd int) error {
		err := bindFrom(fd, to, from)
		if err != nil {
			return err
		}
		sa, err := to.sockaddr()
		if err != nil {
			return err
		}
		errno = errnoOf(unix.Connect(fd, sa))
		switch errno {
		case syscall.EINTR: // it goes on without us
			errno = syscall.EINPROGRESS
		case 0, syscall.EINPROGRESS:
		default:
			return errno
		}
		return nil
	})
	if err != nil {
		return -1, errnoOf(err)
	}
	return fd, errno
}

// bindFrom readies a socket to connect: the options that accepted ones have too, and our end of it.
func bindFrom(fd int, to Address, from netip.AddrPort) error {
	if to.Path != "" {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := boundUnsent(fd, kernelUnsent); err != nil {
		return err
	}
	if err := keepAliveByDefault(fd); err != nil || !from.IsValid() {
		return err
	}
	if from.Port() == 0 {
		choosePortLate(fd)
	}
	sa, err := sockaddr(from)
	if err != nil {
		return err
	}
	return unix.Bind(fd, sa)
}

// ConnectError asks for the peer too: a poller may wake us for nothing, and a connection that is still under way has no
// error yet.
func (k kernel) ConnectError(fd int) syscall.Errno {
	if errno := k.SocketError(fd); errno != 0 {
		return errno
	}
	if _, err := unix.Getpeername(fd); errnoOf(err) == syscall.ENOTCONN {
		return syscall.EINPROGRESS
	}
	return 0
}

func (kernel) SocketError(fd int) syscall.Errno {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return errnoOf(err)
	}
	return syscall.Errno(n)
}

func (kernel) Adopt(fd int) (at Address, remote netip.AddrPort, listens bool, err error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return at, remote, false, os.NewSyscallError("getsockopt", err)
	}
	if kind != unix.SOCK_STREAM {
		return at, remote, false, syscall.EPROTOTYPE
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return at, remote, false, os.NewSyscallError("fcntl", err)
	}
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return at, remote, false, os.NewSyscallError("getsockopt", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return at, remote, false, os.NewSyscallError("getsockname", err)
	}
	if u, ok := sa.(*unix.SockaddrUnix); ok {
		at.Path = u.Name
	}
	at.IP = addrPort(sa)
	if peer, err := unix.Getpeername(fd); err == nil {
		remote = addrPort(peer)
	}
	_ = boundUnsent(fd, kernelUnsent) // that of a Unix socket is bounded by its buffer
	return at, remote, n != 0, nil
}

func (kernel) Writev(fd int, pieces [][]byte) (int, syscall.Errno) { return sysWritev(fd, pieces) }

func (kernel) SetKeepAlive(fd int, idle, interval time.Duration, count int) syscall.Errno {
	return tcpOnly(keepAlive(fd, idle, interval, count))
}

// tcpOnly is the result of setting an option that sockets of other kinds do not have.
func tcpOnly(err error) syscall.Errno {
	switch errno := errnoOf(err); errno {
	case syscall.EOPNOTSUPP, syscall.ENOPROTOOPT, syscall.EINVAL:
		return 0
	default:
		return errno
	}
}

// keepAlive is SetKeepAlive.
func keepAlive(fd int, idle, interval time.Duration, count int) error {
	if idle <= 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	values := [...]int{seconds(idle), seconds(interval), min(count, mostProbes)}
	for i, name := range keepAliveTimes {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, name, values[i]); err != nil {
			return err
		}
	}
	return nil
}

func keepAliveByDefault(fd int) error {
	return keepAlive(fd, defaultKeepAliveIdle, defaultKeepAliveInterval, defaultKeepAliveCount)
}

// What TCP takes of keep-alive at most, on Linux: nine hours. More would be refused, and the default hold.
const (
	mostSeconds = 32767
	mostProbes  = 127
)

// seconds rounds up: 0 would be refused.
func seconds(d time.Duration) int {
	return int((min(d, mostSeconds*time.Second) + time.Second - 1) / time.Second)
}
