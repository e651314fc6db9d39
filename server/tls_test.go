package server

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// authority signs the certificates of these tests.
var authority = sync.OnceValue(func() (a struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
},
) {
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic(err)
	}
	t := template("the authority")
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &a.key.PublicKey, a.key)
	if err != nil {
		panic(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.pool = x509.NewCertPool()
	a.pool.AddCert(a.cert)
	return a
})

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost", "a"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// certificate makes one that the authority has signed.
func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	a := authority()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template(name), a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// writePair writes a certificate and its key to files.
func writePair(t testing.TB, c tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startTLS is start with TLS.
func startTLS(t testing.TB, h HandlerFunc, options ...func(*Server)) (*Server, netip.AddrPort) {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost")}}
	return startOn(t, h, []ListenOption{WithTLS("", "")}, append([]func(*Server){func(s *Server) { s.TLSConfig = config }}, options...)...)
}

func clientConfig() *tls.Config {
	return &tls.Config{RootCAs: authority().pool, ServerName: "localhost"}
}

// dialTLS is dial with TLS. What it returns sends and reads through TLS.
func dialTLS(t testing.TB, addr netip.AddrPort, c *tls.Config) *securePeer {
	t.Helper()
	p := dial(t, addr)
	if c == nil {
		c = clientConfig()
	}
	s := tls.Client(p.TCPConn, c)
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &securePeer{s, p, bufio.NewReader(s)}
}

type securePeer struct {
	*tls.Conn
	below *peer
	r     *bufio.Reader
}

func (p *securePeer) ask(request string) (*http.Response, string) {
	t := p.below.t
	t.Helper()
	if _, err := io.WriteString(p.Conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

const getKept = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func showTLS(w *Response, r *Request) {
	state := r.TLS()
	if state == nil {
		fmt.Fprint(w, r.Scheme(), " without TLS")
		return
	}
	client := ""
	if len(state.PeerCertificates) > 0 {
		client = state.PeerCertificates[0].Subject.CommonName
	}
	fmt.Fprint(w, r.Scheme(), " ", state.NegotiatedProtocol, " ", state.ServerName, " ", client)
}

// A request over TLS says so, in every mode of handler and in every form of target.
func TestTLS(t *testing.T) {
	_, addr := startTLS(t, showTLS)
	c := clientConfig()
	c.NextProtos = []string{"h2", "http/1.1"}
	p := dialTLS(t, addr, c)
	for range 2 {
		if _, body := p.ask(getKept); body != "https http/1.1 localhost " {
			t.Errorf("got %q", body)
		}
	}
	if res, body := p.ask("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("an https target: %d %s", res.StatusCode, body)
	}
	if _, body := p.ask(getKept + getKept); body != "https http/1.1 localhost " { // the second is left unread
		t.Errorf("got %q", body)
	}
}

// Off the loop, streamed, from a file, and large: the bytes are those that plain HTTP gives.
func TestTLSAnswers(t *testing.T) {
	large := strings.Repeat("0123456789", 300_000)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(large), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kinds := map[string]Handler{
		"inline":   HandlerFunc(func(w *Response, r *Request) { fmt.Fprint(w, large) }),
		"blocking": Blocking(HandlerFunc(func(w *Response, r *Request) { fmt.Fprint(w, r.TLS().Version, large) })),
		"file":     HandlerFunc(func(w *Response, r *Request) { w.SendFile(f, 0, int64(len(large))) }),
		"stream": Blocking(HandlerFunc(func(w *Response, r *Request) {
			s := w.Stream()
			for rest := large; rest != ""; rest = rest[1000:] {
				_, _ = s.WriteString(rest[:1000])
			}
		})),
		"echo": HandlerFunc(func(w *Response, r *Request) { _, _ = w.Write(r.PeekBody()) }),
	}
	for name, h := range kinds {
		t.Run(name, func(t *testing.T) {
			_, addr := startTLS(t, nil, func(s *Server) { s.Handler = h })
			p := dialTLS(t, addr, nil)
			request, want := getKept, large
			switch name {
			case "echo":
				request = fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(large), large)
			case "blocking":
				want = fmt.Sprint(tls.VersionTLS13) + large
			}
			for range 2 {
				if _, body := p.ask(request); body != want {
					t.Fatalf("%d bytes, want %d", len(body), len(want))
				}
			}
		})
	}
}

// A client's certificate reaches the handler, and a client without one is refused.
func TestTLSClientCertificate(t *testing.T) {
	var log syncBuffer
	s, addr := startTLS(t, showTLS, func(s *Server) {
		s.Log = Zerolog(zerolog.New(&log))
		s.TLSConfig.ClientAuth, s.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, authority().pool
	})
	c := clientConfig()
	c.Certificates = []tls.Certificate{certificate(t, "the client")}
	if _, body := dialTLS(t, addr, c).ask(getKept); body != "https  localhost the client" {
		t.Errorf("got %q", body)
	}
	p := dialTLS(t, addr, nil)
	_, _ = io.WriteString(p.Conn, getKept)
	if _, err := p.Conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	await(t, "the count", func() bool { return s.ended[ErrHandshake].Load() == 1 })
	if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, `"reason":"tls-handshake"`) ||
		!strings.Contains(line, "didn't provide a certificate") {
		t.Errorf("the log says %q", line)
	}
}

// Plain HTTP on a TLS port gets 400 with net/http's words.
func TestPlainHTTPOnTLS(t *testing.T) {
	var log syncBuffer
	_, addr := startTLS(t, showTLS, func(s *Server) { s.Log = Zerolog(zerolog.New(&log)) })
	p := dial(t, addr)
	p.send(getKept)
	res, body := p.answer("GET")
	if res.StatusCode != 400 || body != "Client sent an HTTP request to an HTTPS server.\n" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	await(t, "the line", func() bool { return strings.Contains(log.String(), "an HTTP request to an HTTPS port") })
}

// An end without close_notify is none of the peer's.
func TestTLSTruncated(t *testing.T) {
	ends := make(chan error, 1)
	s, addr := startTLS(t, nil, func(s *Server) {
		s.Handler = Streaming(HandlerFunc(func(w *Response, r *Request) {
			r.OnBody(func(_ []byte, err error) {
				if err != nil {
					ends <- err
				}
			})
		}))
	})
	p := dialTLS(t, addr, nil)
	_, _ = io.WriteString(p.Conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	_ = p.below.CloseWrite()
	if err := <-ends; !errors.Is(err, ErrTruncated) || !errors.Is(err, ErrPeerGone) {
		t.Errorf("the body ends with %v", err)
	}
	await(t, "the count", func() bool { return s.ended[ErrTruncated].Load() == 1 })
}

// Handshakes that were begun are counted, and ended by Shutdown.
func TestTLSHandshakesAtShutdown(t *testing.T) {
	s, addr := startTLS(t, showTLS, func(s *Server) { s.ShutdownIdleGrace, s.MaxConns = 20*time.Millisecond, 2 })
	waiting := dial(t, addr)
	waiting.send("\x16\x03\x01")
	await(t, "the connection", func() bool { return s.doors.open.Load() == 1 })
	p := dialTLS(t, addr, nil)
	p.ask(getKept)
	if b, err := io.ReadAll(dial(t, addr)); len(b) > 0 || err == errDeadline {
		t.Errorf("the third connection got %q, %v", b, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(waiting); len(b) > 0 || err == errDeadline {
		t.Errorf("the handshake got %q, %v", b, err)
	}
	if b, err := io.ReadAll(p.r); len(b) > 0 || err != nil {
		t.Errorf("the idle connection got %q, %v", b, err)
	}
}

// The header of the PROXY protocol comes before the handshake.
func TestTLSBehindProxy(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost")}}
	_, addr := startOn(t, func(w *Response, r *Request) { fmt.Fprint(w, r.Scheme(), " ", r.RemoteAddr()) },
		append(proxied(), WithTLS("", "")), func(s *Server) { s.TLSConfig = config })
	for _, header := range []string{header1, header2} {
		p := dial(t, addr)
		p.send("%s", header)
		c := tls.Client(p.TCPConn, clientConfig())
		s := &securePeer{c, p, bufio.NewReader(c)}
		if _, body := s.ask(getKept); body != "https 192.0.2.7:51000" {
			t.Errorf("got %q", body)
		}
	}
}

// Certificates are read again when the files have changed, and a bad one leaves the one before in use.
func TestCertificatesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, certificate(t, "first"), certFile, keyFile)
	var log syncBuffer
	s, addr := startOn(t, showTLS, []ListenOption{WithTLS(certFile, keyFile)}, func(s *Server) { s.Log = Zerolog(zerolog.New(&log)) })
	subject := func() string {
		return dialTLS(t, addr, nil).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	want(t, "the first", subject(), "first")
	writePair(t, certificate(t, "second"), certFile, keyFile)
	want(t, "within the interval", subject(), "first")
	if err := s.ReloadCertificates(); err != nil {
		t.Error(err)
	}
	want(t, "after ReloadCertificates", subject(), "second")

	pair := s.certificates.pairs[0].(*certificatePair)
	look := func() { // as when the interval is over
		pair.mu.Lock()
		pair.nextLook = time.Time{}
		pair.mu.Unlock()
	}
	writePair(t, certificate(t, "the third"), certFile, keyFile)
	look()
	want(t, "after the interval", subject(), "the third")
	if err := os.WriteFile(keyFile, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		look()
		want(t, "with a bad key", subject(), "the third")
	}
	if n := strings.Count(log.String(), certificateBad); n != 1 {
		t.Errorf("%d lines about the bad key: %s", n, log.String())
	}
	if err := s.ReloadCertificates(); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("ReloadCertificates of a bad key: %v", err)
	}
}

// What cannot work is refused before a connection comes.
func TestListenTLSErrors(t *testing.T) {
	pair := []tls.Certificate{certificate(t, "localhost")}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for name, c := range map[string]struct {
		do   func(s *Server) error
		want error
		text string
	}{
		"no certificate": {func(s *Server) error { return s.ListenAndServeTLS("", "") }, ErrTLS, "no certificate"},
		"no file":        {func(s *Server) error { return s.ListenAndServeTLS(nowhere, nowhere) }, os.ErrNotExist, "nowhere"},
		"two": {func(s *Server) error {
			s.TLSConfig = &tls.Config{Certificates: pair}
			return s.ListenAndServeTLS(nowhere, nowhere)
		}, ErrTLS, "files were named, too"},
		"TLSConfig, and no TLS": {func(s *Server) error {
			s.TLSConfig = &tls.Config{Certificates: pair}
			return s.ListenAndServe()
		}, ErrTLS, "ListenTLS"},
		"a listener of crypto/tls": {func(s *Server) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			return s.Serve(tls.NewListener(l, &tls.Config{Certificates: pair}))
		}, ErrAddr, "ServeTLS"},
	} {
		logger := zerolog.Nop()
		s := &Server{Addr: "127.0.0.1:0", Loops: 1, Log: Zerolog(logger)}
		if err := c.do(s); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close()
	}
}

// ServeTLS takes the sockets below TLS. RunUntil listens with TLS when there is a TLSConfig.
func TestServeTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost")}}
	s := &Server{Loops: 1, Log: Zerolog(zerolog.Nop()), Handler: HandlerFunc(showTLS), TLSConfig: config}
	ended := make(chan error, 1)
	go func() { ended <- s.ServeTLS(l) }()
	if _, body := dialTLS(t, addr, nil).ask(getKept); body != "https  localhost " {
		t.Errorf("got %q", body)
	}
	_ = s.Close()
	if err := <-ended; !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
}

