package sim

// What scripts talk through: connections, listening sockets and datagram sockets as package net has them. Their calls
// wait, in the world's time.

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"microhttp/reactor"
)

// A Conn is a script's end of a connection, a net.Conn. Reads and writes wait until there is something to do or the
// deadline has passed. Errors wrap the errno, or are io.EOF, net.ErrClosed or os.ErrDeadlineExceeded.
type Conn struct {
	s                *socket
	rDeadline, wDead time.Duration
}

var _ net.Conn = (*Conn)(nil)

func (w *World) newConn(s *socket) *Conn { return &Conn{s, never, never} }

// Dial connects a script to a TCP address. An unspecified IP is the own machine's.
func (w *World) Dial(to netip.AddrPort) (*Conn, error) { return w.DialFrom(netip.AddrPort{}, to) }

// DialFrom is Dial from an address of the script's choice; port 0 is any.
func (w *World) DialFrom(from, to netip.AddrPort) (*Conn, error) {
	return w.dial(reactor.Address{IP: to}, from)
}

// DialUnix connects a script to a Unix socket.
func (w *World) DialUnix(path string) (*Conn, error) {
	return w.dial(reactor.Address{Path: path}, netip.AddrPort{})
}

func (w *World) dial(to reactor.Address, from netip.AddrPort) (*Conn, error) {
	s := w.newSocket(stream)
	errno := w.connect(s, to, from)
	for errno == syscall.EAGAIN { // a Unix socket's queue is full
		w.Sleep(time.Millisecond)
		errno = w.connect(s, to, from)
	}
	if errno == syscall.EINPROGRESS {
		w.parkScript("a connection", never, func() bool { return !s.connecting })
		errno = s.take()
	}
	w.note("", "dials", -1, 0, 0, errno)
	c := w.newConn(s)
	if errno != 0 {
		return nil, c.error("dial", errno)
	}
	return c, nil
}

// error is how package net says it.
func (c *Conn) error(op string, err error) error {
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	s := c.s
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if s.closed {
			return 0, c.error("read", net.ErrClosed)
		}
		switch n, errno := s.read(p); {
		case n > 0:
			s.w.note("", "reads", -1, n, len(p), 0)
			return n, nil
		case errno == 0:
			s.w.note("", "reads the end", -1, 0, 0, 0)
			return 0, io.EOF
		case errno != syscall.EAGAIN:
			s.w.note("", "reads", -1, 0, 0, errno)
			return 0, c.error("read", errno)
		case s.w.now >= c.rDeadline:
			return 0, c.error("read", os.ErrDeadlineExceeded)
		}
		s.w.parkScript("bytes to read", c.rDeadline, func() bool { return s.ready()&reactor.Readable != 0 || s.closed })
	}
}

// Write implements net.Conn: it writes all of p, or says why not.
func (c *Conn) Write(p []byte) (int, error) {
	s := c.s
	done := 0
	for done < len(p) {
		if s.closed {
			return done, c.error("write", net.ErrClosed)
		}
		n, errno := s.write([][]byte{p[done:]}, len(p)-done)
		done += n
		switch {
		case errno == 0:
			s.w.note("", "writes", -1, n, len(p)-done+n, 0)
			continue
		case errno != syscall.EAGAIN:
			s.w.note("", "writes", -1, 0, 0, errno)
			return done, c.error("write", errno)
		case s.w.now >= c.wDead:
			return done, c.error("write", os.ErrDeadlineExceeded)
		}
		s.w.parkScript("room to write", c.wDead, func() bool { return s.ready()&reactor.Writable != 0 || s.closed })
	}
	return done, nil
}

// Buffered is how many bytes have arrived and were not read.
func (c *Conn) Buffered() int { return len(c.s.in) }

// Close implements net.Conn. As on a real machine, closing with bytes unread resets the connection.
func (c *Conn) Close() error { return c.end("closes") }

// Abort closes the connection with a reset.
func (c *Conn) Abort() error {
	c.s.linger = true
	return c.end("aborts")
}

func (c *Conn) end(what string) error {
	if c.s.closed {
		return c.error("close", net.ErrClosed)
	}
	c.s.w.note("", what, -1, 0, 0, 0)
	c.s.close()
	return nil
}

// CloseWrite half-closes the connection.
func (c *Conn) CloseWrite() error {
	if c.s.closed {
		return c.error("close", net.ErrClosed)
	}
	c.s.w.note("", "half-closes", -1, 0, 0, 0)
	if errno := c.s.shutdown(); errno != 0 {
		return c.error("close", errno)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return addr(c.s.local) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr {
	return addr(reactor.Address{IP: c.s.remote, Path: c.s.local.Path})
}

func addr(a reactor.Address) net.Addr {
	if !a.IP.IsValid() {
		return &net.UnixAddr{Name: a.Path, Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a.IP)
}

// SetDeadline implements net.Conn; t is the world's time.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.rDeadline = c.s.w.deadline(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.wDead = c.s.w.deadline(t)
	return nil
}

func (w *World) deadline(t time.Time) time.Duration {
	if t.IsZero() {
		return never
	}
	return t.Sub(w.genesis)
}

// A Listener is where a script takes connections, a net.Listener.
type Listener struct{ s *socket }

var _ net.Listener = (*Listener)(nil)

// scriptBacklog is how many connections may wait for a script.
const scriptBacklog = 128

// Listen has a script listen on a TCP address; port 0 is any. It may be called before Run.
func (w *World) Listen(at netip.AddrPort) (*Listener, error) {
	return w.listenScript(reactor.Address{IP: at})
}

// ListenUnix has a script listen on a Unix socket.
func (w *World) ListenUnix(path string) (*Listener, error) {
	return w.listenScript(reactor.Address{Path: path})
}

func (w *World) listenScript(at reactor.Address) (*Listener, error) {
	l := &Listener{w.newSocket(listener)}
	if errno := w.listen(l.s, at, reactor.ListenOptions{Backlog: scriptBacklog}); errno != 0 {
		return nil, &net.OpError{Op: "listen", Net: addr(at).Network(), Addr: addr(at), Err: errno}
	}
	return l, nil
}

// Accept implements net.Listener; what it returns is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	w := l.s.w
	w.parkScript("a connection to accept", never, func() bool { return l.s.closed || len(l.s.queue) > 0 })
	if l.s.closed {
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
	w.note("", "accepts", -1, 0, 0, 0)
	return w.newConn(l.s.accept()), nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return addr(l.s.local) }

// AddrPort is where it listens, for who connects to it.
func (l *Listener) AddrPort() netip.AddrPort { return l.s.local.IP }

// Close implements net.Listener. Connections that were not accepted are reset.
func (l *Listener) Close() error {
	if !l.s.closed {
		l.s.close()
	}
	return nil
}
