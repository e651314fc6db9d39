package main

// Certificates by ACME (RFC 8555), with x/crypto's autocert. The authority looks by TLS-ALPN-01 (RFC 8737), on the address
// that HTTPS is served on, so no second port is needed. It comes to port 443.

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// acmeOptions are the flags.
type acmeOptions struct {
	domains, cache, directory, email string
}

// configure has c take its certificates from an ACME server.
func (o *acmeOptions) configure(c *tls.Config) error {
	names := strings.Split(o.domains, ",")
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "/:* ") || !strings.Contains(name, ".") {
			return fmt.Errorf("-domain: %q is no name of a public host", name)
		}
	}
	dir := o.cache
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("-acme-cache is needed: %w", err)
		}
		dir = filepath.Join(base, "microhttp")
	}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(names...), Cache: autocert.DirCache(dir), Email: o.email,
	}
	if o.directory != "" {
		m.Client = &acme.Client{DirectoryURL: o.directory}
	}
	c.GetCertificate = m.GetCertificate
	c.NextProtos = append(c.NextProtos, "http/1.1", acme.ALPNProto)
	return nil
}
