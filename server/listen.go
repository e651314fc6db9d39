package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
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
// was bound, with port 0 the real one; for a Unix socket, the zero AddrPort (see Addrs).
//
// A socket file that a server before has left is replaced; the file is removed when the
// server ends. The error is ErrServerClosed, wraps ErrAddr if Addr is malformed or "systemd"
// finds no sockets, or wraps the system's: errors.Is(err, syscall.EADDRINUSE) tells that
// somebody else listens there, or that the path of a Unix socket is another kind of file.
func (s *Server) Listen() (netip.AddrPort, error) {
	if err := s.listen(s.bind); err != nil {
		return netip.AddrPort{}, err
	}
	return s.ports[0].Addr(), nil
}

// Serve serves on sockets that were opened elsewhere, as http.Server.Serve does on one, and
// returns as Run does. Each listener must be one of package net, or another that shows its
// socket (syscall.Conn), and not one that does something else with it, such as one for TLS:
// then the error wraps ErrAddr. The connections are accepted by the loops, not by Accept.
//
// The listeners belong to the server from now on, also when there is an error. It closes them
// when it ends, and ends by Shutdown or Close; closing one of them does not end it.
func (s *Server) Serve(listeners ...net.Listener) error {
	if err := s.listen(func() error { return s.adopt(listeners) }); err != nil {
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

// listen makes the loops and has open make their ports.
func (s *Server) listen(open func() error) error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case fresh:
	case closing, closed:
		return ErrServerClosed
	default:
		return errors.New("server: a Server listens once, and this one does")
	}
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
	if err := open(); err != nil {
		err = errors.Join(err, s.group.Close()) // and with it what was opened
		s.group, s.workers, s.ports = nil, nil, nil
		return err
	}
	s.state = listening
	return nil
}

// bind opens what Addr names.
func (s *Server) bind() error {
	path, isUnix := strings.CutPrefix(s.Addr, unixPrefix)
	switch {
	case s.Addr == systemd:
		return s.bindHandedIn()
	case isUnix && path == "":
		return fmt.Errorf("%w: %q has no path", ErrAddr, s.Addr)
	case isUnix:
		return s.take(s.group.ListenUnix(path, s.factory, &reactor.UnixOptions{
			TransportOptions: s.TransportOptions(), Mode: s.SocketMode,
		}))
	}
	addr := s.Addr
	if addr == "" {
		addr = ":http"
	}
	err := s.take(s.group.ListenTCP(addr, s.factory, s.tcpOptions()))
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
func (s *Server) bindHandedIn() error {
	sockets, err := reactor.ListenFDs()
	if err == nil && len(sockets) == 0 {
		err = errors.New("no sockets were passed to this process (LISTEN_FDS), or they were taken before")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAddr, err)
	}
	for i, l := range sockets {
		if err := s.take(s.group.ListenFD(l.FD, s.factory, s.tcpOptions())); err != nil {
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
func (s *Server) adopt(listeners []net.Listener) error {
	if len(listeners) == 0 {
		return fmt.Errorf("%w: Serve was given no listener", ErrAddr)
	}
	for _, l := range listeners {
		fd, err := duplicate(l)
		if err != nil {
			return err
		}
		if err := s.take(s.group.ListenFD(fd, s.factory, s.tcpOptions())); err != nil {
			return err
		}
	}
	s.handed = slices.Clone(listeners)
	return nil
}

func duplicate(l net.Listener) (fd int, err error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%w: a %T shows no socket", ErrAddr, l)
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

// factory returns the worker of one of the group's loops.
func (s *Server) factory(loop *reactor.Reactor) reactor.Factory {
	return s.workers[slices.Index(s.group.Reactors(), loop)]
}

func (s *Server) tcpOptions() *reactor.TCPOptions {
	return &reactor.TCPOptions{TransportOptions: s.TransportOptions()}
}
