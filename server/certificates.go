package server

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificates in files. A handshake looks whether the files have changed, at most every 10 s, and then reads them again.
// Handshakes compute off the loops, so no loop waits for the disk. A pair that cannot be read leaves the one before in use.

// certificateInterval is the least time between two looks at the files of a certificate.
const certificateInterval = 10 * time.Second

// certificates are all pairs of files that a server has been given: *certificatePair, behind an interface, so that a program
// without TLS does not link how they are read.
type certificates struct {
	mu    sync.Mutex
	pairs []interface{ readAgain() error }
}

// certificatePair is a certificate and its key, from two files.
type certificatePair struct {
	s                 *Server
	certFile, keyFile string

	mu       sync.Mutex
	loaded   *tls.Certificate
	cert     fs.FileInfo // when it was read
	key      fs.FileInfo
	nextLook time.Time
}

// sameFile reports whether a file is still what it was. nil is a file that cannot be found.
func sameFile(was, now fs.FileInfo) bool {
	if was == nil || now == nil {
		return was == now
	}
	return was.ModTime().Equal(now.ModTime()) && was.Size() == now.Size() && os.SameFile(was, now)
}

// add reads a pair of files.
func (c *certificates) add(s *Server, certFile, keyFile string) (*certificatePair, error) {
	p := &certificatePair{s: s, certFile: certFile, keyFile: keyFile}
	if err := p.reload(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pairs = append(c.pairs, p)
	return p, nil
}

// ReloadCertificates reads the certificates of all files again that were named to WithTLS, ListenTLS or
// ListenAndServeTLS. Handshakes that begin later use them. A pair that cannot be read, or does not fit together, leaves the
// one before in use; the error says which, and one line is logged for each. It may be called from any goroutine but a loop's,
// and waits for the disk.
//
// It need not be called when the files have changed: a handshake notices that, at most 10 s late.
func (s *Server) ReloadCertificates() error {
	s.certificates.mu.Lock()
	defer s.certificates.mu.Unlock()
	var all error
	for _, p := range s.certificates.pairs {
		all = errors.Join(all, p.readAgain())
	}
	return all
}

// readAgain reads the files again, whether they have changed or not.
func (p *certificatePair) readAgain() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renew()
}

// get is a tls.Config's GetCertificate. It runs off the loops.
func (p *certificatePair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); !now.Before(p.nextLook) {
		p.nextLook = now.Add(certificateInterval)
		if p.changed() {
			_ = p.renew()
		}
	}
	return p.loaded, nil
}

// changed reports whether one of the files is not what it was. The caller has p.mu.
func (p *certificatePair) changed() bool {
	cert, _ := os.Stat(p.certFile)
	key, _ := os.Stat(p.keyFile)
	return !sameFile(p.cert, cert) || !sameFile(p.key, key)
}

// renew reads the files again, and logs what came of it. The caller has p.mu.
func (p *certificatePair) renew() error {
	err := p.reload()
	switch {
	case err == nil:
		if p.s.mayLog(slog.LevelInfo, certificateRead, p.certFile, 1) {
			p.s.log.Line(slog.LevelInfo).Str("file", p.certFile).Msg(certificateRead)
		}
	case p.s.mayLog(slog.LevelError, certificateBad, p.certFile, 1):
		p.s.log.Line(slog.LevelError).Str("file", p.certFile).Str("cause", err.Error()).Msg(certificateBad)
	}
	return err
}

const (
	certificateRead = "the certificate was read again"
	certificateBad  = "the certificate could not be read again: the one before stays in use"
)

// reload reads the files. When they cannot be read, only the state of the files is noted, so that one change leaves one
// line in the log. The caller has p.mu, or is the only one.
func (p *certificatePair) reload() error {
	// Before they are read: what is written in between is noticed at the next look.
	p.cert, _ = os.Stat(p.certFile)
	p.key, _ = os.Stat(p.keyFile)
	p.nextLook = time.Now().Add(certificateInterval)
	c, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return err
	}
	p.loaded = &c
	return nil
}
