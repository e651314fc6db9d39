package main

// The flags that say how connections begin: TLS, with a certificate from files, made here, or by ACME; and the PROXY
// protocol.

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"microhttp/middleware"
	"microhttp/server"
)

// beginOptions says how connections begin.
type beginOptions struct {
	cert, key  string
	selfSigned bool
	clientCA   string
	proxies    []netip.Prefix
	redirect   string // a second address, without TLS
	host       string // that it redirects to
	acme       acmeOptions
}

func (o *beginOptions) group() group {
	return group{"TLS and proxies", []option{
		{"tls-cert", "file", text(&o.cert), "serve HTTPS with this certificate, PEM; a changed file is read again"},
		{"tls-key", "file", text(&o.key), "its key, PEM; SIGHUP reads both at once"},
		{"tls-self-signed", "", toggle(&o.selfSigned), "serve HTTPS with a certificate for localhost that is made now"},
		{"tls-client-ca", "file", text(&o.clientCA), "ask clients for a certificate that one of these, PEM, has signed"},
		{"domain", "names", text(&o.acme.domains), "serve HTTPS for these names, with certificates by ACME"},
		{"acme-cache", "dir", text(&o.acme.cache), "where those are kept, if not in the user's cache directory"},
		{"acme-directory", "url", text(&o.acme.directory), "the ACME server, if not Let's Encrypt; you agree to its terms"},
		{"acme-email", "addr", text(&o.acme.email), "for what the authority has to say"},
		{"redirect-addr", "where", address(&o.redirect, ""), "a second address, without TLS, that redirects to HTTPS, as :80"},
		{"redirect-host", "host", text(&o.host), "where to, with the port unless 443; default: the first of -domain"},
		{"proxy-protocol", "from", networks(&o.proxies), "proxies that send a header of the PROXY protocol, as 10.0.0.0/8,::1"},
	}}
}

// secure reports whether HTTPS is served.
func (o *beginOptions) secure() bool { return o.cert != "" || o.selfSigned || o.acme.domains != "" }

// check says which flags do not fit together.
func (o *beginOptions) check() error {
	ways := 0
	for _, on := range []bool{o.cert != "" || o.key != "", o.selfSigned, o.acme.domains != ""} {
		if on {
			ways++
		}
	}
	switch {
	case (o.cert == "") != (o.key == ""):
		return errors.New("-tls-cert and -tls-key belong together")
	case ways > 1:
		return errors.New("only one of -tls-cert, -tls-self-signed and -domain can be")
	case o.clientCA != "" && ways == 0:
		return errors.New("-tls-client-ca needs -tls-cert, -tls-self-signed or -domain")
	case o.acme.domains == "" && (o.acme.cache != "" || o.acme.directory != "" || o.acme.email != ""):
		return errors.New("-acme-cache, -acme-directory and -acme-email need -domain")
	case o.redirect == "" && o.host != "":
		return errors.New("-redirect-host needs -redirect-addr")
	case o.redirect != "" && ways == 0:
		return errors.New("-redirect-addr needs -tls-cert, -tls-self-signed or -domain")
	case o.redirect != "" && o.redirectHost() == "":
		return errors.New("-redirect-addr needs -redirect-host, for a redirect never trusts the host that a request names")
	}
	if u, err := url.Parse("https://" + o.redirectHost()); o.redirect != "" && (err != nil || u.Host != o.redirectHost() || u.Hostname() == "") {
		return fmt.Errorf("-redirect-host: %q is no host", o.redirectHost())
	}
	return nil
}

// redirectHost is where requests without TLS are redirected to.
func (o *beginOptions) redirectHost() string {
	first, _, _ := strings.Cut(o.acme.domains, ",")
	return cmp.Or(o.host, first)
}

// around is the middleware that the flags ask for.
func (o *beginOptions) around(h server.Handler) server.Handler {
	if o.redirect == "" {
		return h
	}
	return middleware.RedirectHTTPS(o.redirectHost())(h)
}

// listen has s listen on its address, as the flags say. What there is to say goes to out.
func (o *beginOptions) listen(s *server.Server, command string, out io.Writer) error {
	var begin []server.ListenOption
	if len(o.proxies) > 0 {
		begin = append(begin, server.WithProxyProtocol(o.proxies...))
	}
	if o.secure() {
		s.TLSConfig = &tls.Config{}
		if err := o.clients(s.TLSConfig); err != nil {
			return err
		}
		switch {
		case o.selfSigned:
			cert, err := selfSigned(time.Now())
			if err != nil {
				return err
			}
			s.TLSConfig.Certificates = []tls.Certificate{cert}
			fmt.Fprintf(out, "%s: certificate for localhost, SHA-256 fingerprint %s\n", command, fingerprint(cert))
		case o.acme.domains != "":
			if err := o.acme.configure(s.TLSConfig); err != nil {
				return err
			}
		}
		begin = append(begin, server.WithTLS(o.cert, o.key))
	}
	if _, err := s.ListenOn(s.Addr, begin...); err != nil {
		return err
	}
	if o.redirect == "" {
		return nil
	}
	plain := begin[:len(begin)-1] // all but TLS
	at, err := s.ListenOn(o.redirect, plain...)
	if err == nil {
		fmt.Fprintf(out, "%s: redirecting http://%s to https://%s\n", command, at, o.redirectHost())
	}
	return err
}

// served is where s listens, without the address that redirects.
func (o *beginOptions) served(s *server.Server) []net.Addr {
	addrs := s.Addrs()
	if o.redirect != "" {
		addrs = addrs[:len(addrs)-1]
	}
	return addrs
}

// clients has c ask for certificates of clients, if the flags say so.
func (o *beginOptions) clients(c *tls.Config) error {
	if o.clientCA == "" {
		return nil
	}
	pem, err := os.ReadFile(o.clientCA)
	if err != nil {
		return fmt.Errorf("-tls-client-ca: %w", err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("-tls-client-ca: %s has no certificate in PEM", o.clientCA)
	}
	return nil
}

// selfSigned makes a certificate for this machine as it calls itself, which is right for a year.
func selfSigned(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// fingerprint is what openssl x509 -fingerprint -sha256 shows of a certificate.
func fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	var b strings.Builder
	for i, x := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", x)
	}
	return b.String()
}
