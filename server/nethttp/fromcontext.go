package nethttp

// What the requests of one connection have in common, and the contexts of net/http: of the server, of a connection, of a
// request.

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"microhttp/server"
)

// peer is a connection, as far as its requests show it, and the handler of these.
type peer struct {
	from   *from
	leaf   server.Handler // the peer, off the loop
	remote string         // RemoteAddr of its requests
	tls    *tls.ConnectionState
	ctx    context.Context // the values of server and connection
}

// TakesHead implements server.HeadTaker: the body streams.
func (p *peer) TakesHead() {}

// Serve implements server.Handler, off the loop.
func (p *peer) Serve(w *server.Response, r *server.Request) { p.from.serve(w, r, p) }

// peerOf returns the peer of the connection of r. It is called on the loop, or in a Blocking handler, which cannot ask what
// the loop knows.
func (f *from) peerOf(r *server.Request) *peer {
	if !r.Inline() {
		return f.newPeer(r)
	}
	p := f.peers.Get(r)
	if p == nil {
		p = f.newPeer(r)
		f.peers.Set(r, p)
	}
	return p
}

func (f *from) newPeer(r *server.Request) *peer {
	p := &peer{from: f, remote: "@", tls: r.TLS()} // "@" is what net/http says of a Unix socket
	c := &connStub{local: netAddr(r.LocalAddr()), remote: netAddr(r.RemoteAddr())}
	if a := r.RemoteAddr(); a.IsValid() {
		p.remote = a.String()
	}
	p.ctx = context.WithValue(f.base.of(f.server, c.local), http.ServerContextKey, f.server)
	if f.server.ConnContext != nil {
		if p.ctx = f.server.ConnContext(p.ctx, c); p.ctx == nil {
			panic("nethttp: ConnContext returned nil")
		}
	}
	if c.local != nil {
		p.ctx = context.WithValue(p.ctx, http.LocalAddrContextKey, c.local)
	}
	p.leaf = server.OwnGoroutine(p)
	return p
}

func netAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return nil
	}
	return net.TCPAddrFromAddrPort(a)
}

// base is the context of BaseContext.
type base struct {
	once sync.Once
	ctx  context.Context
}

func (b *base) of(s *http.Server, local net.Addr) context.Context {
	b.once.Do(func() {
		if b.ctx = context.Background(); s.BaseContext != nil {
			b.ctx = s.BaseContext(listenerStub{local})
		}
	})
	if b.ctx == nil {
		panic("nethttp: BaseContext returned nil, or panicked")
	}
	return b.ctx
}

// callContext is the context of a request: that of the server.Request, with the values of the peer beneath its own.
type callContext struct {
	context.Context
	peer   context.Context
	unlink func() bool // nil if the peer's context never ends
	cancel context.CancelFunc
}

// of makes the context of a request. If that of the peer can end, it ends the request's.
func (c *callContext) of(request, peer context.Context) context.Context {
	c.Context, c.peer = request, peer
	if peer.Done() != nil {
		c.Context, c.cancel = context.WithCancel(request)
		c.unlink = context.AfterFunc(peer, c.cancel)
	}
	return c
}

// stop is called when the handler has returned.
func (c *callContext) stop() {
	if c.unlink != nil {
		c.unlink()
		c.cancel()
	}
}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.peer.Value(key)
}

// connStub is what ConnContext gets.
type connStub struct{ local, remote net.Addr }

var _ net.Conn = (*connStub)(nil)

func (c *connStub) Read([]byte) (int, error)         { return 0, errors.ErrUnsupported }
func (c *connStub) Write([]byte) (int, error)        { return 0, errors.ErrUnsupported }
func (c *connStub) Close() error                     { return errors.ErrUnsupported }
func (c *connStub) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *connStub) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *connStub) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
func (c *connStub) LocalAddr() net.Addr              { return addrOf(c.local) }
func (c *connStub) RemoteAddr() net.Addr             { return addrOf(c.remote) }

// addrOf is an address, that of a Unix socket if it is none.
func addrOf(a net.Addr) net.Addr {
	if a == nil {
		return &net.UnixAddr{Net: "unix"}
	}
	return a
}

// listenerStub is what BaseContext gets.
type listenerStub struct{ local net.Addr }

var _ net.Listener = listenerStub{}

func (l listenerStub) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }
func (l listenerStub) Close() error              { return errors.ErrUnsupported }
func (l listenerStub) Addr() net.Addr            { return addrOf(l.local) }