// Handshakes that are begun and never finished cost no good client its place: beyond MaxHandshakes the one that has waited
// longest is ended.
func TestUnfinishedHandshakes(t *testing.T) {
	s, addr := startTLS(t, showTLS, func(s *Server) { s.MaxHandshakes = 20 })
	var idle []*peer
	for range 100 {
		p := dial(t, addr)
		p.send("\x16\x03\x01")
		idle = append(idle, p)
		if len(idle)%10 == 0 {
			dialTLS(t, addr, nil).ask(getKept)
		}
	}
	for i, p := range idle[:70] { // the first of them have been ended, by others or by good clients
		if b, err := io.ReadAll(p.r); err == errDeadline {
			t.Fatalf("handshake %d goes on: %q, %v", i, b, err)
		}
	}
	await(t, "the count", func() bool { return s.ended[ErrHandshake].Load() >= 80 })
	for _, p := range idle {
		p.Close()
	}
	await(t, "the places", func() bool { return s.doors.open.Load() == 10 }) // of the good clients
}

// A panic in a function of TLSConfig fails that handshake only: the client gets an alert, and the log one line with the stack.
func TestPanicInTLSConfig(t *testing.T) {
	cert := certificate(t, "localhost")
	for name, tc := range map[string]struct {
		set   func(c *tls.Config)
		alert string
	}{
		"GetCertificate": {func(c *tls.Config) {
			c.Certificates = nil
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("ouch") }
		}, "internal error"},
		"GetConfigForClient": {func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("ouch") }
		}, "internal error"},
		"VerifyConnection": {func(c *tls.Config) {
			c.VerifyConnection = func(tls.ConnectionState) error { panic("ouch") }
		}, "bad certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			c := &tls.Config{Certificates: []tls.Certificate{cert}}
			tc.set(c)
			s, addr := startTLS(t, showTLS, func(s *Server) { s.TLSConfig, s.Log = c, Zerolog(zerolog.New(&log)) })
			p := tls.Client(dial(t, addr).TCPConn, clientConfig())
			_, err := io.WriteString(p, getKept)
			if err == nil {
				_, err = p.Read(make([]byte, 1))
			}
			if !strings.Contains(fmt.Sprint(err), "remote error: tls: "+tc.alert) {
				t.Errorf("the client gets %v", err)
			}
			p.Close()
			await(t, "the count", func() bool { return s.ended[ErrHandshake].Load() == 1 && s.doors.open.Load() == 0 })
			await(t, "the line", func() bool { return strings.Contains(log.String(), "ouch") })
			if text := log.String(); !strings.Contains(text, "TestPanicInTLSConfig") || strings.Count(text, "\n") != 1 {
				t.Errorf("the log: %s", text)
			}
		})
	}
}
