package websocket

import (
	"bytes"
	"strings"
	"testing"

	"microhttp/reactor"
)

// noted is a Transport that notes where what is written lies.
type noted struct {
	reactor.Transport
	loop    *reactor.Reactor
	written map[*byte]int // shared by all
}

func (n *noted) Reactor() *reactor.Reactor { return n.loop }
func (n *noted) Write(p []byte)            { n.written[&p[0]]++ }
func (n *noted) Buffered() int             { return 0 }

// A message to 10,000 connections is encoded once, and compressed once for those that have agreed on that, whatever their number.
func TestBroadcastIsEncodedOnce(t *testing.T) {
	loop, err := reactor.New(reactor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = loop.Run()
	}()
	defer func() {
		loop.Stop()
		<-ended
	}()
	const n, squeezed = 10_000, 3_000
	var hub Hub
	written := map[*byte]int{}
	joined := make(chan struct{})
	loop.CallFromThread(func() {
		defer close(joined)
		for i := range n {
			c := &Conn{kept: &nothing, h: &Handler{}, t: &noted{loop: loop, written: written}}
			if i < squeezed {
				c.agreed = agreement{on: true, serverWindow: 15}
			}
			hub.Join(c)
		}
	})
	<-joined
	m := Prepare(Text, []byte(strings.Repeat("broadcast ", 100)))
	const times = 3
	for range times {
		hub.Broadcast(m)
	}
	delivered := make(chan struct{})
	loop.CallFromThread(func() { close(delivered) })
	<-delivered
	if len(written) != 2 || written[&m.plain[0]] != times*(n-squeezed) || written[&m.squeezed()[0]] != times*squeezed {
		t.Errorf("%d encodings, %d times the plain one, %d times the compressed one", len(written), written[&m.plain[0]], written[&m.squeezed()[0]])
	}
	if len(m.squeezed()) > 100 || !bytes.HasSuffix(m.plain, m.p) {
		t.Errorf("%d bytes compressed", len(m.squeezed()))
	}
}
