package sim

// The world as a reactor.System: each call takes a little time, may fail for no good reason, does what it is for, and
// is noted.

import (
	"io"
	"io/fs"
	"net/netip"
	"os"
	"syscall"
	"time"

	"microhttp/reactor"
)

type system struct{ w *World }

var _ reactor.System = (*system)(nil)

// enter begins a system call. In a world in real time others may make one too.
func (s *system) enter() *World {
	w := s.w
	switch {
	case w.c.RealTime:
		w.mu.Lock()
		w.now = max(w.now, time.Since(w.born))
	case w.c.Bubble != nil:
		w.sync()
	default:
		w.now += w.upTo(w.c.CallTime)
	}
	w.happen()
	return w
}

// leave ends it. It may have been what another reactor waits for.
func (w *World) leave() {
	if w.c.RealTime {
		for _, p := range w.pollers {
			p.rouse()
		}
		w.mu.Unlock()
	}
}

// leaveQuietly ends one that no reactor waits for.
func (w *World) leaveQuietly() {
	if w.c.RealTime {
		w.mu.Unlock()
	}
}

func (s *system) Now() time.Time {
	w := s.enter()
	defer w.leaveQuietly()
	return w.Now()
}

func (s *system) Pollers() []string { return []string{"sim"} }

func (s *system) NewPoller(name string) (reactor.Poller, error) {
	w := s.enter()
	defer w.leaveQuietly()
	if name != "" && name != "sim" {
		return nil, &unknownPollerError{name}
	}
	p := &poller{w: w, poke: make(chan struct{}, 1)}
	w.pollers = append(w.pollers, p)
	return p, nil
}

type unknownPollerError struct{ name string }

func (e *unknownPollerError) Error() string {
	return "sim: no poller \"" + e.name + "\" here, only \"sim\""
}

func (s *system) Listen(at reactor.Address, o reactor.ListenOptions) (int, error) {
	w := s.enter()
	defer w.leave()
	l := w.newSocket(listener)
	fd, errno := w.open(l)
	if errno == 0 {
		if errno = w.listen(l, at, o); errno != 0 {
			l.close()
		}
	}
	return w.opened("listen", fd, errno)
}

// opened notes a call that gives a descriptor or an error.
func (w *World) opened(what string, fd int, errno syscall.Errno) (int, error) {
	if errno != 0 {
		w.note("", what, -1, 0, 0, errno)
		return -1, os.NewSyscallError(what, errno)
	}
	w.note("", what, fd, 0, 0, 0)
	return fd, nil
}

func (s *system) Share(_ int, at reactor.Address, o reactor.ListenOptions) (int, error) {
	o.Sibling = true
	return s.Listen(at, o)
}

// Lstat and Unlink find nothing: a world has no files, and a path is free again when its listener is closed.
func (s *system) Lstat(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }
func (s *system) Unlink(string) error               { return fs.ErrNotExist }

func (s *system) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	conn, errno := w.acceptFrom(fd)
	if errno != 0 {
		w.note("", "accept", fd, 0, 0, errno)
		return -1, netip.AddrPort{}, errno
	}
	w.note("", "accept", fd, conn.fd, 0, 0)
	return conn.fd, conn.remote, 0
}

// aborted is what accept says of a connection that is gone, or that the system does not let in.
var aborted = [...]syscall.Errno{
	syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.EACCES, syscall.EHOSTUNREACH, syscall.ETIMEDOUT,
}

func (w *World) acceptFrom(fd int) (*socket, syscall.Errno) {
	l := w.lookUp(fd, "accept")
	switch {
	case l == nil:
		return nil, syscall.EBADF
	case l.kind != listener:
		return nil, syscall.EINVAL
	case w.chance(w.c.Interrupt):
		return nil, syscall.EINTR
	case len(l.queue) == 0 || w.chance(w.c.Again):
		return nil, syscall.EAGAIN
	case w.chance(w.c.NoMemory):
		return nil, oneOf(w, syscall.ENOBUFS, syscall.ENOMEM)
	case w.chance(w.c.Aborted):
		c := l.accept()
		c.linger = true
		c.close()
		return nil, aborted[w.rng.IntN(len(aborted))]
	}
	c := l.queue[0]
	if _, errno := w.scarce(c); errno != 0 {
		return nil, errno
	}
	return l.accept(), 0
}

