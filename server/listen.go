package server

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"microhttp/reactor"
)

// Where a server listens. Addr names it: an address or a path to bind, or the sockets that
// the service manager has bound. A program that has bound one itself hands it to Serve. All
// of them end as ports of the group's loops, one port of each loop for each socket.

// The words of Addr that are no host and port.
const (
	unixPrefix = "unix:"
	systemd    = "systemd"
)

// Listen binds Addr, once for each loop, without serving yet, and returns the TCP address that
// was bound, with port 0 the real one; for a Unix socket, the zero AddrPort (see Addrs). It is ListenOn of Addr,
// without options. It is the first: further addresses are for ListenOn.
func (s *Server) Listen() (netip.AddrPort, error) { return s.listenFirst(":http") }

// listenFirst is ListenOn of Addr, or of its default.
func (s *Server) listenFirst(otherwise string, options ...ListenOption) (netip.AddrPort, error) {
	s.mu.Lock()
	again := s.state == listening || s.state == running
	s.mu.Unlock()
	if again {
		return netip.AddrPort{}, errors.New("server: it listens already; ListenOn adds an address")
	}
	return s.ListenOn(cmp.Or(s.Addr, otherwise), options...)
}

// ListenOn binds an address, written as Addr is, without serving yet. It may be called several times before Run, so that a
// server has several addresses, some with TLS. The options say how connections begin: see WithTLS and WithProxyProtocol. It
// returns what Listen does.
//
// A socket file that a server before has left is replaced; the file is removed when the
// server ends. The error is ErrServerClosed, wraps ErrAddr if addr is malformed or "systemd"
// finds no sockets, wraps ErrTLS if there is no right certificate, or wraps the system's:
// errors.Is(err, syscall.EADDRINUSE) tells that another program listens there, or that the path of a Unix socket is another
// kind of file. An error closes what was bound before, too.
func (s *Server) ListenOn(addr string, options ...ListenOption) (netip.AddrPort, error) {
	first := 0
	err := s.listen(options, func(l *listener) error {
		first = len(s.ports)
		return s.bind(addr, l)
	})
	if err != nil {
		return netip.AddrPort{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports[first].Addr(), nil
}

// WithProxyProtocol has each connection begin with a header of the PROXY protocol, version 1 or 2, as HAProxy sends it with
// send-proxy and send-proxy-v2. It names the client: Request.RemoteAddr returns that address, and MaxConnsPerAddr counts it.
// With TLS the header comes before the handshake.
//
//   - A header is taken from the addresses of from only, and over a Unix socket from any peer. A connection from elsewhere is
//     closed, since it could name any client.
//   - A connection whose header is malformed, longer than 107 bytes (version 1) or 536 (version 2), or not whole within 5 s
//     is closed. It leaves one line in the log.
//   - LOCAL and UNKNOWN leave the address of the connection as it is.
//
// It panics without an address: over TCP no peer would be trusted.
func WithProxyProtocol(from ...netip.Prefix) ListenOption {
	if len(from) == 0 {
		panic("server: WithProxyProtocol needs the addresses of the proxies")
	}
	return func(_ *Server, l *listener) error {
		l.proxied, l.proxies = true, from
		return nil
	}
}

// Serve serves on sockets that were opened elsewhere, as http.Server.Serve does on one, and
// returns as Run does. Each listener must be one of package net, or another that shows its
// socket (syscall.Conn). One that does something else with it is refused: then the error wraps ErrAddr. For a listener of
// crypto/tls use ServeTLS and its inner listener. The connections are accepted by the loops, not by Accept.
//
// The listeners belong to the server from now on, also when there is an error. It closes them
// when it ends, and ends by Shutdown or Close; closing one of them does not end it.
func (s *Server) Serve(listeners ...net.Listener) error { return s.serve(listeners) }

func (s *Server) serve(listeners []net.Listener, options ...ListenOption) error {
	if err := s.listen(options, func(l *listener) error { return s.adopt(listeners, l) }); err != nil {
		for _, l := range listeners {
			if l != nil {
				l.Close()
			}
		}
		return err
	}
	return s.Run()
}

// Addrs returns where the server listens: a *net.TCPAddr or *net.UnixAddr for each socket;
// none before Listen or Serve. It may be called from any goroutine.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []net.Addr
	for _, p := range s.ports {
		if path := p.Path(); path != "" {
			all = append(all, &net.UnixAddr{Name: path, Net: "unix"})
		} else {
			all = append(all, net.TCPAddrFromAddrPort(p.Addr()))
		}
	}
	return all
}

// listen makes the loops, if there are none yet, and has open make their ports.
func (s *Server) listen(options []ListenOption, open func(*listener) error) error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case fresh:
		if err := s.makeLoops(); err != nil {
			return err
		}
	case listening:
	case running:
		return errors.New("server: it runs already: listen before Run")
	default:
		return ErrServerClosed
	}
	l := &listener{}
	for _, option := range options {
		if err := option(s, l); err != nil {
			return s.abandon(err)
		}
	}
	if err := open(l); err != nil {
		return s.abandon(err)
	}
	for range s.ports[len(s.secured):] {
		s.secured = append(s.secured, l.handshake != nil)
	}
	s.state = listening
	return nil
}

