package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"

	"microhttp/reactor"
)

// TestAfterTheHandshake holds what becomes of a connection whose client sends records that
// crypto/tls would not send: which alert it sees, and why the protocol is lost.
func TestAfterTheHandshake(t *testing.T) {
	hello := append([]byte{1, 0, 0, 38, 3, 3}, make([]byte, 36)...)
	for name, tc := range map[string]struct {
		in     func(s *sealer) []byte
		alert  string // that the peer sees
		reason error
		got    string
	}{
		"data":                {func(s *sealer) []byte { return s.seal(23, []byte("x")) }, "", nil, "x"},
		"empty data":          {func(s *sealer) []byte { return append(s.seal(23, nil), s.seal(23, []byte("x"))...) }, "", nil, "x"},
		"a flood of nothing":  {func(s *sealer) []byte { return many(40, func() []byte { return s.seal(23, nil) }) }, "unexpected message", reactor.ErrConnectionLost, ""},
		"an unknown type":     {func(s *sealer) []byte { return s.seal(99, []byte("x")) }, "unexpected message", reactor.ErrConnectionLost, ""},
		"a changed record":    {func(s *sealer) []byte { p := s.seal(23, []byte("x")); p[len(p)-1] ^= 1; return p }, "bad record MAC", reactor.ErrConnectionLost, ""},
		"a repeated record":   {func(s *sealer) []byte { p := s.seal(23, []byte("x")); return append(p, p...) }, "bad record MAC", reactor.ErrConnectionLost, "x"},
		"plaintext":           {func(*sealer) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") }, "*", reactor.ErrConnectionLost, ""},
		"an oversized record": {func(*sealer) []byte { return []byte{23, 3, 3, 255, 255} }, "record overflow", reactor.ErrConnectionLost, ""},
		"close_notify":        {func(s *sealer) []byte { return s.seal(21, []byte{1, 0}) }, "EOF", reactor.ErrConnectionDone, ""},
		"data after close":    {func(s *sealer) []byte { return append(s.seal(21, []byte{1, 0}), s.seal(23, []byte("x"))...) }, "EOF", reactor.ErrConnectionDone, ""},
		"a fatal alert":       {func(s *sealer) []byte { return s.seal(21, []byte{2, 80}) }, "-", reactor.ErrConnectionLost, ""},
		"half an alert":       {func(s *sealer) []byte { return s.seal(21, []byte{2}) }, "unexpected message", reactor.ErrConnectionLost, ""},
		"a renegotiation":     {func(s *sealer) []byte { return s.seal(22, hello) }, "*", reactor.ErrConnectionLost, ""},
		"a change of cipher":  {func(s *sealer) []byte { return s.seal(20, []byte{1}) }, "*", reactor.ErrConnectionLost, ""},
	} {
		for version, v := range versions {
			for _, piece := range []int{1, 1 << 20} {
				b := newBench(t)
				p := &peer{}
				w := b.connect(Server(serverConfig(), b.hs, p))
				cc, log := sealable(v)
				c := newEnd(t, cc, true)
				s := newSealer(t, log, b.shake(t, w, c))
				tc := tc
				if name == "a change of cipher" && v == tls.VersionTLS13 {
					tc.alert, tc.reason = "", nil // crypto/tls ignores it
				}
				in := tc.in(s)
				for ; len(in) > 0; in = in[min(piece, len(in)):] {
					b.receive(w, in[:min(piece, len(in))])
				}
				c.feed(w.sent(), false)
				seen := ""
				if c.err != nil {
					seen = c.err.Error()
				}
				switch tc.alert {
				case "*":
					if !strings.Contains(seen, "remote error") {
						t.Errorf("%s, %s: the peer sees no alert: %q", name, version, seen)
					}
				case "", "-":
					if seen != "" {
						t.Errorf("%s, %s: the peer sees %s", name, version, seen)
					}
				default:
					if !strings.Contains(seen, tc.alert) {
						t.Errorf("%s, %s: the peer sees %q, want %s", name, version, seen, tc.alert)
					}
				}
				if tc.reason != nil && !w.lost { // it lingers
					w.proto.(reactor.HalfCloser).ReadConnectionLost()
					b.rest(w)
				}
				if !errors.Is(p.lost, tc.reason) || string(p.data) != tc.got {
					t.Errorf("%s, %s: lost with %v after %q", name, version, p.lost, p.data)
				}
				b.lose(w, reactor.ErrConnectionDone)
			}
		}
	}
}

func many(n int, f func() []byte) (all []byte) {
	for range n {
		all = append(all, f()...)
	}
	return all
}

// TestKeyUpdate holds that the keys of TLS 1.3 may change at any time, also within one read, and
// that an answer to it goes out by itself.
func TestKeyUpdate(t *testing.T) {
	for _, piece := range []int{1, 7, 1 << 20} {
		b := newBench(t)
		p := &peer{}
		w := b.connect(Server(serverConfig(), b.hs, p))
		cc, log := sealable(tls.VersionTLS13)
		c := newEnd(t, cc, true)
		s := newSealer(t, log, b.shake(t, w, c))
		var in []byte
		for i := range 5 {
			in = append(in, s.seal(23, []byte("before "))...)
			in = append(in, s.seal(22, []byte{24, 0, 0, 1, byte(i % 2)})...) // every other one asks for ours
			s.update(t)
			in = append(in, s.seal(23, []byte("after "))...)
		}
		for ; len(in) > 0; in = in[min(piece, len(in)):] {
			b.receive(w, in[:min(piece, len(in))])
		}
		if want := strings.Repeat("before after ", 5); string(p.data) != want {
			t.Errorf("received %q, lost: %v", p.data, p.lost)
		}
		if len(w.out) == 0 {
			t.Error("a KeyUpdate that was asked for was not sent")
		}
		p.c.Write([]byte("hello"))
		b.rest(w)
		if c.feed(w.sent(), false); c.err != nil || string(c.plain) != "hello" {
			t.Errorf("the client received %q, %v", c.plain, c.err)
		}
		b.lose(w, reactor.ErrConnectionDone)
	}
}

// TestClientRefusesRenegotiation holds that a server that asks for a renegotiation is refused,
// whatever the tls.Config says.
func TestClientRefusesRenegotiation(t *testing.T) {
	cc := clientConfig()
	cc.MaxVersion, cc.Renegotiation = tls.VersionTLS12, tls.RenegotiateFreelyAsClient
	l := Client(cc, nil, &peer{}).(*lower)
	if l.hs.config.Renegotiation != tls.RenegotiateNever || cc.Renegotiation == tls.RenegotiateNever {
		t.Error("the configuration allows it, or the caller's was changed")
	}
}

// TestPausedPieces holds that what waits while reading is paused is neither lost nor handed over,
// at whatever byte it begins.
func TestPausedPieces(t *testing.T) {
	for version, v := range versions {
		for _, closes := range []bool{false, true} {
			b := newBench(t)
			p := &peer{}
			w := b.connect(Server(serverConfig(), b.hs, p))
			cc, log := sealable(v)
			c := newEnd(t, cc, true)
			s := newSealer(t, log, b.shake(t, w, c))
			var in, want []byte
			for i := range 6 {
				text := bytes.Repeat([]byte{byte('a' + i)}, 1+i*30)
				want = append(want, text...)
				in = append(in, s.seal(23, text)...)
			}
			if closes {
				in = append(in, s.seal(21, []byte{1, 0})...)
			}
			p.onData = func(p *peer, _ []byte) { p.c.PauseReading() }
			resumes := 0
			for i := 0; i < len(in) || len(p.data) < len(want) && resumes < 10000; {
				if w.paused {
					was := len(p.data)
					if b.rest(w); len(p.data) != was {
						t.Fatal("data while reading is paused")
					}
					resumes++
					p.c.ResumeReading()
					b.rest(w)
					continue
				}
				k := min(1+i%50, len(in)-i)
				b.receive(w, in[i:i+k])
				i += k
			}
			p.c.ResumeReading()
			b.rest(w)
			if !bytes.Equal(p.data, want) {
				t.Errorf("%s: received %q, want %q", version, p.data, want)
			}
			if closes != (p.lost == reactor.ErrConnectionDone) {
				t.Errorf("%s: lost with %v", version, p.lost)
			}
			if c.feed(w.sent(), false); closes && c.err != io.EOF {
				t.Errorf("%s: the peer sees %v", version, c.err)
			}
			b.lose(w, reactor.ErrConnectionDone)
		}
	}
}
