package server

import (
	"crypto/tls"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What RunUntilSignal says of where it serves. The test of the README sends the signal, to a program.
func TestServingWhere(t *testing.T) {
	s := &Server{Addr: "127.0.0.1:0", Loops: 1, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t, "a")}}}
	path := filepath.Join(t.TempDir(), "s")
	for addr, options := range map[string][]ListenOption{s.Addr: {WithTLS("", "")}, "unix:" + path: nil, "127.0.0.1:00": nil} {
		if _, err := s.ListenOn(addr, options...); err != nil {
			t.Fatal(err)
		}
	}
	defer s.Close()
	all := "\n" + strings.Join(s.urls(), "\n") + "\n"
	for _, one := range []string{`\nhttps://127\.0\.0\.1:[1-9]\d*\n`, `\nunix:` + path + `\n`, `\nhttp://127\.0\.0\.1:[1-9]\d*\n`} {
		if !regexp.MustCompile(one).MatchString(all) {
			t.Errorf("it serves at %q, want %s", s.urls(), one)
		}
	}
}
