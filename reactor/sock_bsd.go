//go:build unix && !linux

package reactor

// Sockets as the BSDs and macOS have them: what Linux does in one call takes two, and all loops accept from one socket.

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

var pollers = []pollerKind{{"poll", newPollPoller}}

func openSocket(family int) (int, error) {
	syscall.ForkLock.RLock() // no child may be forked before the descriptor is closed on exec
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, unix.SetNonblock(fd, true)
}

func (kernel) Listen(at Address, o ListenOptions) (int, error) {
	return socket(at.IP, func(fd int) error {
		return listen(fd, at.IP, o, func(int) error { return nil })
	})
}

// Share makes a second descriptor of the one socket: here SO_REUSEPORT would send all connections to the last one bound.
func (kernel) Share(fd int, _ Address, _ ListenOptions) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
}

func (kernel) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	conn, sa, err := unix.Accept(fd)
	if err != nil {
		return -1, netip.AddrPort{}, errnoOf(err)
	}
	unix.CloseOnExec(conn)
	if err := unix.SetNonblock(conn, true); err != nil {
		sysClose(conn)
		return -1, netip.AddrPort{}, syscall.ECONNABORTED
	}
	return conn, addrPort(sa), 0
}

func sysRead(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Read(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Write(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysClose(fd int) syscall.Errno { return errnoOf(unix.Close(fd)) }

// keepAlive asks for TCP's own keep-alive, at the system's pace.
func keepAlive(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}
