package tlslayer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/reactor"
)

// testCert is a certificate for localhost and its pool, made once.
var testCert = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

func serverConfig() *tls.Config {
	cert, _ := testCert()
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
}

func clientConfig() *tls.Config {
	_, pool := testCert()
	return &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"http/1.1"}}
}

// end is one side of a connection in memory: an engine, and what a layer keeps for it.
type end struct {
	t       *testing.T
	e       *engine
	pending []byte // ciphertext that is not a whole record yet
	plain   []byte
	err     error
	open    bool
}

func newEnd(t *testing.T, c *tls.Config, client bool) *end {
	n := &end{t: t, e: newEngine(c, client, netip.AddrPort{}, netip.AddrPort{})}
	t.Cleanup(n.e.abandon)
	return n
}

// feed hands it ciphertext, and returns what it has to send.
func (n *end) feed(p []byte, eof bool) (out []byte) {
	n.pending = append(n.pending, p...)
	if n.err != nil {
		return nil
	}
	for !n.open {
		k := whole(n.pending)
		if eof {
			k = len(n.pending)
		}
		rest, over, err := n.e.advance(n.pending[:k], eof)
		n.pending = append(bytes.Clone(rest), n.pending[k:]...)
		if err != nil {
			n.err = err
			return n.sent()
		}
		if !over {
			return n.sent()
		}
		n.open = true
	}
	k := whole(n.pending)
	p = n.pending[:k]
	var buf [1000]byte
	n.e.mem.eof = eof
	for n.err == nil {
		got, rest, err := n.e.read(buf[:], p)
		n.plain = append(n.plain, buf[:got]...)
		p = rest
		if temporary(err) {
			break
		}
		n.err = err
	}
	n.pending = append([]byte(nil), n.pending[k:]...)
	return n.sent()
}

func (n *end) sent() []byte {
	out := n.e.mem.out
	n.e.mem.out = nil
	return out
}

// converse carries bytes between both, in pieces of at most the given length, until neither has any
// left.
func converse(a, b *end, piece int) {
	cut := func(to *end, p []byte) (out []byte) {
		for len(p) > 0 {
			k := min(piece, len(p))
			out = append(out, to.feed(p[:k], false)...)
			p = p[k:]
		}
		return out
	}
	toB := append(a.feed(nil, false), a.sent()...)
	toA := append(b.feed(nil, false), b.sent()...)
	for len(toA)+len(toB) > 0 {
		nextB := cut(a, toA)
		toA = cut(b, toB)
		toB = nextB
	}
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func TestConversations(t *testing.T) {
	for name, version := range versions {
		for _, piece := range []int{1, 7, 1 << 20} {
			sc, cc := serverConfig(), clientConfig()
			cc.MaxVersion = version
			cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			for round := range 2 {
				s, c := newEnd(t, sc, false), newEnd(t, cc, true)
				converse(c, s, piece)
				if s.err != nil || c.err != nil || !s.open || !c.open {
					t.Fatalf("%s, pieces of %d: server %v %v, client %v %v", name, piece, s.open, s.err, c.open, c.err)
				}
				st := s.e.conn.ConnectionState()
				if st.Version != version || st.NegotiatedProtocol != "http/1.1" || st.ServerName != "localhost" || st.DidResume != (round == 1) {
					t.Errorf("%s, pieces of %d, round %d: %x, %q, %q, resumed %t", name, piece, round,
						st.Version, st.NegotiatedProtocol, st.ServerName, st.DidResume)
				}
				long := bytes.Repeat([]byte("0123456789"), 5000)
				_ = c.e.write(long)
				_ = s.e.write([]byte("short"))
				converse(c, s, piece)
				if !bytes.Equal(s.plain, long) || string(c.plain) != "short" {
					t.Errorf("%s, pieces of %d: server got %d bytes, client %q", name, piece, len(s.plain), c.plain)
				}
				// A half-close of each side in turn: the other way goes on.
				_ = c.e.conn.CloseWrite()
				converse(c, s, piece)
				if s.err != io.EOF {
					t.Errorf("%s: the server's end after close_notify: %v", name, s.err)
				}
				_ = s.e.write([]byte(" and more"))
				_ = s.e.conn.CloseWrite()
				converse(c, s, piece)
				if string(c.plain) != "short and more" || c.err != io.EOF {
					t.Errorf("%s: the client got %q, %v", name, c.plain, c.err)
				}
			}
		}
	}
}

// TestTruncation holds that an end without close_notify is told apart from one with it, wherever it
// comes.
func TestTruncation(t *testing.T) {
	for name, version := range versions {
		sc, cc := serverConfig(), clientConfig()
		cc.MaxVersion = version
		for _, within := range []bool{false, true} {
			s, c := newEnd(t, sc, false), newEnd(t, cc, true)
			converse(c, s, 1<<20)
			_ = c.e.write([]byte("whole"))
			s.feed(c.sent(), false)
			_ = c.e.write([]byte("cut"))
			if p := c.sent(); within {
				s.feed(p[:len(p)-1], false)
			}
			s.feed(nil, true)
			if string(s.plain) != "whole" || !errors.Is(s.err, ErrTruncated) || !errors.Is(s.err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, within a record %t: %q, %v", name, within, s.plain, s.err)
			}
		}
	}
}

// TestTruncatedHandshake holds that a handshake fails when the peer ends before it is complete.
func TestTruncatedHandshake(t *testing.T) {
	s, c := newEnd(t, serverConfig(), false), newEnd(t, clientConfig(), true)
	hello := c.feed(nil, false)
	s.feed(hello[:len(hello)/2], false)
	s.feed(nil, true)
	if !errors.Is(s.err, ErrHandshake) || !errors.Is(s.err, io.ErrUnexpectedEOF) {
		t.Error(s.err)
	}
}

// TestGarbage holds that what is no TLS fails at once, without waiting for more of it.
func TestGarbage(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"GET / HTTP/1.1\r\n", "first record does not look like"},
		{"\x80\x2e\x01\x03\x01\x00\x00", "SSLv2"},
		{"\x16\x03\x01\xff\xff\x01", "oversized record"},
		{"\x16\x03\x01\x00\x04\x00\x00\x00\x00", "unexpected handshake message"},
	} {
		s := newEnd(t, serverConfig(), false)
		s.feed([]byte(c.in), false)
		if s.err == nil || !strings.Contains(s.err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.in, s.err, c.want)
		}
	}
	var header tls.RecordHeaderError
	s := newEnd(t, serverConfig(), false)
	s.feed([]byte("GET / HTTP/1.1\r\n"), false)
	if !errors.As(s.err, &header) || string(header.RecordHeader[:]) != "GET /" {
		t.Errorf("the header of what is no record: %q, %v", header.RecordHeader, s.err)
	}
}

