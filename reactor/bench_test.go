package reactor

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What the loop itself costs, with a kernel that answers at once: a tick of 64 ready connections, each of which reads a
// request and answers. Everything but the system calls is real. It is watched for stalls, or not.
func BenchmarkTick(b *testing.B) {
	b.Run("watched", func(b *testing.B) { benchmarkTick(b, defaultStallLimit) })
	b.Run("unwatched", func(b *testing.B) { benchmarkTick(b, -1) })
}

func benchmarkTick(b *testing.B, stallLimit time.Duration) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!")
	s := &faultySystem{
		read:  func(_ int, p []byte) (int, syscall.Errno) { return copy(p, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0 },
		write: func(_ int, p []byte) (int, syscall.Errno) { return len(p), 0 },
	}
	l := prepare(b, Config{System: s, StallLimit: stallLimit})
	r := l.Reactor
	options := TransportOptions{}.withDefaults()
	const connections = 64
	var events []Event
	for range connections {
		fd, err := syscall.Dup(0)
		if err != nil {
			b.Fatal(err)
		}
		p := &answerer{answer: answer}
		t := &transport{r: r, options: &options, fd: int32(fd), proto: p}
		p.Transport = t
		r.fds.claim(fd, t)
		slot := r.fds.slot(fd)
		slot.conn, slot.have = t, Readable
		events = append(events, Event{FD: int32(fd), Gen: slot.gen, Ready: Readable})
	}
	s.wait = func(_ Poller, found []Event, _ time.Time) (int, error) { return copy(found, events), nil }
	r.stage.Store(stageRunning)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.tick(never); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/connections, "ns/request")
	r.end()
}

// An answerer answers.
type answerer struct {
	Transport
	answer []byte
}

func (p *answerer) ConnectionMade(t Transport) { p.Transport = t }
func (p *answerer) ConnectionLost(error)       {}

func (p *answerer) DataReceived([]byte) {
	p.SetTimeout(time.Minute)
	p.Commit(append(p.Room(0), p.answer...))
}

// One connection, one request at a time: how long until the answer is there. Most of it is the kernel's.
func BenchmarkRoundTrip(b *testing.B) {
	for _, name := range (kernel{}).Pollers() {
		b.Run(name, func(b *testing.B) {
			l := start(b, Config{Poller: name})
			answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!")
			p := l.listen(func(netip.AddrPort) Protocol { return &answerer{answer: answer} }, nil)
			conn, err := net.Dial("tcp", p.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			in := make([]byte, len(answer))
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, conn, in)
			}
		})
	}
}

func BenchmarkCallFromThread(b *testing.B) {
	l := start(b, Config{})
	var made atomic.Int64
	f := func() { made.Add(1) }
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		l.CallFromThread(f)
		n++
	}
	eventually(b, "the calls", func() bool { return made.Load() == n })
}

func BenchmarkSetTimeout(b *testing.B) {
	l := prepare(b, Config{})
	t := &transport{r: l.Reactor}
	l.fds.claim(0, t)
	l.clock()
	l.fresh = true // as in a tick
	for b.Loop() {
		t.SetTimeout(time.Minute)
	}
	l.Close()
}

// A pass over ten thousand connections that have a deadline which is not due.
func BenchmarkSweep(b *testing.B) {
	const connections = 10_000
	l := prepare(b, Config{})
	for fd := range connections {
		t := &transport{r: l.Reactor, fd: int32(fd)}
		l.fds.claim(fd, t)
		t.SetTimeout(time.Hour)
	}
	for b.Loop() {
		l.sweeps.next = 0
		for l.sweep(); l.sweeps.at > 0; {
			l.sweep()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/connections, "ns/connection")
	l.fds.table = table{}
	l.Close()
}
