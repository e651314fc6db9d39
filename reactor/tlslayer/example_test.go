package tlslayer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/tlslayer"
)

// configs returns a server's configuration with a certificate for example.com, and a client's that
// trusts it.
func configs() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"shout/1"}},
		&tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"shout/1"}}
}

// A shouter answers in capitals. It does not know whether it speaks TLS.
type shouter struct{ t reactor.Transport }

func (s *shouter) ConnectionMade(t reactor.Transport) { s.t = t }
func (s *shouter) DataReceived(p []byte)              { s.t.Write(bytes.ToUpper(p)) }

func (s *shouter) ConnectionLost(reason error) {
	fmt.Println("server:", reactor.ReasonName(reason))
	s.t.Reactor().Stop()
}

func newShouter(netip.AddrPort) reactor.Protocol { return &shouter{} }

// A greeter says hello and ends when it is answered. As an Acceptor it makes itself, for it
// connects once.
type greeter struct{ c *tlslayer.Conn }

func (g *greeter) BuildProtocol(c *tlslayer.Conn) reactor.Protocol {
	state := c.ConnectionState()
	fmt.Println("client:", tls.VersionName(state.Version), state.NegotiatedProtocol)
	g.c = c
	return g
}

func (g *greeter) HandshakeFailed(c *tlslayer.Conn, err error) {
	var unknown x509.UnknownAuthorityError
	fmt.Println("client: handshake failed:", errors.Is(err, tlslayer.ErrHandshake), errors.As(err, &unknown))
	c.Reactor().Stop()
}

func (g *greeter) ConnectionMade(t reactor.Transport) { t.Write([]byte("hello")) }

func (g *greeter) DataReceived(p []byte) {
	fmt.Printf("client: %s\n", p)
	g.c.LoseConnection()
}

func (g *greeter) ConnectionLost(reason error) { fmt.Println("client:", reactor.ReasonName(reason)) }

// A connecting is a factory of one client's connection.
type connecting struct{ p reactor.Protocol }

func (c connecting) BuildProtocol(netip.AddrPort) reactor.Protocol { return c.p }

func (c connecting) ConnectionFailed(_ *reactor.Connector, reason error) { fmt.Println(reason) }

// serve listens with TLS, and connect connects to it.
func serve(r *reactor.Reactor, config *tls.Config) *reactor.Port {
	handshakes := tlslayer.NewHandshakes(tlslayer.HandshakeOptions{})
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return tlslayer.Server(config, handshakes, tlslayer.Factory{Factory: reactor.FactoryFunc(newShouter)})
	}), nil)
	if err != nil {
		panic(err)
	}
	return port
}

func newReactor() *reactor.Reactor {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	return r
}

// A server of TLS. One Handshakes is shared by all connections, and by all loops if there are
// several.
func ExampleServer() {
	serverConfig, clientConfig := configs()
	r := newReactor()

	handshakes := tlslayer.NewHandshakes(tlslayer.HandshakeOptions{})
	accept := tlslayer.Factory{Factory: reactor.FactoryFunc(newShouter)}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return tlslayer.Server(serverConfig, handshakes, accept)
	}), nil)
	if err != nil {
		panic(err)
	}

	client := tlslayer.Client(clientConfig, nil, &greeter{})
	if _, err := r.ConnectTCP(port.Addr().String(), connecting{client}, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// client: TLS 1.3 shout/1
	// client: HELLO
	// client: done
	// server: done
}

// A client that does not trust the server's certificate. Its Acceptor learns why the handshake has
// failed.
func ExampleClient() {
	serverConfig, _ := configs()
	r := newReactor()
	port := serve(r, serverConfig)

	client := tlslayer.Client(&tls.Config{ServerName: "example.com"}, nil, &greeter{})
	if _, err := r.ConnectTCP(port.Addr().String(), connecting{client}, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// client: handshake failed: true true
}

// A plain protocol that goes over to TLS when the client says so.
type plain struct {
	t      reactor.Transport
	config *tls.Config
}

func (p *plain) ConnectionMade(t reactor.Transport) { p.t = t }
func (p *plain) ConnectionLost(error)               {}

func (p *plain) DataReceived(b []byte) {
	command, rest, _ := bytes.Cut(b, []byte("\n"))
	if string(command) != "STARTTLS" || len(rest) > 0 { // what was sent before TLS is not to be believed
		p.t.LoseConnection()
		return
	}
	p.t.Write([]byte("go ahead\n"))
	p.t.SetProtocol(tlslayer.Server(p.config, nil, tlslayer.Factory{Factory: reactor.FactoryFunc(newShouter)}), nil)
}

// A plain client that asks for TLS.
type starting struct {
	t      reactor.Transport
	config *tls.Config
}

func (s *starting) ConnectionLost(error) {}

func (s *starting) ConnectionMade(t reactor.Transport) {
	s.t = t
	t.Write([]byte("STARTTLS\n"))
}

func (s *starting) DataReceived(b []byte) {
	fmt.Printf("client: %s", b)
	s.t.SetProtocol(tlslayer.Client(s.config, nil, &greeter{}), nil)
}

// STARTTLS: a connection that begins in plaintext goes on with TLS.
func Example_startTLS() {
	serverConfig, clientConfig := configs()
	r := newReactor()
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return &plain{config: serverConfig}
	}), nil)
	if err != nil {
		panic(err)
	}
	if _, err := r.ConnectTCP(port.Addr().String(), connecting{&starting{config: clientConfig}}, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// client: go ahead
	// client: TLS 1.3 shout/1
	// client: HELLO
	// client: done
	// server: done
}
