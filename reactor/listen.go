package reactor

// The ways to get a Port: an address to bind, the path of a Unix socket, a socket that another program has bound, or the port of
// another reactor.

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
)

// ListenTCP listens on addr, "host:port", and hands what it accepts to f. An empty host is every address, of IPv4 and
// IPv6 both (see V6Only); port 0 lets the kernel choose, see Addr. It is for the loop, or before Run; a host that is a name
// is looked up on the spot.
//
// The error is ErrStopped, or a *net.OpError that names the address and wraps the errno: errors.Is(err,
// syscall.EADDRINUSE) when another socket listens there, also when the port was made Shared.
func (r *Reactor) ListenTCP(addr string, f Factory, o *TCPOptions) (*Port, error) {
	if r.over() {
		return nil, ErrStopped
	}
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err} // which names addr itself
	}
	p := &Port{r: r, factory: f, options: o.withDefaults()}
	where := a.AddrPort()
	if a.IP == nil {
		where = netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(a.Port))
		p.dualStack = !p.options.V6Only
	}
	p.at.IP = netip.AddrPortFrom(where.Addr().Unmap(), where.Port())
	if err := p.bind(); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: err}
	}
	p.options.tune(r.sys, p.fd) // what is accepted inherits it
	return p.opened()
}

// over reports whether the reactor takes nothing new.
func (r *Reactor) over() bool { return r.ending || r.stage.Load() == stageEnded }

// bind opens the listening socket. A machine without IPv6 has no dual stack.
func (p *Port) bind() (err error) {
	p.fd, err = p.r.sys.Listen(p.at, p.listenOptions())
	if p.dualStack && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		p.dualStack = false
		p.at.IP = netip.AddrPortFrom(netip.IPv4Unspecified(), p.at.IP.Port())
		p.fd, err = p.r.sys.Listen(p.at, p.listenOptions())
	}
	return err
}

func (p *Port) listenOptions() ListenOptions {
	return ListenOptions{
		Backlog: p.options.Backlog, Shared: p.options.Shared, ReusePort: p.options.ReusePort, DualStack: p.dualStack,
		Single: p.single,
	}
}

// opened starts a port whose socket is ours to close if that fails.
func (p *Port) opened() (*Port, error) {
	defer func() {
		if !p.started {
			p.close()
		}
	}()
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// start has the loop watch the listening socket, which stays the caller's if that fails. The loop does not watch it either
// when StartFactory panics or ends the goroutine.
func (p *Port) start() error {
	if p.at.Path == "" {
		p.at.IP = p.r.sys.LocalAddr(p.fd)
	}
	p.accepts = 1
	if p.trouble == nil {
		p.trouble = &acceptTrouble{}
	}
	p.r.fds.claim(p.fd, nil) // its owner in the table has closed it unnoticed
	if err := p.r.AddReader(p); err != nil {
		return err
	}
	p.r.ports[p] = struct{}{}
	defer func() {
		if !p.started {
			p.leave()
		}
	}()
	p.r.startFactory(p.factory)
	p.started = true
	return nil
}

// UnixOptions are the options of ListenUnix. Nil and the zero value are the defaults.
type UnixOptions struct {
	// TransportOptions are those of the connections that the port accepts. TCP's own mean nothing here.
	TransportOptions

	// Backlog is how many connections may wait in the kernel to be accepted. Default 4096; the kernel clips it.
	Backlog int

	// Shared lets other reactors Share the port.
	Shared bool

	// Mode is the permissions of the socket's file: who may write to it may connect, on most systems. They are set before
	// anybody can connect. 0 leaves what the umask makes of it.
	Mode fs.FileMode
}

// ListenUnix listens on a Unix socket at path; on Linux "@name" is one in the abstract namespace, which has no file. A socket
// file that is there already is replaced if no process listens on it any more; if one does, or it is no socket, the error
// is EADDRINUSE. (Two processes that replace a stale file at the very same time may both succeed, and the second one has it.)
// The port removes its file when it is closed, unless there is another one at the path by then.
//
// The peer of a Unix socket has no address: BuildProtocol and RemoteAddr give the zero AddrPort; UnixPeer of the Transport
// says who it is. The error is ErrStopped, or
// a *net.OpError that names the path and wraps the errno.
func (r *Reactor) ListenUnix(path string, f Factory, o *UnixOptions) (*Port, error) {
	if r.over() {
		return nil, ErrStopped
	}
	var u UnixOptions
	if o != nil {
		u = *o
	}
	t := TCPOptions{TransportOptions: u.TransportOptions, Backlog: u.Backlog, Shared: u.Shared}
	p := &Port{r: r, factory: f, options: t.withDefaults(), at: Address{Path: path}, single: true}
	how := p.listenOptions()
	how.Mode = u.Mode
	var err error
	if p.fd, err = r.sys.Listen(p.at, how); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unix", Addr: p.at.netAddr(), Err: err}
	}
	if info, err := r.sys.Lstat(path); err == nil {
		p.file = &socketFile{path: path, info: info}
		p.file.holders.Store(1)
	}
	return p.opened()
}

