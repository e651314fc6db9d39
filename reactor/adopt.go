package reactor

// Taking over a connection that other code has opened: the counterpart of Detach.

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// AdoptFD takes over a connected stream socket, such as Detach gives away on another loop, and has f make its protocol:
// BuildProtocol and ConnectionMade are called before it returns. It is Twisted's adoptStreamConnection, but the reactor owns
// fd itself from now on, and closes it. The socket is made non-blocking and has the options o; nil is the defaults. It is for
// the loop, or before Run.
//
// What was read from the socket before, and what was accepted for it and not sent, the caller brings along: the one by
// DataReceived of the protocol, once AdoptFD has returned, the other by Write, first.
//
// The error is ErrStopped, or wraps an errno: ENOTCONN when the socket is not connected, EINVAL when it listens, EPROTOTYPE
// when it is no stream socket, or what has broken the connection. Then fd is still the caller's, and f was not called. A
// protocol that f refuses, or a panic in f, is no error: fd is closed then.
func (r *Reactor) AdoptFD(fd int, f Factory, o *TransportOptions) error {
	if r.over() {
		return ErrStopped
	}
	_, remote, listens, err := r.sys.Adopt(fd)
	if err == nil && listens {
		err = syscall.EINVAL
	}
	if err == nil {
		switch errno := r.sys.ConnectError(fd); errno {
		case 0:
		case syscall.EINPROGRESS: // or not even that
			err = syscall.ENOTCONN
		default:
			err = errno
		}
	}
	if err != nil {
		return fmt.Errorf("reactor: descriptor %d: %w", fd, err)
	}
	var options TransportOptions
	if o != nil {
		options = *o
	}
	options = options.withDefaults()
	options.tuneAll(r.sys, fd)
	t := &transport{r: r, options: &options, fd: int32(fd), remote: remote}
	r.fds.claim(fd, t) // an owner that is there has closed it without Detach
	defer t.contain()
	if reason := t.open(f); reason != nil {
		r.lose(t, reason)
	}
	return nil
}

// AdoptConn takes over a connection of package net, as AdoptFD does a descriptor: a *net.TCPConn, a *net.UnixConn, or another
// that shows its socket (syscall.Conn), and not one that does something else with it, such as a *tls.Conn. c is closed when
// AdoptConn returns without an error, which the peer does not notice; no other code may be using it. The deadlines that it had are
// gone.
//
// The errors are those of AdoptFD, EPROTOTYPE also when c shows no socket. Then c is as it was, but for its options.
func (r *Reactor) AdoptConn(c net.Conn, f Factory, o *TransportOptions) error {
	fd, err := duplicate(c)
	if err != nil {
		return err
	}
	if err := r.AdoptFD(fd, f, o); err != nil {
		_ = unix.Close(fd) // the first error is the one to tell
		return err
	}
	_ = c.Close() // the socket lives on
	return nil
}

// duplicate returns another descriptor of the socket of c: its own is watched, and will be closed, by package net.
func duplicate(c net.Conn) (fd int, err error) {
	shown, ok := c.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("reactor: a %T shows no socket: %w", c, syscall.EPROTOTYPE)
	}
	raw, err := shown.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("reactor: %w", err)
	}
	gone := raw.Control(func(its uintptr) { fd, err = unix.FcntlInt(its, unix.F_DUPFD_CLOEXEC, 0) })
	if gone != nil {
		return -1, fmt.Errorf("reactor: %w", gone)
	}
	if err != nil {
		return -1, fmt.Errorf("reactor: fcntl: %w", err)
	}
	return fd, nil
}
