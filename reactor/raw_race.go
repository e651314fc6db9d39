//go:build linux && race

package reactor

// raw_linux.go for the race detector: the same calls through the ordinary wrappers, which tell it what the kernel reads
// and writes. A protocol that hands lent bytes to another goroutine is found out.

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func sysRead(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Read(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, syscall.Errno) {
	n, err := unix.Write(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysWritev(fd int, pieces [][]byte) (int, syscall.Errno) {
	n, err := unix.Writev(fd, pieces)
	return max(n, 0), errnoOf(err)
}

func sysAccept(fd int, sa *unix.RawSockaddrInet6) (int, syscall.Errno) {
	conn, from, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	fillSockaddr(sa, from)
	return conn, errnoOf(err)
}

func sysClose(fd int) syscall.Errno { return errnoOf(unix.Close(fd)) }

func sysEpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	return errnoOf(unix.EpollCtl(epfd, op, fd, ev))
}

func sysEpollLook(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, err := unix.EpollWait(epfd, events, 0)
	return max(n, 0), errnoOf(err)
}

// fillSockaddr turns an address back into what accept4 has written.
func fillSockaddr(sa *unix.RawSockaddrInet6, from unix.Sockaddr) {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: netOrder(uint16(from.Port)), Addr: from.Addr}
	case *unix.SockaddrInet6:
		*sa = unix.RawSockaddrInet6{
			Family: unix.AF_INET6, Port: netOrder(uint16(from.Port)), Addr: from.Addr, Scope_id: from.ZoneId,
		}
	}
}
