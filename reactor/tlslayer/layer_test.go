package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/reactor"
)

// rig is a reactor with a port whose connections are TLS servers.
type rig struct {
	t    *testing.T
	r    *reactor.Reactor
	addr string
	hs   *Handshakes

	config reactor.Config

	mu      sync.Mutex
	reports []error
}

// start runs a reactor with a server. build is called on the loop.
func start(t *testing.T, config *tls.Config, o HandshakeOptions, a Acceptor) *rig {
	t.Helper()
	g := &rig{t: t, hs: NewHandshakes(o)}
	return g.serve(func() reactor.Protocol { return Server(config, g.hs, a) })
}

func (g *rig) serve(build func() reactor.Protocol) *rig {
	g.config.StallLimit = -1
	g.config.ReportError = func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.reports = append(g.reports, err)
	}
	r, err := reactor.New(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	g.r = r
	p, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return build() }), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	g.addr = p.Addr().String()
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	g.t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			g.t.Error(err)
		}
		if g.hs != nil && g.hs.Len() != 0 {
			g.t.Errorf("%d handshakes are counted at the end", g.hs.Len())
		}
	})
	return g
}

// do calls f on the loop and waits.
func (g *rig) do(f func()) {
	g.t.Helper()
	done := make(chan struct{})
	if !g.r.CallFromThread(func() { defer close(done); f() }) {
		g.t.Fatal("the reactor has ended")
	}
	<-done
}

// until waits for f, which is called on the loop.
func (g *rig) until(what string, f func() bool) {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		ok := false
		g.do(func() { ok = f() })
		if ok {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (g *rig) reported() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.reports
	g.reports = nil
	return r
}

// dial is a client of crypto/tls.
func (g *rig) dial(c *tls.Config) *tls.Conn {
	g.t.Helper()
	raw, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(20 * time.Second))
	return tls.Client(raw, c)
}

// peer is a protocol that notes everything. It is the loop's.
type peer struct {
	c       *Conn
	data    []byte
	onMade  func(p *peer)
	onData  func(p *peer, b []byte)
	lost    error
	losses  int
	failure error
}

func (p *peer) ConnectionMade(t reactor.Transport) {
	p.c = t.(*Conn)
	if p.onMade != nil {
		p.onMade(p)
	}
}

func (p *peer) DataReceived(b []byte) {
	p.data = append(p.data, b...)
	if p.onData != nil {
		p.onData(p, b)
	}
}
func (p *peer) ConnectionLost(err error)             { p.lost = err; p.losses++ }
func (p *peer) BuildProtocol(*Conn) reactor.Protocol { return p }
func (p *peer) HandshakeFailed(c *Conn, err error)   { p.failure = err; p.c = c; p.losses++ }
func echo(p *peer, b []byte)                         { p.c.Write(b) }

// halfPeer goes on after a half-close.
type halfPeer struct {
	*peer
	onEOF func(p *peer)
	eof   bool
}

func (p *halfPeer) BuildProtocol(*Conn) reactor.Protocol { return p }
func (p *halfPeer) ReadConnectionLost() {
	p.eof = true
	if p.onEOF != nil {
		p.onEOF(p.peer)
	}
}

func eachVersion(t *testing.T, f func(t *testing.T, cc *tls.Config)) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			cc := clientConfig()
			cc.MaxVersion = version
			f(t, cc)
		})
	}
}