func (s *Server) makeLoops() error {
	if f, ok := s.Handler.(HandlerFunc); ok && f == nil {
		return errors.New("server: Handler is a nil HandlerFunc")
	}
	if err := s.check(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	var err error
	s.group, err = reactor.NewGroup(s.conf.loops, reactor.Config{
		Poller:      s.Poller,
		ReportError: s.reportError,
		StallLimit:  s.StallLimit,
		System:      s.system,
	})
	if err != nil {
		return err
	}
	for _, loop := range s.group.Reactors() {
		s.workers = append(s.workers, newWorker(s, loop))
	}
	return nil
}

// abandon closes what was opened when err has come in between. The server can listen anew.
func (s *Server) abandon(err error) error {
	s.closeHanded()
	err = errors.Join(err, s.group.Close())
	s.group, s.workers, s.ports, s.secured, s.handshakes = nil, nil, nil, nil, nil
	s.certificates.pairs = nil
	s.state = fresh
	return err
}

// bind opens what addr names.
func (s *Server) bind(addr string, l *listener) error {
	path, isUnix := strings.CutPrefix(addr, unixPrefix)
	switch {
	case addr == systemd:
		return s.bindHandedIn(l)
	case isUnix && path == "":
		return fmt.Errorf("%w: %q has no path", ErrAddr, addr)
	case isUnix:
		return s.take(s.group.ListenUnix(path, s.factory(l), &reactor.UnixOptions{
			TransportOptions: s.TransportOptions(), Mode: s.SocketMode,
		}))
	}
	err := s.take(s.group.ListenTCP(addr, s.factory(l), s.tcpOptions()))
	if malformed(err) {
		return fmt.Errorf("%w: %w (want host:port, unix:/path or systemd)", ErrAddr, err)
	}
	return err
}

// malformed reports whether package net has found no address in a text.
func malformed(err error) bool {
	_, syntax := errors.AsType[*net.AddrError](err)
	_, name := errors.AsType[*net.DNSError](err)
	return syntax || name
}

// bindHandedIn listens on what the service manager has bound.
func (s *Server) bindHandedIn(its *listener) error {
	sockets, err := reactor.ListenFDs()
	if err == nil && len(sockets) == 0 {
		err = errors.New("no sockets were passed to this process (LISTEN_FDS), or they were taken before")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAddr, err)
	}
	for i, l := range sockets {
		if err := s.take(s.group.ListenFD(l.FD, s.factory(its), s.tcpOptions())); err != nil {
			for _, rest := range sockets[i+1:] {
				_ = syscall.Close(rest.FD)
			}
			return fmt.Errorf("server: socket %q that was passed, which must be a stream socket that listens: %w", l.Name, err)
		}
	}
	return nil
}

// adopt listens on the sockets of listeners. The loops have duplicates of them: what package
// net has opened it watches, and closes, itself.
func (s *Server) adopt(listeners []net.Listener, its *listener) error {
	if len(listeners) == 0 {
		return fmt.Errorf("%w: Serve was given no listener", ErrAddr)
	}
	for _, l := range listeners {
		fd, err := duplicate(l)
		if err != nil {
			return err
		}
		if err := s.take(s.group.ListenFD(fd, s.factory(its), s.tcpOptions())); err != nil {
			return err
		}
	}
	s.handed = slices.Clone(listeners)
	return nil
}

func duplicate(l net.Listener) (fd int, err error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		hint := ""
		if l != nil && reflect.TypeOf(l).String() == "*tls.listener" {
			hint = "; serve its inner listener with ServeTLS"
		}
		return -1, fmt.Errorf("%w: a %T shows no socket%s", ErrAddr, l, hint)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	syscall.ForkLock.RLock() // or a child that is being started could inherit it
	defer syscall.ForkLock.RUnlock()
	if gone := raw.Control(func(its uintptr) { fd, err = syscall.Dup(int(its)) }); gone != nil {
		return -1, gone
	}
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(fd)
	return fd, nil
}

// closeHanded closes what was given to Serve: before its ports are closed, so that the file
// of a Unix socket goes first, and who connects later is refused instead of reset.
func (s *Server) closeHanded() {
	for _, l := range s.handed {
		l.Close()
	}
	s.handed = nil
}

// take keeps the ports of one socket, one for each loop.
func (s *Server) take(ports []*reactor.Port, err error) error {
	if err != nil {
		return err
	}
	for i, p := range ports {
		s.workers[i].ports = append(s.workers[i].ports, p)
	}
	s.ports = append(s.ports, ports[0])
	return nil
}

// factory returns what gives the ports of a listener their factories, one for each of the group's loops.
func (s *Server) factory(l *listener) func(*reactor.Reactor) reactor.Factory {
	return func(loop *reactor.Reactor) reactor.Factory {
		w := s.workers[slices.Index(s.group.Reactors(), loop)]
		if l.proxied || l.handshake != nil {
			return entrance{w, l}
		}
		return w
	}
}

func (s *Server) tcpOptions() *reactor.TCPOptions {
	return &reactor.TCPOptions{TransportOptions: s.TransportOptions()}
}
