//go:build linux && race

package reactor

// raw_linux.go for the race detector: the same calls through the wrappers of package syscall. They tell the detector what
// the kernel reads and writes, so a protocol that hands lent bytes to another goroutine is found out. They also tell it that
// a read comes after the writes before it. Package net uses the same wrappers, so what passes through a socket orders
// memory also between a connection of ours and one of package net. (The wrappers of package unix order memory among
// themselves only.) As with package net, datagrams order nothing.

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func sysRead(fd int, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysWrite(fd int, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(fd, p)
	return max(n, 0), errnoOf(err)
}

func sysAccept(fd int, sa *unix.RawSockaddrInet6) (int, syscall.Errno) {
	conn, from, err := syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	fillSockaddr(sa, from)
	return conn, errnoOf(err)
}

func sysClose(fd int) syscall.Errno { return errnoOf(syscall.Close(fd)) }

func sysEpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	return errnoOf(unix.EpollCtl(epfd, op, fd, ev))
}

func sysEpollLook(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, err := unix.EpollWait(epfd, events, 0)
	return max(n, 0), errnoOf(err)
}

// fillSockaddr turns an address back into what accept4 has written.
func fillSockaddr(sa *unix.RawSockaddrInet6, from syscall.Sockaddr) {
	switch from := from.(type) {
	case *syscall.SockaddrInet4:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*sa4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: netOrder(uint16(from.Port)), Addr: from.Addr}
	case *syscall.SockaddrInet6:
		*sa = unix.RawSockaddrInet6{
			Family: unix.AF_INET6, Port: netOrder(uint16(from.Port)), Addr: from.Addr, Scope_id: from.ZoneId,
		}
	}
}