func TestEcho(t *testing.T) {
	eachVersion(t, func(t *testing.T, cc *tls.Config) {
		cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		p := &peer{onData: echo}
		g := start(t, serverConfig(), HandshakeOptions{}, AcceptorFunc(func(*Conn) reactor.Protocol { return &peer{onData: echo} }))
		for round := range 2 {
			c := g.dial(cc)
			for _, n := range []int{1, 100, 16 << 10, 300 << 10, 3 << 20} {
				want := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
				go func() { _, _ = c.Write(want) }()
				got := make([]byte, n)
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
			if st := c.ConnectionState(); st.DidResume != (round == 1) || st.NegotiatedProtocol != "http/1.1" {
				t.Errorf("round %d: resumed %t, %q", round, st.DidResume, st.NegotiatedProtocol)
			}
			_ = c.Close()
		}
		_ = p
	})
}

func TestEnds(t *testing.T) {
	eachVersion(t, func(t *testing.T, cc *tls.Config) {
		for name, tc := range map[string]struct {
			end  func(c *tls.Conn)
			want error
		}{
			"close_notify": {func(c *tls.Conn) { _ = c.Close() }, reactor.ErrConnectionDone},
			"half-close":   {func(c *tls.Conn) { _ = c.CloseWrite() }, reactor.ErrConnectionDone},
			"FIN":          {func(c *tls.Conn) { _ = c.NetConn().(*net.TCPConn).CloseWrite() }, ErrTruncated},
			"FIN in a record": {func(c *tls.Conn) {
				_, _ = c.NetConn().Write([]byte{23, 3, 3, 0, 100, 1, 2, 3})
				_ = c.NetConn().(*net.TCPConn).CloseWrite()
			}, ErrTruncated},
			"reset": {func(c *tls.Conn) {
				_ = c.NetConn().(*net.TCPConn).SetLinger(0)
				_ = c.NetConn().Close()
			}, reactor.ErrConnectionLost},
		} {
			for _, halfCloser := range []bool{false, true} {
				p := &peer{}
				h := &halfPeer{peer: p, onEOF: func(p *peer) { p.c.Write([]byte("bye")); p.c.LoseConnection() }}
				var a Acceptor = p
				if halfCloser {
					a = h
				}
				g := start(t, serverConfig(), HandshakeOptions{}, a)
				c := g.dial(cc)
				if _, err := c.Write([]byte("hello")); err != nil {
					t.Fatal(err)
				}
				g.until("hello", func() bool { return string(p.data) == "hello" })
				tc.end(c)
				g.until("the end", func() bool { return p.losses == 1 })
				if !errors.Is(p.lost, tc.want) || tc.want != ErrTruncated && errors.Is(p.lost, ErrTruncated) {
					t.Errorf("%s: lost with %v", name, p.lost)
				}
				if h.eof != (halfCloser && tc.want == reactor.ErrConnectionDone) {
					t.Errorf("%s: ReadConnectionLost: %t", name, h.eof)
				}
				if name == "half-close" {
					got, err := io.ReadAll(c)
					if err != nil || halfCloser && string(got) != "bye" {
						t.Errorf("%s: the peer read %q, %v", name, got, err)
					}
				}
			}
		}
	})
}

// rawEnd reports how the bytes below end for the peer.
func rawEnd(c *tls.Conn) string {
	_, err := io.ReadAll(c.NetConn())
	switch {
	case err == nil:
		return "FIN"
	case strings.Contains(err.Error(), "reset"):
		return "RST"
	}
	return err.Error()
}

func TestOurEnds(t *testing.T) {
	eachVersion(t, func(t *testing.T, cc *tls.Config) {
		big := bytes.Repeat([]byte("x"), 2<<20)
		for name, tc := range map[string]struct {
			end  func(p *peer)
			want error
		}{
			"lose":  {func(p *peer) { p.c.Write(big); p.c.LoseConnection(); p.c.Write([]byte("late")) }, nil},
			"half":  {func(p *peer) { p.c.Write(big); p.c.CloseWrite(); p.c.Write([]byte("late")) }, nil},
			"abort": {func(p *peer) { p.c.Write(big); p.c.AbortConnection() }, reactor.ErrAborted},
		} {
			p := &peer{onData: func(p *peer, b []byte) { tc.end(p) }}
			g := start(t, serverConfig(), HandshakeOptions{}, p)
			c := g.dial(cc)
			_, _ = c.Write([]byte("go"))
			got, err := io.ReadAll(c)
			if tc.want == nil {
				if err != nil || !bytes.Equal(got, big) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			} else if err == nil {
				t.Errorf("%s: the peer has read an orderly end", name)
			}
			if name == "half" {
				_ = c.CloseWrite()
			}
			if end := rawEnd(c); tc.want == nil && end != "FIN" {
				t.Errorf("%s: %s", name, end)
			}
			g.until("the end", func() bool { return p.losses == 1 })
			if want := tc.want; want == nil && p.lost != reactor.ErrConnectionDone || want != nil && !errors.Is(p.lost, want) {
				t.Errorf("%s: lost with %v", name, p.lost)
			}
		}
	})
}

// TestFailures holds that the peer of a handshake that fails sees the alert, whatever else it has
// sent.
func TestFailures(t *testing.T) {
	sc := serverConfig()
	sc.MinVersion = tls.VersionTLS13
	p := &peer{}
	g := start(t, sc, HandshakeOptions{}, p)
	cc := clientConfig()
	cc.MaxVersion = tls.VersionTLS12
	c := g.dial(cc)
	if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version not supported") {
		t.Errorf("the peer sees %v", err)
	}
	g.until("the failure", func() bool { return p.losses == 1 })
	if !errors.Is(p.failure, ErrHandshake) {
		t.Errorf("%v", p.failure)
	}
}

// plainAnswer answers what is no TLS.
type plainAnswer struct{ *peer }

func (a plainAnswer) HandshakeFailed(c *Conn, err error) {
	a.peer.HandshakeFailed(c, err)
	var h tls.RecordHeaderError
	if errors.As(err, &h) {
		c.Below().Write([]byte("HTTP/1.0 400 Bad Request\r\n\r\n"))
	}
}

func TestPlaintext(t *testing.T) {
	p := &peer{}
	g := start(t, serverConfig(), HandshakeOptions{}, plainAnswer{p})
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(append([]byte("GET / HTTP/1.1\r\n"), bytes.Repeat([]byte("X: y\r\n"), 20000)...))
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 400") {
		t.Errorf("%q, %v", got, err)
	}
	g.until("the failure", func() bool { return p.losses == 1 })
}

