// Package hook serves the connections of an http.Server by nethttp.FromServer. The tests of the standard library are run with
// it: see the command in the directory above.
package hook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"

	"microhttp/reactor"
	"microhttp/server"
	"microhttp/server/nethttp"
)

// served gets a byte for each connection, so that its size says how many there were.
var served = func() *os.File {
	f, err := os.OpenFile(os.Getenv("STDLIB_SERVED"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}()

// loop has all connections. It runs until the process ends.
var loop = func() *reactor.Reactor {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	go func() { _ = r.Run() }()
	return r
}()

// Conn takes a connection that s has accepted. It returns what s is to know it by, and a function that serves it and then
// returns. That function gets one for the state of the connection, and one that has s serve the connection itself.
func Conn(s *http.Server, rw net.Conn) (net.Conn, func(state func(http.ConnState), itself func())) {
	below := rw
	if t, ok := rw.(*tls.Conn); ok {
		below = t.NetConn()
	}
	if fmt.Sprintf("%T", below) == "*http_test.fakeNetConn" {
		return rw, nil // in a bubble of testing/synctest, which the loop is not in
	}
	raw, ok := rw.(syscall.Conn)
	if !ok {
		return rw, func(state func(http.ConnState), itself func()) {
			if t, ok := rw.(*tls.Conn); ok {
				if err := t.Handshake(); err != nil || t.ConnectionState().NegotiatedProtocol == "h2" {
					itself()
					return
				}
			}
			near, far := pair()
			answered := make(chan struct{})
			go carry(rw, near, answered)
			serve(s, far, rw, state)
			<-answered
			near.Close()
			rw.Close()
		}
	}
	fd := duplicate(raw)
	c := &conn{Conn: rw, raw: raw}
	return c, func(state func(http.ConnState), _ func()) {
		serve(s, fd, rw, state)
		rw.Close()
	}
}

// conn is a connection whose socket the loop has as well.
type conn struct {
	net.Conn
	raw syscall.Conn
}

// Close ends the connection for both.
func (c *conn) Close() error {
	if rc, err := c.raw.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	}
	return c.Conn.Close()
}

func duplicate(c syscall.Conn) (fd int) {
	rc, err := c.SyscallConn()
	if err == nil {
		err = errors.Join(rc.Control(func(old uintptr) { fd, err = syscall.Dup(int(old)) }), err)
	}
	if err != nil {
		panic(err)
	}
	return fd
}

// pair is a connection to ourselves: one end for package net, one for the loop.
func pair() (near net.Conn, far int) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	f := os.NewFile(uintptr(fds[0]), "pair")
	near, err = net.FileConn(f)
	if err != nil {
		panic(err)
	}
	f.Close()
	return near, fds[1]
}

// carry carries bytes both ways between a connection without a socket and one with. It closes answered when all that the inner
// one has sent is written.
func carry(outer, inner net.Conn, answered chan<- struct{}) {
	go func() {
		defer close(answered)
		copyTo(outer, inner)
	}()
	copyTo(inner, outer)
	inner.(*net.UnixConn).CloseWrite()
}

func copyTo(dst, src net.Conn) {
	p := make([]byte, 32<<10)
	for {
		n, err := src.Read(p)
		if n > 0 {
			if _, err := dst.Write(p[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// serve serves a socket until it is lost, by a server.Server of its own.
func serve(s *http.Server, fd int, rw net.Conn, state func(http.ConnState)) {
	states := make(chan http.ConnState, 64)
	told := make(chan struct{})
	go func() { // not on the loop: hooks of tests may wait
		defer close(told)
		hijacked := false
		for st := range states {
			if !hijacked {
				hijacked = st == http.StateHijacked
				state(st)
			}
			if st == http.StateClosed {
				return // an answer that is still made has none to tell
			}
		}
	}()
	tell := func(st http.ConnState) {
		select {
		case states <- st:
		case <-told:
		}
	}
	_, _ = served.Write([]byte{1})
	srv := &server.Server{
		Handler: server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
			tell(http.StateActive)
			w.OnDone(func(*server.Response, *server.Request) { tell(http.StateIdle) })
			next.Serve(w, r)
		})(nethttp.FromServer(s)),
		ReadHeaderTimeout: s.ReadHeaderTimeout,
		BodyTimeout:       s.ReadTimeout,
		IdleTimeout:       s.IdleTimeout,
		SendTimeout:       s.WriteTimeout,
		MaxHeaderBytes:    s.MaxHeaderBytes,
		Log:               server.Slog(slog.New(lines{s})),
	}
	if srv.ReadHeaderTimeout == 0 {
		srv.ReadHeaderTimeout = s.ReadTimeout
	}
	if srv.IdleTimeout == 0 {
		srv.IdleTimeout = s.ReadTimeout
	}
	w := &watched{lost: make(chan struct{}), states: states, local: addrPort(rw.LocalAddr()), remote: addrPort(rw.RemoteAddr())}
	loop.CallFromThread(func() {
		if err := loop.AdoptFD(fd, factory{srv.Factory(loop), w}, nil); err != nil {
			syscall.Close(fd)
			close(w.lost)
		}
	})
	<-w.lost
	states <- http.StateClosed
	<-told
}

// factory puts a watched around the protocol of the server.
type factory struct {
	reactor.Factory
	w *watched
}

func (f factory) BuildProtocol(a netip.AddrPort) reactor.Protocol {
	f.w.Protocol = f.Factory.BuildProtocol(a)
	return f.w
}

// watched is a protocol of the server's, and tells when its connection is lost.
type watched struct {
	reactor.Protocol
	lost   chan struct{}
	states chan<- http.ConnState
	local  netip.AddrPort
	remote netip.AddrPort
}

func (w *watched) ConnectionMade(t reactor.Transport) { w.Protocol.ConnectionMade(&transport{t, w}) }

func (w *watched) ConnectionLost(reason error) {
	w.Protocol.ConnectionLost(reason)
	close(w.lost)
}

func (w *watched) ReadConnectionLost() {
	if h, ok := w.Protocol.(reactor.HalfCloser); ok {
		h.ReadConnectionLost()
	}
}

func (w *watched) TimeoutConnection() {
	if h, ok := w.Protocol.(reactor.TimeoutHandler); ok {
		h.TimeoutConnection()
	}
}

// transport has the addresses of the connection that was accepted, and goes along to another protocol.
type transport struct {
	reactor.Transport
	w *watched
}

func (t *transport) SetProtocol(p reactor.Protocol, unread []byte) {
	t.w.states <- http.StateHijacked
	t.w.Protocol = p
	p.ConnectionMade(t)
	if len(unread) > 0 {
		p.DataReceived(unread)
	}
}

func (t *transport) Info() reactor.Info { return info{t.Transport.Info(), t.w} }

type info struct {
	reactor.Info
	w *watched
}

func (i info) LocalAddr() netip.AddrPort  { return i.w.local }
func (i info) RemoteAddr() netip.AddrPort { return i.w.remote }

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// lines writes the log to the ErrorLog of an http.Server.
type lines struct{ s *http.Server }

func (l lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l lines) WithGroup(string) slog.Handler                    { return l }

func (l lines) Handle(_ context.Context, r slog.Record) error {
	if l.s.ErrorLog == nil {
		return nil
	}
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	l.s.ErrorLog.Print(text)
	return nil
}