func (s *system) Connect(to reactor.Address, from netip.AddrPort) (int, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	c := w.newSocket(stream)
	fd, errno := w.scarce(c)
	if errno == 0 {
		if errno = w.connect(c, to, from); errno != 0 && errno != syscall.EINPROGRESS {
			w.fds[fd] = nil
			fd = -1
		}
	}
	w.note("", "connect", fd, 0, 0, errno)
	return fd, errno
}

func (s *system) ConnectError(fd int) syscall.Errno {
	w := s.enter()
	defer w.leave()
	c := w.lookUp(fd, "ask for the connect error")
	errno := syscall.EBADF
	if c != nil {
		errno = c.take()
		if c.connecting {
			errno = syscall.EINPROGRESS
		}
	}
	w.note("", "connect error", fd, 0, 0, errno)
	return errno
}

func (s *system) SocketError(fd int) syscall.Errno {
	w := s.enter()
	defer w.leave()
	c := w.lookUp(fd, "ask for the error")
	errno := syscall.EBADF
	if c != nil {
		errno = c.take()
	}
	w.note("", "error", fd, 0, 0, errno)
	return errno
}

func (s *system) Adopt(fd int) (at reactor.Address, remote netip.AddrPort, listens bool, err error) {
	w := s.enter()
	defer w.leave()
	w.note("", "adopt", fd, 0, 0, 0)
	switch c := w.lookUp(fd, "adopt"); {
	case c == nil:
		err = os.NewSyscallError("fcntl", syscall.EBADF)
	case c.kind == listener:
		return c.local, netip.AddrPort{}, true, nil
	case c.kind == stream:
		return c.local, c.remote, false, nil
	default:
		err = os.NewSyscallError("getsockopt", syscall.ENOTSOCK)
	}
	return reactor.Address{}, netip.AddrPort{}, false, err
}

func (s *system) LocalAddr(fd int) netip.AddrPort {
	w := s.enter()
	defer w.leaveQuietly()
	if c := w.lookUp(fd, "getsockname"); c != nil {
		return c.local.IP
	}
	return netip.AddrPort{}
}

// UnixPeer gives the credentials of this process: all reactors of a world are one, and so are the scripts.
func (s *system) UnixPeer(fd int) (reactor.UnixPeer, syscall.Errno) {
	w := s.enter()
	defer w.leaveQuietly()
	c := w.lookUp(fd, "ask for the peer")
	switch {
	case c == nil:
		return reactor.UnixPeer{}, syscall.EBADF
	case c.kind != stream || c.peer == nil:
		return reactor.UnixPeer{}, syscall.ENOTCONN
	case c.remote.IsValid():
		return reactor.UnixPeer{}, syscall.EPROTOTYPE
	}
	return reactor.UnixPeer{Path: c.peer.local.Path, PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}, 0
}

// streamOf finds the stream that something is to be done with, unless that goes wrong.
func (w *World) streamOf(fd int, what string) (*socket, syscall.Errno) {
	switch c := w.lookUp(fd, what); {
	case c == nil:
		return nil, syscall.EBADF
	case c.kind != stream:
		return nil, syscall.ENOTCONN
	case w.chance(w.c.Interrupt):
		return nil, syscall.EINTR
	case w.chance(w.c.Again):
		return nil, syscall.EAGAIN
	default:
		return c, 0
	}
}

func (s *system) Read(fd int, p []byte) (int, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	c, errno := w.streamOf(fd, "read")
	n := 0
	if c != nil {
		n, errno = c.readLent(p)
	}
	w.note("", "read", fd, n, len(p), errno)
	return n, errno
}

// readLent is read into a buffer that is lent to a callback next, and was lent to another before.
func (s *socket) readLent(p []byte) (int, syscall.Errno) {
	s.poller.poison()
	n, errno := s.read(p)
	s.poller.lends(p[:n])
	return n, errno
}

