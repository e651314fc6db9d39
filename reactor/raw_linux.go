//go:build linux && !race

package reactor

// The system calls of the hot path, made without telling the scheduler. That is sound for calls that cannot sleep, and
// only those are here: sockets are non-blocking, epoll_pwait has no timeout. It is most of what a loop in Go would lose
// against one in C. Under the race detector raw_race.go stands in, which shows it the kernel's reads and writes.

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func sysRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func sysWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// sysWriteMore is sysWrite of what a file is to follow: the kernel keeps a segment that is not full for that (MSG_MORE, which
// lasts 200 ms at most). It saves the peer a packet and a wake-up for each file.
func sysWriteMore(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		unix.MSG_MORE|unix.MSG_NOSIGNAL, 0, 0)
	switch errno {
	case 0:
		return int(n), 0
	case unix.ENOTSOCK:
		return sysWrite(fd, p)
	}
	return 0, errno
}

// sysWritev sends at most piecesPerWrite pieces; so the list for the kernel fits on the stack.
func sysWritev(fd int, pieces [][]byte) (int, syscall.Errno) {
	var list [piecesPerWrite]unix.Iovec
	k := min(len(pieces), len(list))
	for i, p := range pieces[:k] {
		list[i].Base = unsafe.SliceData(p)
		list[i].SetLen(len(p))
	}
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&list)), uintptr(k))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func sysAccept(fd int, sa *unix.RawSockaddrInet6) (int, syscall.Errno) {
	size := uint32(unsafe.Sizeof(*sa))
	conn, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(conn), errno
}

func sysClose(fd int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno
}

func sysEpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(ev)), 0, 0)
	return errno
}

// sysEpollLook is epoll_pwait with a timeout of zero; not every architecture has epoll_wait.
func sysEpollLook(epfd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
