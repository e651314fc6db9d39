package main

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// What a request costs us: the program's own server on a kernel that answers at once, so that
// all that is left is the loop, the parser, the router and the handler. The metric is the
// tenth part's, not the mean: it hardly moves when something else runs on the machine. Where
// the linker puts a function still moves it by five percent; -ldflags=-randlayout=N, with a
// few N, shows how far.
func BenchmarkRequest(b *testing.B) {
	const browser = "Host: 127.0.0.1:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n"
	for _, c := range []struct {
		name, request string
		depth         int
	}{
		{"plaintext", "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 1},
		{"plaintext, 16 pipelined", "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 16},
		{"json", "GET /json HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 1},
		{"two parameters, of a browser", "GET /users/17/posts/4711 HTTP/1.1\r\n" + browser, 1},
		{"body returned", "POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024), 1},
	} {
		var o options
		b.Run(c.name, func(b *testing.B) {
			benchmarkRequest(b, o.newServer(io.Discard), strings.Repeat(c.request, c.depth), c.depth)
		})
	}
}

// What a file costs us that is open already: microhttp serve, with all that belongs to it.
func BenchmarkFile(b *testing.B) {
	o := serveOptions{dir: b.TempDir()}
	o.level = zerolog.Disabled
	if err := os.WriteFile(filepath.Join(o.dir, "small.bin"), make([]byte, 64<<10), 0o600); err != nil {
		b.Fatal(err)
	}
	s, files, err := o.newServer(io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	defer files.Close()
	benchmarkRequest(b, s, "GET /small.bin HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 1)
}

func benchmarkRequest(b *testing.B, s *server.Server, batch string, depth int) {
	const connections = 64
	sys := &instantSystem{connections: connections, in: batch}
	loop, err := reactor.New(reactor.Config{System: sys, StallLimit: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := loop.ListenTCP("127.0.0.1:8080", s.Factory(loop), nil); err != nil {
		b.Fatal(err)
	}
	var ticks []time.Duration
	var begun time.Time
	sys.wait = func() {
		switch {
		case sys.first == "": // somebody is still to be accepted, or to be answered
			return
		case begun.IsZero():
			if strings.Count(sys.first, "HTTP/1.1 200 OK\r\n") != depth {
				b.Fatalf("answered %d requests with %q", depth, sys.first)
			}
		default:
			ticks = append(ticks, time.Since(begun))
		}
		if !b.Loop() {
			loop.Stop()
		}
		begun = time.Now()
	}
	b.ReportAllocs()
	if err := loop.Run(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(ticks)
	b.ReportMetric(float64(ticks[len(ticks)/10].Nanoseconds())/float64(connections*depth), "ns/request")
}

// instantSystem is a kernel that answers at once: all connections are always readable, and take
// all that is written. Of a System it has what the loop of a server asks for.
type instantSystem struct {
	reactor.System

	connections, accepted int
	in                    string // what each read gives
	first                 string // the first answer that was written once all were accepted
	wait                  func() // is called before each wait
	events                []reactor.Event
}

func (s *instantSystem) Now() time.Time                            { return time.Now() }
func (s *instantSystem) NewPoller(string) (reactor.Poller, error)  { return instantPoller{s}, nil }
func (s *instantSystem) Reserve() (int, syscall.Errno)             { return 1, 0 }
func (s *instantSystem) LocalAddr(int) netip.AddrPort              { return netip.AddrPort{} }
func (s *instantSystem) CloseWrite(int) syscall.Errno              { return 0 }
func (s *instantSystem) Close(int) syscall.Errno                   { return 0 }
func (s *instantSystem) Reset(int)                                 {}
func (s *instantSystem) Read(_ int, p []byte) (int, syscall.Errno) { return copy(p, s.in), 0 }

func (s *instantSystem) Listen(reactor.Address, reactor.ListenOptions) (int, error) { return 2, nil }

func (s *instantSystem) Accept(int) (int, netip.AddrPort, syscall.Errno) {
	if s.accepted == s.connections {
		return -1, netip.AddrPort{}, syscall.EAGAIN
	}
	s.accepted++
	return 2 + s.accepted, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1024), 0
}

func (s *instantSystem) Write(_ int, p []byte) (int, syscall.Errno) {
	if s.first == "" && s.accepted == s.connections {
		s.first = string(p)
	}
	return len(p), 0
}

// SendFile reports that all of a file was taken.
func (s *instantSystem) SendFile(_ int, _ reactor.File, _ int64, n int) (int, syscall.Errno) {
	return n, 0
}

type instantPoller struct{ *instantSystem }

func (p instantPoller) Update(fd int, gen uint32, _, now reactor.Interest) error {
	i := slices.IndexFunc(p.events, func(e reactor.Event) bool { return e.FD == int32(fd) })
	if i < 0 {
		p.events = append(p.events, reactor.Event{})
		i = len(p.events) - 1
	}
	p.events[i] = reactor.Event{FD: int32(fd), Gen: gen, Ready: now}
	return nil
}

func (p instantPoller) Poll(events []reactor.Event) (int, error) {
	p.wait()
	return copy(events, p.events), nil
}

func (p instantPoller) Wait(events []reactor.Event, _ time.Time) (int, error) { return p.Poll(events) }

func (p instantPoller) Forget(int, reactor.Interest) {}
func (p instantPoller) Wake()                        {}
func (p instantPoller) Close() error                 { return nil }
