package server

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
)

// Over TLS a connection switches as without it: to another protocol, and to a net.Conn that is encrypted still.
func TestTLSUpgrade(t *testing.T) {
	for name, h := range map[string]Handler{"plain": HandlerFunc(toLines), "blocking": BlockingFunc(toLines)} {
		_, addr := startTLS(t, nil, func(s *Server) { s.Handler = h })
		all := upgradeHead + "one\ntwo\nquit\n"
		for _, cut := range []int{len(all), len(upgradeHead), len(upgradeHead) - 1} {
			p := dialTLS(t, addr, nil)
			for _, part := range []string{all[:cut], all[cut:]} {
				if _, err := io.WriteString(p.Conn, part); err != nil {
					t.Fatal(err)
				}
			}
			b, err := io.ReadAll(p.r) // to close_notify
			if err != nil {
				t.Fatal(err)
			}
			want(t, name, undated(string(b)), switched+"ONE\nTWO\nBYE\n")
		}
	}
}

func TestTLSHijack(t *testing.T) {
	ended := make(chan error, 1)
	s, addr := startTLS(t, nil, func(s *Server) {
		s.Handler = BlockingFunc(func(w *Response, r *Request) {
			if r.TLS().Version != tls.VersionTLS13 {
				t.Error("not over TLS 1.3")
			}
			conn, unread, err := w.Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			ended <- echoConn(conn, unread)
		})
	})
	p := dialTLS(t, addr, nil)
	big := strings.Repeat("0123456789abcdef", 64<<10)
	go func() {
		_, _ = io.WriteString(p.Conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\nfirst "+big)
		_ = p.CloseWrite()
	}()
	b, err := io.ReadAll(p.r)
	if err != nil || string(b) != "first "+big {
		t.Errorf("%d bytes of %d, %v", len(b), len(big)+6, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	await(t, "the count", func() bool { return s.doors.open.Load() == 0 && s.ended[CloseDone].Load() == 1 })
}