func (s *system) Write(fd int, p []byte) (int, syscall.Errno) {
	return s.Writev(fd, [][]byte{p})
}

func (s *system) Writev(fd int, pieces [][]byte) (int, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	c, errno := w.streamOf(fd, "write")
	n := 0
	if c != nil {
		n, errno = c.write(pieces, size)
	}
	w.note("", "write", fd, n, size, errno)
	return n, errno
}

// sendFileMost is the most that one SendFile moves.
const sendFileMost = 64 << 10

func (s *system) SendFile(fd int, f reactor.File, offset int64, n int) (int, syscall.Errno) {
	w := s.enter()
	defer w.leave()
	c, errno := w.streamOf(fd, "sendfile")
	sent := 0
	if c != nil {
		b := make([]byte, min(n, sendFileMost))
		got, err := f.ReadAt(b, offset)
		switch {
		case got > 0:
			sent, errno = c.write([][]byte{b[:got]}, got)
		case err != nil && err != io.EOF:
			errno = syscall.EIO
		}
	}
	w.note("", "sendfile", fd, sent, n, errno)
	return sent, errno
}

// Unacknowledged is what has not arrived.
func (s *system) Unacknowledged(fd int) int {
	w := s.enter()
	defer w.leaveQuietly()
	c := w.lookUp(fd, "ask for what is not acknowledged")
	if c == nil || c.peer == nil {
		return 0
	}
	n := c.unacknowledged()
	w.note("", "unacknowledged", fd, n, 0, 0)
	return n
}

func (s *system) SetOption(fd int, o reactor.SocketOption, value int) syscall.Errno {
	w := s.enter()
	defer w.leaveQuietly()
	c := w.lookUp(fd, "set an option")
	if c == nil {
		return syscall.EBADF
	}
	if c.set == nil {
		c.set = map[reactor.SocketOption]int{}
	}
	c.set[o] = value
	return 0
}

// Option is what was set; 0 is the default of all.
func (s *system) Option(fd int, o reactor.SocketOption) (int, syscall.Errno) {
	w := s.enter()
	defer w.leaveQuietly()
	c := w.lookUp(fd, "ask for an option")
	if c == nil {
		return 0, syscall.EBADF
	}
	return c.set[o], 0
}

func (s *system) SetKeepAlive(fd int, idle, interval time.Duration, count int) syscall.Errno {
	on := 0
	if idle > 0 {
		on = 1
	}
	for o, value := range map[reactor.SocketOption]int{
		reactor.OptionKeepAlive:         on,
		reactor.OptionKeepAliveIdle:     int(idle / time.Second),
		reactor.OptionKeepAliveInterval: int(interval / time.Second),
		reactor.OptionKeepAliveCount:    count,
	} {
		if errno := s.SetOption(fd, o, value); errno != 0 {
			return errno
		}
	}
	return 0
}

func (s *system) CloseWrite(fd int) syscall.Errno {
	w := s.enter()
	defer w.leave()
	errno := syscall.EBADF
	if c := w.lookUp(fd, "shutdown"); c != nil {
		errno = c.shutdown()
	}
	w.note("", "shutdown", fd, 0, 0, errno)
	return errno
}

func (s *system) Reset(fd int) {
	w := s.enter()
	defer w.leaveQuietly()
	if c := w.lookUp(fd, "set SO_LINGER"); c != nil {
		c.linger = true
	}
	w.note("", "set SO_LINGER", fd, 0, 0, 0)
}

func (s *system) Close(fd int) syscall.Errno {
	w := s.enter()
	defer w.leave()
	c := w.lookUp(fd, "close")
	if c == nil {
		return syscall.EBADF
	}
	c.close()
	w.note("", "close", fd, 0, 0, 0)
	return 0
}

func (s *system) Reserve() (int, syscall.Errno) {
	w := s.enter()
	defer w.leaveQuietly()
	fd, errno := w.scarce(w.newSocket(spare))
	w.note("", "reserve", fd, 0, 0, errno)
	return fd, errno
}
