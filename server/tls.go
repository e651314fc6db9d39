package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"syscall"

	"microhttp/reactor"
	"microhttp/reactor/tlslayer"
)

// HTTPS. A listener with TLS puts a tlslayer.Conn between the socket and the conn. Nothing else of the server differs: the
// layer is a Transport as the socket is.

// ErrTLS is wrapped by the errors of Listen and its kin that are about certificates or a TLSConfig.
var ErrTLS = errors.New("server: cannot serve TLS")

// A ListenOption says how the connections of one address begin: see ListenOn.
type ListenOption func(s *Server, l *listener) error

// WithTLS has the connections begin with a TLS handshake. The certificate is that of the files, which are PEM; the first
// may hold a chain. When the files change they are read again, see ReloadCertificates. Both may be "" if TLSConfig has
// certificates or a function that gives them.
func WithTLS(certFile, keyFile string) ListenOption {
	return func(s *Server, l *listener) error {
		config, err := s.tlsConfig(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTLS, err)
		}
		handshakes, ok := s.handshakes.(*tlslayer.Handshakes)
		if !ok {
			handshakes = tlslayer.NewHandshakes(tlslayer.HandshakeOptions{
				Max: s.conf.handshakes, Timeout: s.conf.handshakeTime,
			})
			s.handshakes = handshakes
		}
		l.handshake = func(n *newcomer) reactor.Protocol {
			return tlslayer.Server(config, handshakes, (*greeting)(n))
		}
		return nil
	}
}

// ListenTLS is Listen with TLS: see WithTLS. The default of Addr is ":https" then.
func (s *Server) ListenTLS(certFile, keyFile string) (netip.AddrPort, error) {
	return s.listenFirst(":https", WithTLS(certFile, keyFile))
}

// ListenAndServeTLS is ListenTLS and then Run.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	if _, err := s.ListenTLS(certFile, keyFile); err != nil {
		return err
	}
	return s.Run()
}

// ServeTLS is Serve with TLS, by TLSConfig. The listeners are those of the sockets below TLS.
func (s *Server) ServeTLS(listeners ...net.Listener) error {
	return s.serve(listeners, WithTLS("", ""))
}

// tlsConfig is the configuration of a listener: that of the program, with what it leaves open.
func (s *Server) tlsConfig(certFile, keyFile string) (*tls.Config, error) {
	c := &tls.Config{}
	if s.TLSConfig != nil {
		c = s.TLSConfig.Clone()
	}
	switch {
	case certFile != "" || keyFile != "":
		if len(c.Certificates) > 0 || c.GetCertificate != nil {
			return nil, errors.New("TLSConfig has certificates, and files were named, too")
		}
		files, err := s.certificates.add(s, certFile, keyFile)
		if err != nil {
			return nil, err
		}
		c.GetCertificate = files.get
	case len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil:
		return nil, errors.New("no certificate: name its files, or set Certificates, GetCertificate or GetConfigForClient of TLSConfig")
	}
	c.NextProtos = slices.DeleteFunc(slices.Clone(c.NextProtos), func(p string) bool { return p == "h2" })
	if !slices.Contains(c.NextProtos, "http/1.1") {
		c.NextProtos = append(c.NextProtos, "http/1.1")
	}
	if f := c.VerifyConnection; f != nil {
		c.VerifyConnection = func(s tls.ConnectionState) (err error) {
			defer catch(&err)
			return f(s)
		}
	}
	if f := c.VerifyPeerCertificate; f != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) (err error) {
			defer catch(&err)
			return f(raw, chains)
		}
	}
	return c, nil
}

// catch makes a panic the error of a function that crypto/tls calls when alerts are encrypted already. It then sends one,
// which the layer cannot do.
func catch(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("a function of the TLSConfig: %w", &reactor.PanicError{Value: v, Stack: debug.Stack()})
	}
}

// greeting is a newcomer in its handshake.
type greeting newcomer

// BuildProtocol implements tlslayer.Acceptor. A protocol that was agreed on and is not HTTP/1.1 has had all it wants: it is
// that of a certificate authority that looks whether we answer for the name (RFC 8737).
func (g *greeting) BuildProtocol(c *tlslayer.Conn) reactor.Protocol {
	n := (*newcomer)(g)
	if p := c.ConnectionState().NegotiatedProtocol; p != "" && p != "http/1.1" {
		n.leave()
		return nil
	}
	return n.settle()
}

// HandshakeFailed implements tlslayer.Acceptor.
func (g *greeting) HandshakeFailed(c *tlslayer.Conn, err error) {
	n := (*newcomer)(g)
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && beginsRequest(header.RecordHeader) {
		c.Below().Write([]byte(plainHTTP))
		err = errPlainHTTP
	}
	n.w.logHandshake(n.t.Info().RemoteAddr(), err)
	n.leave()
}

var errPlainHTTP = errors.New("the client sent an HTTP request to an HTTPS port")

// plainHTTP is the answer to such a client, with net/http's words.
const plainHTTP = "HTTP/1.0 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
	"Client sent an HTTP request to an HTTPS server.\n"

// beginsRequest reports whether what should be the header of a record looks like a request of HTTP.
func beginsRequest(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET":
		return true
	}
	return false
}

// logHandshake counts and logs a handshake that has failed.
func (w *worker) logHandshake(remote netip.AddrPort, err error) {
	s := w.srv
	defer s.ended[ErrHandshake].Add(1)
	if _, ok := errors.AsType[*reactor.PanicError](err); ok {
		return // its line has the stack
	}
	level := slog.LevelInfo
	if vanished(err) {
		level = slog.LevelDebug
	}
	if s.mayLog(level, connectionRefused, handshakeFailed, linesPerWindow) {
		cause := err.Error()
		s.log.Line(level).Str("reason", ErrHandshake.Name()).Str("remote", remoteName(remote)).
			Str("cause", cause[:min(len(cause), maxShown)]).Msg(connectionRefused + handshakeFailed)
	}
}

const handshakeFailed = "the TLS handshake failed"

// vanished reports whether a handshake only ended because the peer left, as scanners and browsers do all day.
func vanished(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, reactor.ErrConnectionDone) || errors.Is(err, reactor.ErrConnectionLost)
}

// secured is the transport of a connection with TLS.
type secured interface{ ConnectionState() tls.ConnectionState }

// TLS returns the state of the TLS connection that the request came on, with the certificates of the client, if it has sent
// any. It is nil for a connection without TLS. The state is the caller's; what it points to must not be changed. It may be
// called from the goroutine that r belongs to.
func (r *Request) TLS() *tls.ConnectionState {
	r.lent()
	if !r.conn.secure {
		return nil
	}
	t := r.conn.t
	if sh, ok := t.(shelled); ok {
		t = sh.base().Transport
	}
	state := t.(secured).ConnectionState()
	return &state
}