// TestStartTLS holds that a layer can be put under a protocol later, with what was received
// already.
func TestStartTLS(t *testing.T) {
	eachVersion(t, func(t *testing.T, cc *tls.Config) {
		g := &rig{t: t, hs: NewHandshakes(HandshakeOptions{})}
		g.serve(func() reactor.Protocol {
			return &upgrading{up: func(tr reactor.Transport, rest []byte) {
				tr.SetProtocol(Server(serverConfig(), g.hs, &peer{onData: echo}), rest)
			}}
		})
		raw, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(&prefixed{Conn: raw, prefix: []byte("STARTTLS\n")}, cc)
		_, _ = c.Write([]byte("hello"))
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

type upgrading struct {
	t  reactor.Transport
	up func(t reactor.Transport, rest []byte)
}

func (u *upgrading) ConnectionMade(t reactor.Transport) { u.t = t }
func (u *upgrading) DataReceived(p []byte) {
	_, rest, _ := bytes.Cut(p, []byte("\n"))
	u.up(u.t, rest)
}
func (u *upgrading) ConnectionLost(error) {}

// prefixed sends a prefix together with its first bytes.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (c *prefixed) Write(p []byte) (int, error) {
	n := len(p)
	p = append(c.prefix, p...)
	c.prefix = nil
	_, err := c.Conn.Write(p)
	return n, err
}

// TestTimeout holds that a handshake that is never finished ends in time.
func TestTimeout(t *testing.T) {
	p := &peer{}
	g := start(t, serverConfig(), HandshakeOptions{Timeout: 60 * time.Millisecond}, p)
	c := g.dial(nil)
	_, _ = c.NetConn().Write([]byte{22, 3, 1})
	if end := rawEnd(c); end != "FIN" && end != "RST" {
		t.Error(end)
	}
	g.until("the failure", func() bool { return p.losses == 1 })
	if !errors.Is(p.failure, reactor.ErrTimeout) || !errors.Is(p.failure, ErrHandshake) {
		t.Error(p.failure)
	}
}

// TestPanics holds that a panic of a function of the tls.Config, of the Acceptor or of the protocol
// costs that connection alone, and is reported once.
func TestPanics(t *testing.T) {
	for name, tc := range map[string]struct {
		config func(c *tls.Config)
		p      func(p *peer)
	}{
		"GetConfigForClient": {config: func(c *tls.Config) {
			c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if h.ServerName == "localhost" {
					panic("ouch")
				}
				return nil, nil
			}
		}},
		"GetCertificate": {config: func(c *tls.Config) {
			given := &c.Certificates[0]
			c.Certificates = nil
			c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if h.ServerName == "localhost" {
					panic("ouch")
				}
				return given, nil
			}
		}},
		"VerifyConnection": {config: func(c *tls.Config) {
			c.VerifyConnection = func(s tls.ConnectionState) error {
				if s.ServerName == "localhost" {
					panic("ouch")
				}
				return nil
			}
		}},
		"SetProtocol": {p: func(p *peer) {
			p.onData = func(p *peer, _ []byte) {
				p.c.SetProtocol(&peer{onMade: func(*peer) { panic("ouch") }}, nil)
			}
		}},
		"ConnectionMade": {p: func(p *peer) { p.onMade = func(*peer) { panic("ouch") } }},
		"DataReceived":   {p: func(p *peer) { p.onData = func(p *peer, _ []byte) { p.c.Write([]byte("secret")); panic("ouch") } }},
	} {
		sc := serverConfig()
		if tc.config != nil {
			tc.config(sc)
		}
		var made []*peer
		g := start(t, sc, HandshakeOptions{}, AcceptorFunc(func(*Conn) reactor.Protocol {
			p := &peer{onData: echo}
			if tc.p != nil && len(made) == 0 {
				tc.p(p)
			}
			made = append(made, p)
			return p
		}))
		c := g.dial(clientConfig())
		_, werr := c.Write([]byte("hello")) // which may be what hears of the reset
		got, err := io.ReadAll(c)
		if err == nil && werr == nil || len(got) > 0 {
			t.Errorf("%s: the peer got %q, %v, %v", name, got, err, werr)
		}
		if strings.HasPrefix(name, "Get") && !strings.Contains(fmt.Sprint(werr), "remote error: tls: internal error") {
			t.Errorf("%s: the peer got %v and no alert", name, werr)
		}
		c.Close()
		g.do(func() {})
		reports := g.reported()
		var p *reactor.PanicError
		if len(reports) != 1 || !errors.As(reports[0], &p) || p.Value != "ouch" || !bytes.Contains(p.Stack, []byte("TestPanics")) {
			t.Errorf("%s: reported %v", name, reports)
		}
		cc := clientConfig()
		cc.ServerName, cc.InsecureSkipVerify = "other", true
		c = g.dial(cc)
		_, _ = c.Write([]byte("hello"))
		got = make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("%s: the next connection got %q, %v", name, got, err)
		}
	}
}
