package main

import (
	"net/netip"
	"slices"
	"testing"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// Each piece of a message is read alone, or TestWire would not show what it says.
func TestPiecesAreReadOneByOne(t *testing.T) {
	const message = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
	sizes := func(cuts []int) (read []int) {
		w := sim.New(1, sim.Calm())
		loop := w.Reactor("reader", reactor.Config{})
		port, err := loop.ListenTCP("127.0.0.1:80", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
			return &sizeReader{sizes: &read}
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Go("client", func() {
			c := newSimClient(w, port)
			c.cut = func(int) []int { return cuts }
			c.send(&stage{message: []byte(message)})
			c.sent()
			w.Sleep(pieceInterval)
			c.Close()
		})
		if err := w.Run(); err != nil {
			t.Error(err)
		}
		return read
	}
	if got, want := sizes(nil), []int{len(message)}; !slices.Equal(got, want) {
		t.Errorf("whole, it was read in pieces of %v, want %v", got, want)
	}
	if got, want := sizes([]int{5, 6, 20}), []int{5, 1, 14, len(message) - 20}; !slices.Equal(got, want) {
		t.Errorf("cut, it was read in pieces of %v, want %v", got, want)
	}
	if got, want := sizes(everyCut(len(message))), slices.Repeat([]int{1}, len(message)); !slices.Equal(got, want) {
		t.Errorf("byte by byte, it was read in pieces of %v", got)
	}
}

// sizeReader notes how many bytes each read gave.
type sizeReader struct{ sizes *[]int }

func (s *sizeReader) ConnectionMade(reactor.Transport) {}
func (s *sizeReader) ConnectionLost(error)             {}
func (s *sizeReader) DataReceived(p []byte)            { *s.sizes = append(*s.sizes, len(p)) }
