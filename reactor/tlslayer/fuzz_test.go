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

// script is what a fuzzer makes a client, a network and a protocol do: each byte an act, and what
// follows it its arguments.
type script struct {
	rest []byte
}

func (s *script) next() (b byte) {
	if len(s.rest) > 0 {
		b, s.rest = s.rest[0], s.rest[1:]
	}
	return b
}

func (s *script) take(n int) (p []byte) {
	n = min(n, len(s.rest))
	p, s.rest = s.rest[:n], s.rest[n:]
	return p
}

// The acts.
const (
	goOn     = iota // the client sends what it has to
	cutFrom         // what follows is cut into pieces of at most so many bytes
	flip            // a byte of what the client sends next is changed
	garbage         // bytes of no client
	sealed          // a record of any type and content, under the keys of the client
	says            // the client sends data
	closes          // and close_notify
	fin             // the bytes end
	reset           // the connection is lost
	pause           // reading pauses
	resume          // and goes on
	answers_        // the protocol writes
	loses           // and ends the connection
	aborts          // or aborts it
	halves          // or half-closes it
	times           // its timeout expires
	backs           // the transport below takes nothing
	drains          // and then all
	lastAct
)

// run is one conversation.
type run struct {
	t      *testing.T
	b      *bench
	w      *wire
	p      *fuzzedProtocol
	c      *end
	log    *bytes.Buffer
	hello  []byte
	sealer *sealer

	client   []byte // what the client has yet to send
	piece    int
	tampered bool   // what the server gets is no longer what the client has sent
	said     []byte // by the client, before that
	ended    bool   // the bytes have
}

// fuzzedProtocol is what sits above the layer.
type fuzzedProtocol struct {
	peer
	half, failed, eof int
}

func (p *fuzzedProtocol) BuildProtocol(*Conn) reactor.Protocol { return p }
func (p *fuzzedProtocol) HandshakeFailed(c *Conn, err error)   { p.failed++; p.failure = err }
func (p *fuzzedProtocol) ReadConnectionLost()                  { p.eof++ }
func (p *fuzzedProtocol) WriteConnectionLost()                 { p.half++ }
func (p *fuzzedProtocol) TimeoutConnection()                   {}

// FuzzLayer has a layer meet whole and cut records, changed ones, alerts, renegotiations and
// garbage at any time, while its protocol does whatever it may. The laws: no panic; the protocol is
// told one end; it gets no byte that the client has not sent, and all of them in order; a
// connection that TLS has ended tells the peer by an alert; nothing is left.
func FuzzLayer(f *testing.F) {
	for _, seed := range [][]byte{
		{goOn, goOn, says, 5, goOn, answers_, 3, goOn, closes, goOn},
		{cutFrom, 1, goOn, goOn, says, 200, goOn, fin},
		{goOn, goOn, sealed, 21, 2, 2, 80},
		{goOn, goOn, sealed, 22, 4, 24, 0, 0, 1, 1, says, 1},
		{goOn, goOn, sealed, 22, 8, 1, 0, 0, 4, 3, 3, 0, 0},
		{goOn, goOn, sealed, 22, 4, 0, 0, 0, 0}, // a HelloRequest, to a server
		{goOn, goOn, sealed, 22, 4, 2, 0, 90, 2, sealed, 23, 4, 90},
		{goOn, goOn, sealed, 20, 1, 1, sealed, 99, 0, sealed, 23, 0},
		{flip, 30, 1, goOn, goOn},
		{goOn, flip, 10, 255, goOn, goOn},
		{goOn, goOn, says, 9, flip, 20, 1, goOn},
		{garbage, 16, 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '/', '1', '.', '1', '\r', '\n'},
		{garbage, 7, 22, 3, 1, 255, 255, 1, 0},
		{goOn, goOn, pause, says, 100, goOn, closes, goOn, fin, resume, halves, loses},
		{goOn, goOn, backs, answers_, 255, answers_, 200, loses, times, drains},
		{goOn, fin},
		{goOn, goOn, reset},
		{goOn, goOn, aborts, says, 3, goOn},
		{goOn, times},
		{goOn, goOn, halves, says, 100, goOn, sealed, 21, 1, 1, closes, goOn, fin},
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, acts []byte, old bool) {
		b.t = t
		defer func() { b.t = f }()
		r := &run{t: t, b: b, p: &fuzzedProtocol{}, piece: 1 << 20}
		version := uint16(tls.VersionTLS13)
		if old {
			version = tls.VersionTLS12
		}
		var cc *tls.Config
		cc, r.log = sealable(version)
		r.w = b.connect(Server(serverConfig(), b.hs, r.p))
		r.c = newEnd(t, cc, true)
		r.client = append(r.c.feed(nil, false), r.c.sent()...)
		s := &script{acts}
		for n := 0; len(s.rest) > 0 && n < 200; n++ {
			r.act(s)
			r.check()
		}
		r.end()
		r.c.e.abandon()
		if n := b.hs.Len(); n != 0 {
			t.Errorf("%d handshakes are left", n)
		}
		if e := r.w.proto.(*lower).e; e.hs != nil && !e.hs.over || b.r.ThreadCalls() != 0 {
			t.Error("the handshake's coroutine, or a goroutine, is left")
		}
		if l := b.r.Held(); l != 0 {
			t.Errorf("%d bytes are held at the end", l)
		}
	})
}

