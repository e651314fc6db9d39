//go:build unix && !linux

package reactor

// Sockets as the BSDs and macOS have them: what Linux does in one call takes two, and all loops accept from one socket.

import (
	"net/netip"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepAliveTimes are TCP's options for the idle time, the interval and the count; package unix does not name all of them. A
// system that is not listed keeps its own pace.
var keepAliveTimes = map[string][]int{
	"darwin":  {0x10, 0x101, 0x102},
	"freebsd": {0x100, 0x200, 0x400},
	"netbsd":  {3, 5, 6},
}[runtime.GOOS]

func openSocket(family, kind int) (int, error) {
	syscall.ForkLock.RLock() // no child may be forked before the descriptor is closed on exec
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	return fd, unix.SetNonblock(fd, true)
}

func (kernel) Listen(at Address, o ListenOptions) (int, error) {
	return socket(unix.SOCK_STREAM, at, func(fd int) error {
		if at.Path != "" {
			return listenUnix(fd, at.Path, o)
		}
		return listen(fd, at.IP, o, func(int) error { return nil })
	})
}

// abstract reports whether path has no file: only Linux has such sockets.
func abstract(string) bool { return false }

// Share makes a second descriptor of the one socket: here SO_REUSEPORT would send all connections to the last one bound.
func (kernel) Share(fd int, _ Address, _ ListenOptions) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
}

// boundUnsent does nothing: the send buffer is what bounds it here.
func boundUnsent(int, int) error { return nil }

// Unacknowledged is not to be had on all of these systems.
func (kernel) Unacknowledged(int) int { return 0 }

// choosePortLate does nothing: the port is chosen by bind(2).
func choosePortLate(int) {}

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

// The wrappers of package syscall order memory for the race detector together with package net's connections.

func sysRead(fd int, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysClose(fd int) syscall.Errno { return errnoOf(syscall.Close(fd)) }
