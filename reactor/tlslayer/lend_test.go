package tlslayer

import (
	"bytes"
	"testing"

	"microhttp/reactor"
)

// TestLent holds that this Go's tls.Conn has the fields that are lent, and that an idle connection
// has nothing in them.
func TestLent(t *testing.T) {
	lookUp.Do(findBuffers)
	if rawInput == unlent || hand == unlent || sendBuf == unlent {
		t.Fatal("the fields of tls.Conn have changed: look at lend.go. Until then idle connections keep up to 18 KiB more, and a handshake allocates 13")
	}
	for version, v := range versions {
		b := newBench(t)
		cc := clientConfig()
		cc.MaxVersion = v
		var wires []*wire
		var clients []*end
		var peers []*peer
		for range 3 {
			p, c := &peer{}, newEnd(t, cc, true)
			w := b.connect(Server(serverConfig(), b.hs, p))
			b.shake(t, w, c)
			wires, clients, peers = append(wires, w), append(clients, c), append(peers, p)
		}
		want := make([][]byte, len(wires))
		for round := range 20 { // of records of many lengths, cut at many places, in turn
			for i, w := range wires {
				text := bytes.Repeat([]byte{byte('a' + round)}, 1+round*i*1000)
				want[i] = append(want[i], text...)
				_ = clients[i].e.write(text)
				p := clients[i].sent()
				k := len(p) * (round % 4) / 4
				b.receive(w, p[:k])
				defer func() { b.lose(w, reactor.ErrConnectionDone) }()
				b.receive(w, p[k:])
			}
		}
		for i, w := range wires {
			if !bytes.Equal(peers[i].data, want[i]) {
				t.Errorf("%s: connection %d received %d bytes, want %d, or others", version, i, len(peers[i].data), len(want[i]))
			}
			e := w.proto.(*lower).e
			if n := e.buffer(rawInput).Cap() + e.buffer(hand).Cap(); n > 0 {
				t.Errorf("%s: an idle connection keeps %d bytes", version, n)
			}
		}
	}
}

// TestUnlent holds that all is well when nothing can be lent.
func TestUnlent(t *testing.T) {
	lookUp.Do(findBuffers)
	defer func(r, h, s uintptr) { rawInput, hand, sendBuf = r, h, s }(rawInput, hand, sendBuf)
	rawInput, hand, sendBuf = unlent, unlent, unlent
	if fieldAt[bytes.Buffer]("noSuchField") != unlent || fieldAt[bytes.Buffer]("conn") != unlent {
		t.Error("a field was found that is none")
	}
	b := newBench(t)
	p, c := &peer{}, newEnd(t, clientConfig(), true)
	w := b.connect(Server(serverConfig(), b.hs, p))
	b.shake(t, w, c)
	_ = c.e.write([]byte("hello"))
	b.receive(w, c.sent())
	if string(p.data) != "hello" {
		t.Errorf("received %q", p.data)
	}
	b.lose(w, reactor.ErrConnectionDone)
}