// TestTampered holds that a changed record ends the connection with an alert, and gives no
// plaintext.
func TestTampered(t *testing.T) {
	s, c := newEnd(t, serverConfig(), false), newEnd(t, clientConfig(), true)
	converse(c, s, 1<<20)
	_ = c.e.write([]byte("hello"))
	p := c.sent()
	p[len(p)-1] ^= 1
	alert := s.feed(p, false)
	if s.err == nil || len(s.plain) > 0 || len(alert) == 0 {
		t.Fatalf("%v, %q, %d bytes of alert", s.err, s.plain, len(alert))
	}
	c.feed(alert, false)
	if c.err == nil || !strings.Contains(c.err.Error(), "bad record MAC") {
		t.Errorf("the peer sees %v", c.err)
	}
}

// TestCallbacks holds that a function of the tls.Config that panics, or ends its goroutine, fails
// its own handshake only.
func TestCallbacks(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("ouch") }, "goexit": runtime.Goexit} {
		sc := serverConfig()
		sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { f(); return nil, nil }
		s, c := newEnd(t, sc, false), newEnd(t, clientConfig(), true)
		hello := c.feed(nil, false)
		done := make(chan struct{})
		go func() { // a Goexit comes out on the goroutine that has resumed the coroutine
			defer close(done)
			s.feed(hello, false)
		}()
		<-done
		switch hs := s.e.hs; {
		case hs == nil || !hs.over:
			t.Errorf("%s: the handshake is not over", name)
		case name == "panic":
			if p, ok := hs.err.(*reactor.PanicError); !ok || p.Value != "ouch" || !bytes.Contains(p.Stack, []byte("TestCallbacks")) {
				t.Errorf("%v", hs.err)
			}
		case !errors.Is(hs.err, ErrHandshake):
			t.Errorf("%s: %v", name, hs.err)
		}
	}
}

