//go:build unix

package reactor

// Unix sockets. bind(2) makes a file, and the kernel does not remove it when the process ends; so a file that is in the way may be stale.

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenUnix makes a listening socket out of one that was just opened.
func listenUnix(fd int, path string, o ListenOptions) error {
	sa := &unix.SockaddrUnix{Name: path}
	err := unix.Bind(fd, sa)
	if err == unix.EADDRINUSE && removeStale(path) {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	if o.Mode != 0 && !abstract(path) {
		err = os.Chmod(path, o.Mode)
	}
	if err == nil { // no peer can connect before this
		err = os.NewSyscallError("listen", unix.Listen(fd, o.Backlog))
	}
	if err != nil && !abstract(path) {
		_ = os.Remove(path) // the first error is the one to tell
	}
	return err
}

// removeStale removes the file of a socket on which no process listens any more: only the kernel knows, and it tells a process that
// connects. Whatever else is there stays.
func removeStale(path string) bool {
	file, err := os.Lstat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) // it has just gone
	}
	if file.Mode().Type() != fs.ModeSocket {
		return false
	}
	fd, errno := kernel{}.Connect(Address{Path: path}, netip.AddrPort{})
	if errno == 0 {
		sysClose(fd)
	}
	if errno != syscall.ECONNREFUSED {
		return false
	}
	again, err := os.Lstat(path)
	return err == nil && os.SameFile(file, again) && os.Remove(path) == nil
}

// UnixPeer asks for the address first, so that a socket of another kind is recognised.
func (kernel) UnixPeer(fd int) (UnixPeer, syscall.Errno) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return UnixPeer{}, errnoOf(err)
	}
	at, ok := sa.(*unix.SockaddrUnix)
	if !ok {
		return UnixPeer{}, syscall.EPROTOTYPE
	}
	p := UnixPeer{Path: at.Name, PID: -1, UID: -1, GID: -1}
	if p.Path == "@" { // how package unix gives a socket without a name
		p.Path = ""
	}
	return p, errnoOf(p.credentials(fd))
}

func (kernel) Lstat(path string) (fs.FileInfo, error) {
	if abstract(path) {
		return nil, fs.ErrNotExist
	}
	return os.Lstat(path)
}

func (kernel) Unlink(path string) error { return os.Remove(path) }