func (r *run) act(s *script) {
	p, w := r.p, r.w
	up := p.c != nil && p.losses == 0
	switch act := s.next() % lastAct; act {
	case goOn:
		p := r.client
		r.client = nil
		r.send(p)
	case cutFrom:
		r.piece = 1 + int(s.next())
	case flip:
		if at, by := int(s.next()), s.next(); at < len(r.client) && by != 0 {
			r.client[at] ^= by
			r.tampered = true
		}
	case garbage:
		r.tampered = true
		r.send(s.take(int(s.next())))
	case sealed:
		typ, content := s.next(), s.take(int(s.next()))
		if !r.c.open || r.c.err != nil {
			return
		}
		if r.sealer == nil {
			r.sealer = newSealer(r.t, r.log, r.hello)
		}
		r.tampered = true // what the client says later has a number that was used
		r.send(r.sealer.seal(typ, content))
	case says:
		n := int(s.next())
		text := noise(n * n)
		if r.c.open && r.c.e.write(text) == nil {
			if !r.tampered {
				r.said = append(r.said, text...)
			}
			r.client = append(r.client, r.c.sent()...)
		}
	case closes:
		if r.c.open {
			_ = r.c.e.conn.CloseWrite()
			r.client = append(r.client, r.c.sent()...)
		}
	case fin:
		if !r.ended && !w.lost && !w.paused && !w.losing {
			r.ended = true
			w.proto.(reactor.HalfCloser).ReadConnectionLost()
			r.b.rest(w)
		}
	case reset:
		r.b.lose(w, reactor.ErrConnectionLost)
	case times:
		if !w.lost && w.timeout > 0 {
			w.timeout = 0
			w.proto.(reactor.TimeoutHandler).TimeoutConnection()
			r.b.rest(w)
		}
	case backs:
		w.full = 1 << 20
	case drains:
		w.full = 0
		r.b.rest(w)
	default:
		if !up {
			return
		}
		switch act {
		case pause:
			p.c.PauseReading()
		case resume:
			p.c.ResumeReading()
		case answers_:
			p.c.Write(make([]byte, int(s.next())*200))
		case loses:
			p.c.LoseConnection()
		case aborts:
			p.c.AbortConnection()
		case halves:
			p.c.CloseWrite()
		}
		r.b.rest(w)
	}
}

// send carries bytes to the server, and what it answers to the client.
func (r *run) send(p []byte) {
	const most = 300 // pieces of what is sent at a time, or a run takes seconds
	piece := max(r.piece, len(p)/most)
	for len(p) > 0 && !r.ended {
		k := min(piece, len(p))
		r.b.receive(r.w, p[:k])
		p = p[k:]
	}
	r.hear()
}

func (r *run) hear() {
	out := r.w.sent()
	if r.hello == nil && len(out) > 43 {
		r.hello = bytes.Clone(out)
	}
	if r.c.err == nil {
		r.client = append(r.client, r.c.feed(out, false)...)
	}
}

// check holds what holds at any time.
func (r *run) check() {
	p := r.p
	if p.losses > 1 || p.failed > 1 || p.eof > 1 || p.half > 1 || p.failed > 0 && p.c != nil {
		r.t.Fatalf("lost %d times, failed %d, half-closed %d and %d", p.losses, p.failed, p.eof, p.half)
	}
	if !r.tampered && !bytes.HasPrefix(r.said, p.data) {
		r.t.Fatalf("received %q, and the client has said %q", p.data, r.said)
	}
	if l := r.w.proto.(*lower); len(l.pending) > 256<<10 {
		r.t.Fatalf("%d bytes are pending", len(l.pending))
	}
}

// end ends what has not ended.
func (r *run) end() {
	r.hear()
	l, p := r.w.proto.(*lower), r.p
	err := p.failure
	if c := (*Conn)(l); c.rare != nil && c.rare.fate != nil && c.flags&failed != 0 {
		err = c.rare.fate
	}
	if err != nil {
		r.wantAlert(err)
	}
	r.b.lose(r.w, reactor.ErrConnectionLost)
	r.b.rest(r.w)
	r.check()
	if p.losses+p.failed != 1 {
		r.t.Fatalf("told of %d losses and %d failures", p.losses, p.failed)
	}
}

// wantAlert checks that the peer knows why TLS has ended the connection. It does not when it was
// the one to say so, when crypto/tls takes it for none, when the alert is a warning (no_renegotiation, RFC 5246, section 7.2.2),
// which a client of crypto/tls ignores, or an error of which crypto/tls tells no peer (data between the parts of a handshake message of
// TLS 1.2), when it is not able to hear, or when the connection ended otherwise.
func (r *run) wantAlert(err error) {
	var header tls.RecordHeaderError
	var panicked *reactor.PanicError
	switch {
	case errors.As(err, &panicked):
		r.t.Fatalf("panic: %v\n%s", panicked, panicked.Stack)
	case errors.As(err, &header), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, reactor.ErrTimeout),
		strings.Contains(err.Error(), "remote error"), strings.Contains(err.Error(), "no renegotiation"),
		strings.Contains(err.Error(), "pending application data"), errors.Is(err, errAbandoned), errors.Is(err, reactor.ErrAborted),
		r.w.lost, r.ended, r.c.err != nil && !strings.Contains(r.c.err.Error(), "remote error"):
		return
	case r.c.err == nil && r.p.failed == 0:
		r.t.Fatalf("the peer has seen no alert of %v", err)
	}
}