// TestClientCertificate holds that both sides see each other's certificates.
func TestClientCertificate(t *testing.T) {
	cert, pool := testCert()
	sc, cc := serverConfig(), clientConfig()
	sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, pool
	s, c := newEnd(t, sc, false), newEnd(t, cc, true)
	converse(c, s, 1<<20)
	if s.err == nil || !strings.Contains(s.err.Error(), "didn't provide a certificate") {
		t.Errorf("without one: %v", s.err)
	}
	cc.Certificates = []tls.Certificate{cert}
	s, c = newEnd(t, sc, false), newEnd(t, cc, true)
	converse(c, s, 1<<20)
	if n := len(s.e.conn.ConnectionState().VerifiedChains); s.err != nil || n == 0 {
		t.Errorf("with one: %v, %d chains", s.err, n)
	}
}

// TestAgainstCryptoTLS holds that the engine talks to a tls.Conn of package net in both roles, with
// many records.
func TestAgainstCryptoTLS(t *testing.T) {
	for name, version := range versions {
		near, far := net.Pipe()
		cc := clientConfig()
		cc.MaxVersion = version
		done := make(chan error, 1)
		payload := bytes.Repeat([]byte("abcdefgh"), 30000)
		go func() {
			c := tls.Client(far, cc)
			if _, err := c.Write(payload); err != nil {
				done <- err
				return
			}
			_ = c.CloseWrite()
			back, err := io.ReadAll(c)
			if err == nil && !bytes.Equal(back, payload) {
				err = errors.New("what came back differs")
			}
			done <- err
			far.Close()
		}()
		s := newEnd(t, serverConfig(), false)
		buf := make([]byte, 4096)
		for s.err == nil {
			n, err := near.Read(buf)
			out := s.feed(buf[:n], err != nil)
			if len(out) > 0 {
				_, _ = near.Write(out)
			}
		}
		if s.err != io.EOF || !bytes.Equal(s.plain, payload) {
			t.Fatalf("%s: %v after %d bytes", name, s.err, len(s.plain))
		}
		_ = s.e.write(s.plain)
		_ = s.e.conn.CloseWrite()
		_, _ = near.Write(s.sent())
		if err := <-done; err != nil {
			t.Errorf("%s: the client: %v", name, err)
		}
		near.Close()
	}
}

// TestAbandon holds that a handshake that is given up leaves no goroutine.
func TestAbandon(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		e := newEngine(serverConfig(), false, netip.AddrPort{}, netip.AddrPort{})
		if _, over, err := e.advance([]byte("\x16\x03\x01\x01\x00"), false); over || err != nil {
			t.Fatal(over, err)
		}
		e.abandon()
		e.abandon()
	}
	if after := runtime.NumGoroutine(); after > before+2 {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// FuzzServer feeds a server's engine a true client's bytes with a change, cut anywhere, and after
// that more of anything.
func FuzzServer(f *testing.F) {
	f.Add(uint16(3), byte(1), uint16(7), []byte("GET / HTTP/1.1\r\n\r\n"), false)
	f.Add(uint16(0), byte(0), uint16(1), []byte("\x15\x03\x03\x00\x02\x01\x00"), true)
	f.Add(uint16(9999), byte(0), uint16(500), []byte("\x16\x03\x03\x00\x04\x00\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, at uint16, flip byte, piece uint16, after []byte, old bool) {
		cc := clientConfig()
		if old {
			cc.MaxVersion = tls.VersionTLS12
		}
		s, c := newEnd(t, serverConfig(), false), newEnd(t, cc, true)
		sent := 0
		toS := c.feed(nil, false)
		for rounds := 0; len(toS) > 0 && rounds < 10; rounds++ {
			if k := int(at) - sent; k >= 0 && k < len(toS) {
				toS[k] ^= flip
			}
			sent += len(toS)
			var toC []byte
			for p := toS; len(p) > 0; {
				k := min(len(p), int(piece)+1)
				toC = append(toC, s.feed(p[:k], false)...)
				p = p[k:]
			}
			toS = c.feed(toC, false)
		}
		if flip == 0 && int(at) >= 0 && s.err != nil {
			t.Fatalf("an honest client: %v", s.err)
		}
		was := len(s.plain)
		s.feed(after, false)
		s.feed(nil, true)
		if len(s.plain) > was {
			t.Fatal("bytes that no client has encrypted were taken for its")
		}
		if s.err == nil || s.err == io.EOF {
			t.Fatalf("ended by %v without close_notify", s.err)
		}
	})
}
