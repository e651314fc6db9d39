package websocket

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"microhttp/parser"
	"microhttp/reactor"
)

// recorder is a Transport that keeps what is written, and how it ends.
type recorder struct {
	reactor.Transport
	out    bytes.Buffer
	unsent int
	ends   string
}

func (r *recorder) Room(n int) []byte                 { return make([]byte, 0, n) }
func (r *recorder) Commit(p []byte)                   { r.out.Write(p) }
func (r *recorder) Write(p []byte)                    { r.out.Write(p) }
func (r *recorder) Buffered() int                     { return r.unsent }
func (r *recorder) SetTimeout(time.Duration)          {}
func (r *recorder) PauseReading()                     {}
func (r *recorder) ResumeReading()                    {}
func (r *recorder) RegisterProducer(reactor.Producer) {}
func (r *recorder) CloseWrite()                       { r.ends += " half-close" }
func (r *recorder) LoseConnection()                   { r.ends += " lose" }
func (r *recorder) Send(pieces ...reactor.Piece) {
	for i := range pieces {
		r.out.Write(pieces[i].Bytes())
	}
}

// converse gives p to an echo, in pieces of n bytes, and returns all that the peer and the program see.
func converse(p []byte, n int, a agreement) string {
	var r recorder
	var seen strings.Builder
	c := &Conn{kept: &nothing, agreed: a, h: &Handler{
		MaxMessage: 4 << 10,
		OnMessage: func(c *Conn, kind Kind, p []byte) {
			fmt.Fprintf(&seen, "%d %q ", kind, p)
			c.Write(kind, p)
		},
		OnClose: func(_ *Conn, how CloseError) { fmt.Fprintf(&seen, "%v", &how) },
	}}
	c.dec.rsv1 = a.on
	c.ConnectionMade(&r)
	p = bytes.Clone(p)
	for len(p) > 0 {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		c.DataReceived(bytes.Clone(piece))
	}
	c.ReadConnectionLost()
	c.ConnectionLost(reactor.ErrConnectionDone)
	return fmt.Sprintf("%q%s %s", r.out.Bytes(), r.ends, &seen)
}

// FuzzConversation holds that both sides see the same however the bytes were split, with each kind of compression, and that
// what is sent is frames.
func FuzzConversation(f *testing.F) {
	for _, seed := range frameSeeds {
		for how := range byte(4) {
			f.Add([]byte(seed), how)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, how byte) {
		a := agreement{on: how&1 != 0, serverTakes: how&2 != 0, clientTakes: how&2 != 0, serverWindow: 8 + how>>2&7}
		whole := converse(p, len(p)+1, a)
		for _, n := range []int{1, 2, 7, 100} {
			if got := converse(p, n, a); got != whole {
				t.Errorf("cut every %d bytes: %s\nwhole: %s", n, got, whole)
			}
		}
	})
}

// FuzzNegotiation holds what is made of the lists of a handshake: an answer is one that the client has offered, and the fields
// mean the same in one line and in several.
func FuzzNegotiation(f *testing.F) {
	for _, seed := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits; server_max_window_bits=\"1\\0\"", "foo; a=b, permessage-deflate;x",
		"permessage-deflate; server_no_context_takeover, permessage-deflate; client_max_window_bits=8", ", ,a;b=\"c\"", "a;", "\"a\"", "a;b=", "chat, superchat",
	} {
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, s string, takeover bool) {
		one := fields{extensions: []string{s}}
		ok := one.parseOffers()
		a, answer := negotiate(one.offers, takeover)
		if !strings.Contains(s, `"`) {
			several := fields{extensions: strings.Split(s, ",")}
			if several.parseOffers() != ok || ok && fmt.Sprint(several.offers) != fmt.Sprint(one.offers) {
				t.Errorf("%q: %v in one line, %v in several", s, one.offers, several.offers)
			}
		}
		if a.on != (answer != "") {
			t.Errorf("%q: %+v, %q", s, a, answer)
		}
		if answer != "" {
			back := fields{extensions: []string{answer}}
			if !back.parseOffers() || len(back.offers) != 1 {
				t.Fatalf("%q: the answer %q is no extension", s, answer)
			}
			b, again := negotiate(back.offers, takeover)
			if again != answer || b != a || !takeover && (a.serverTakes || a.clientTakes) || a.serverWindow < 8 || a.serverWindow > 15 {
				t.Errorf("%q: %+v, %q, and of that %+v, %q", s, a, answer, b, again)
			}
			if !parser.EqualFold(one.offers[0].name, "permessage-deflate") && !strings.Contains(strings.ToLower(s), "permessage-deflate") {
				t.Errorf("%q was never offered", s)
			}
		}
		p := fields{listsProtocols: true}
		for t := range parser.Split(s, ',') {
			if t != "" {
				p.protocols = append(p.protocols, t)
			}
		}
		if p.validProtocols() && len(p.protocols) > 0 {
			h := Handler{Subprotocols: []string{p.protocols[len(p.protocols)-1]}}
			if got := h.choose(p.protocols); got != 1 {
				t.Errorf("%q: %d", s, got)
			}
		}
		if validKey(s) && len(s) != 24 {
			t.Errorf("the key %q", s)
		}
	})
}

// A message that is bad fails the connection, also when there is much to send and more to read.
func TestFailureWithMuchUnsent(t *testing.T) {
	r := recorder{unsent: burst + 1}
	c := &Conn{kept: &nothing, h: &Handler{}, t: &r}
	c.DataReceived([]byte("\x81\x81\x00\x00\x00\x00\xce" + "\x81\x80\x00\x00\x00\x00"))
	if got := r.out.String(); !strings.HasPrefix(got[2:], "\x03\xef") || c.state != over {
		t.Errorf("%q, state %d", got, c.state)
	}
}
