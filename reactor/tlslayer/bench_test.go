package tlslayer

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"microhttp/reactor"
)

// Each benchmark measures a conversation with a client of crypto/tls, which is about half of the
// work, against the layer and against a tls.Conn with a goroutine of its own. Compare the two.

const request = "GET /plaintext HTTP/1.1\r\nHost: example.com\r\n\r\n"

// answers has an answer for each request, all of one length.
type answers struct {
	t       reactor.Transport
	pending int
	answer  []byte
}

func (a *answers) ConnectionMade(t reactor.Transport) { a.t = t }
func (a *answers) ConnectionLost(error)               {}
func (a *answers) DataReceived(p []byte) {
	for a.pending += len(p); a.pending >= len(request); a.pending -= len(request) {
		if len(a.answer) >= directSize {
			a.t.Send(reactor.Given(a.answer))
			continue
		}
		a.t.Commit(append(a.t.Room(len(a.answer)), a.answer...))
	}
}

// serveLayer and serveGoroutines run a server whose answers are of that length, and return its
// address.
func serveLayer(b *testing.B, answer []byte) string {
	h := NewHandshakes(HandshakeOptions{})
	sc := serverConfig()
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return Server(sc, h, AcceptorFunc(func(*Conn) reactor.Protocol { return &answers{answer: answer} }))
	}), nil)
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Run() }()
	b.Cleanup(func() { r.Stop(); <-done })
	return p.Addr().String()
}

func serveGoroutines(b *testing.B, answer []byte) string {
	l, err := tls.Listen("tcp", "127.0.0.1:0", serverConfig())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				pending := 0
				for {
					n, err := c.Read(buf)
					for pending += n; pending >= len(request); pending -= len(request) {
						_, _ = c.Write(answer) // net/http writes each answer for itself
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

var servers = []struct {
	name  string
	serve func(b *testing.B, answer []byte) string
}{{"layer", serveLayer}, {"goroutine", serveGoroutines}}

// converseN sends some requests at a time and reads their answers.
func converseN(b *testing.B, requests, answer int) {
	for _, s := range servers {
		b.Run(s.name, func(b *testing.B) {
			c, err := tls.Dial("tcp", s.serve(b, make([]byte, answer)), clientConfig())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			out, in := bytes.Repeat([]byte(request), requests), make([]byte, requests*answer)
			b.SetBytes(int64(len(in)))
			defer processor(b)()
			for b.Loop() {
				if _, err := c.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// processor reports the time of the processor for each round, of both ends, which a busy machine
// does not change much.
func processor(b *testing.B) (report func()) {
	used := func() (ns int64) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkSmall(b *testing.B)       { converseN(b, 1, 130) }
func BenchmarkPipelined16(b *testing.B) { converseN(b, 16, 130) }
func Benchmark1MiB(b *testing.B)        { converseN(b, 1, 1<<20) }

func BenchmarkHandshake(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		for _, s := range servers {
			name := s.name + "/full"
			if resumed {
				name = s.name + "/resumed"
			}
			b.Run(name, func(b *testing.B) {
				addr := s.serve(b, make([]byte, 130))
				cc := clientConfig()
				if resumed {
					cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				in := make([]byte, 130)
				defer processor(b)()
				for b.Loop() {
					raw, err := net.Dial("tcp", addr)
					if err != nil {
						b.Fatal(err)
					}
					c := tls.Client(raw, cc)
					if _, err := c.Write([]byte(request)); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c, in); err != nil {
						b.Fatal(err)
					}
					c.Close()
				}
			})
		}
	}
}

// BenchmarkAlone measures a request and its answer without a socket and without the client: what
// the layer costs, with crypto/tls, and what crypto/tls costs alone.
func BenchmarkAlone(b *testing.B) {
	const batch = 1000
	for _, requests := range []int{1, 16} {
		answer := make([]byte, 130)
		for _, how := range []string{"layer", "crypto-tls"} {
			b.Run(fmt.Sprint(how, "/", requests), func(b *testing.B) {
				bench := newBench(b)
				a := &answers{answer: answer}
				w := bench.connect(Server(serverConfig(), bench.hs, AcceptorFunc(func(*Conn) reactor.Protocol { return a })))
				c := &end{e: newEngine(clientConfig(), true, netip.AddrPort{}, netip.AddrPort{})}
				bench.shake(b, w, c)
				e := w.proto.(*lower).e
				buf, out := make([]byte, plainSize), make([]byte, 0, plainSize)
				text := bytes.Repeat([]byte(request), requests)
				var in [][]byte
				b.ReportAllocs()
				for b.Loop() {
					if len(in) == 0 {
						b.StopTimer()
						for range batch {
							_ = c.e.write(text)
							in = append(in, c.sent())
						}
						w.out = w.out[:0]
						b.StartTimer()
					}
					if how == "layer" {
						w.proto.DataReceived(in[0])
						w.out = w.out[:0]
					} else {
						if n, _, err := e.read(buf, in[0]); n != len(text) || !temporary(err) {
							b.Fatal(n, err)
						}
						e.mem.out = out
						_ = e.write(bytes.Repeat(answer, requests))
						e.mem.out = nil
					}
					in = in[1:]
				}
				bench.lose(w, reactor.ErrConnectionDone)
			})
		}
	}
}