// ListenFD accepts from a listening stream socket that other code has opened and bound, such as one of ListenFDs. The
// reactor owns fd from now on and closes it with the port; if there is an error, fd is still the caller's. It is made
// non-blocking. Where it is bound, the options cannot change; the file of a Unix socket is not ours and stays.
//
// The error is ErrStopped, or wraps an errno: EINVAL when the socket does not listen, EPROTOTYPE when it is no stream socket.
func (r *Reactor) ListenFD(fd int, f Factory, o *TCPOptions) (*Port, error) {
	if r.over() {
		return nil, ErrStopped
	}
	at, _, listens, err := r.sys.Adopt(fd)
	if err == nil && !listens {
		err = syscall.EINVAL
	}
	if err != nil {
		return nil, fmt.Errorf("reactor: descriptor %d: %w", fd, err)
	}
	p := &Port{r: r, factory: f, options: o.withDefaults(), at: at, fd: fd, single: true}
	p.options.tuneAll(r.sys, fd)
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// Share has r2 accept from the same port, with the factory f and the same options. The port must have been made Shared.
// It touches both reactors, so neither may run yet, unless it is on their common goroutine. Where the system can, each
// reactor gets a listening socket of its own and the kernel spreads connections over them; a Unix socket, one that was
// handed in, and any on macOS and the BSDs they share, and the first to be ready accepts.
func (p *Port) Share(r2 *Reactor, f Factory) (*Port, error) {
	if !p.options.Shared {
		return nil, fmt.Errorf("reactor: port %v was not made Shared", p.at)
	}
	if p.closed {
		return nil, net.ErrClosed
	}
	if r2.over() {
		return nil, ErrStopped
	}
	p2 := &Port{r: r2, factory: f, options: p.options, at: p.at, dualStack: p.dualStack, single: p.single, file: p.file, trouble: p.trouble}
	o := p2.listenOptions()
	o.Sibling = true
	var err error
	if p2.fd, err = r2.sys.Share(p.fd, p.at, o); err != nil {
		return nil, &net.OpError{Op: "listen", Net: p.network(), Addr: p.at.netAddr(), Err: err}
	}
	if p2.file != nil {
		p2.file.holders.Add(1)
	}
	if !p2.single {
		p2.options.tune(r2.sys, p2.fd)
	}
	return p2.opened()
}

func (p *Port) network() string {
	if p.at.Path != "" {
		return "unix"
	}
	return "tcp"
}

// A socketFile is the file of a Unix socket that we have bound, and how many ports listen there.
type socketFile struct {
	path    string
	info    fs.FileInfo
	holders atomic.Int32
}

// release takes p's part in the file back. The last one removes the file, if it is still the one that was made; p's socket
// must be open, so that its number cannot have been given to another file.
func (f *socketFile) release(p *Port) {
	if f == nil {
		return
	}
	p.file = nil
	if f.holders.Add(-1) > 0 {
		return
	}
	if now, err := p.r.sys.Lstat(f.path); err == nil && os.SameFile(f.info, now) {
		_ = p.r.sys.Unlink(f.path) // if that fails, the file has gone before
	}
}
