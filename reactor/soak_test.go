package reactor

import (
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A minute of it is `go test ./reactor -run TestSoak -soak 1m`.
var soak = flag.Duration("soak", time.Second, "how long TestSoak lasts")

const (
	soakClients = 8
	soakHeap    = 1 << 20 // what the heap may have grown by: pools, and what the runtime keeps for itself
	soakFlood   = 1 << 20 // sent to an echo without reading: more than sockets and water marks hold
)

// Connects, resets, floods, slow readers, half-closes, datagrams and timers; and when they are over, the descriptors,
// goroutines and heap are what they were. What is echoed whole is checked, and no connection is told of its loss twice.
func TestSoak(t *testing.T) {
	l := start(t, Config{})
	s := &soaker{t: t, l: l}
	s.port = l.listen(s.build, &TCPOptions{TransportOptions: TransportOptions{WriteTimeout: time.Second}})
	s.udp = l.listenUDP("127.0.0.1:0", &udpEcho{}, nil)

	s.run(100 * time.Millisecond) // pools and tables have grown, then
	fds, goroutines, heap := countFDs(t), runtime.NumGoroutine(), s.heap()
	s.run(*soak)
	eventually(t, "the descriptors and goroutines of the beginning", func() bool {
		return countFDs(t) <= fds && runtime.NumGoroutine() <= goroutines
	})
	if grown := s.heap() - heap; grown > soakHeap {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	l.do(func() {
		t.Logf("%d connections in %v", s.made, *soak)
	})
	for _, err := range l.reported() {
		t.Errorf("reported: %v", err)
	}
}

// A soaker is the server and its clients. What the loop counts is read on the loop.
type soaker struct {
	t    *testing.T
	l    *loop
	port *Port
	udp  *UDPPort

	made, open int
}

func (s *soaker) build(netip.AddrPort) Protocol { return &soakEcho{s: s} }

// run lets the clients play for a while.
func (s *soaker) run(d time.Duration) {
	s.t.Helper()
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i := range soakClients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for time.Now().Before(end) && !s.t.Failed() {
				soakGames[r.IntN(len(soakGames))](s, r)
			}
		})
	}
	wg.Wait()
	eventually(s.t, "every connection to be lost, and every timer to come", func() (over bool) {
		s.l.do(func() { over = s.open == 0 && len(s.l.DelayedCalls()) == 0 })
		return over
	})
}

func (s *soaker) heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A soakEcho echoes, and stops reading while its peer does not.
type soakEcho struct {
	s    *soaker
	t    Transport
	lost bool
}

func (e *soakEcho) ConnectionMade(t Transport) {
	e.t = t
	e.s.made++
	e.s.open++
	t.RegisterProducer(t)
	t.SetTimeout(patience)
}

func (e *soakEcho) DataReceived(p []byte) {
	e.t.SetTimeout(patience)
	e.t.Write(p)
}

func (e *soakEcho) ReadConnectionLost() { e.t.LoseConnection() }

func (e *soakEcho) ConnectionLost(error) {
	if e.lost {
		e.s.t.Error("ConnectionLost twice")
	}
	e.lost = true
	e.s.open--
}

// soakGames is what a client may do next.
var soakGames = []func(*soaker, *rand.Rand){
	(*soaker).echo, (*soaker).reset, (*soaker).flood, (*soaker).halfClose, (*soaker).connectFromLoop, (*soaker).datagrams,
	(*soaker).timers,
}

// dial connects; the connection is reset when it is closed, so that no port stays in TIME_WAIT.
func (s *soaker) dial() *net.TCPConn {
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(s.port.Addr()))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	if err := c.SetLinger(0); err != nil {
		s.t.Error(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Error(err)
	}
	return c
}

// echo has messages echoed.
func (s *soaker) echo(r *rand.Rand) {
	c := s.dial()
	if c == nil {
		return
	}
	defer c.Close()
	for range 1 + r.IntN(20) {
		s.exchange(c, r, 1+r.IntN(4<<10))
	}
}

func (s *soaker) exchange(c *net.TCPConn, r *rand.Rand, size int) {
	sent, got := make([]byte, size), make([]byte, size)
	for i := range sent {
		sent[i] = byte(r.Uint32())
	}
	if _, err := c.Write(sent); err != nil {
		s.t.Error(err)
		return
	}
	if _, err := io.ReadFull(c, got); err != nil {
		s.t.Error(err)
	} else if string(got) != string(sent) {
		s.t.Error("an echo differs")
	}
}

// reset ends a connection in the middle of a message, or at once.
func (s *soaker) reset(r *rand.Rand) {
	if c := s.dial(); c != nil {
		_, _ = c.Write(make([]byte, r.IntN(64<<10))) // whatever comes of it
		c.Close()
	}
}

// flood sends much without reading; then it reads slowly, or not at all.
func (s *soaker) flood(r *rand.Rand) {
	c := s.dial()
	if c == nil {
		return
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		s.t.Error(err)
	}
	n, _ := c.Write(make([]byte, soakFlood)) // it is meant to get stuck
	buf := make([]byte, 16<<10)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Error(err)
	}
	for n -= r.IntN(soakFlood); n > 0; n -= len(buf) {
		if _, err := io.ReadFull(c, buf[:min(n, len(buf))]); err != nil {
			s.t.Error(err)
		}
	}
}

// halfClose reads to the end what it has sent.
func (s *soaker) halfClose(r *rand.Rand) {
	c := s.dial()
	if c == nil {
		return
	}
	defer c.Close()
	size := r.IntN(32 << 10)
	if _, err := c.Write(make([]byte, size)); err != nil {
		s.t.Error(err)
	}
	if err := c.CloseWrite(); err != nil {
		s.t.Error(err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n != int64(size) {
		s.t.Errorf("%d bytes of %d: %v", n, size, err)
	}
}

// connectFromLoop has the loop be its own client.
func (s *soaker) connectFromLoop(*rand.Rand) {
	c := &soakClient{done: make(chan error, 2)}
	s.l.do(func() {
		if _, err := s.l.ConnectTCP(s.port.Addr().String(), c, nil); err != nil {
			c.done <- err
		}
	})
	if err := <-c.done; err != nil {
		s.t.Error(err)
	}
}

// A soakClient has one message echoed and resets.
type soakClient struct {
	t    Transport
	done chan error
}

func (c *soakClient) BuildProtocol(netip.AddrPort) Protocol       { return c }
func (c *soakClient) ConnectionFailed(_ *Connector, reason error) { c.done <- reason }
func (c *soakClient) ConnectionMade(t Transport)                  { c.t = t; t.Write([]byte("hello")) }
func (c *soakClient) DataReceived([]byte)                         { c.t.AbortConnection() }

func (c *soakClient) ConnectionLost(reason error) {
	if reason == ErrAborted {
		reason = nil
	}
	c.done <- reason
}

// datagrams has a few echoed. The kernel may drop some, so one more is sent until one comes.
func (s *soaker) datagrams(r *rand.Rand) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.udp.Addr()))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	buf := make([]byte, 8<<10)
	for range 1 + r.IntN(50) {
		if _, err := c.Write(buf[:r.IntN(2<<10)]); err != nil {
			s.t.Error(err)
		}
	}
	for end := time.Now().Add(patience); ; {
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			s.t.Error(err)
		}
		_, err := c.Read(buf)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Error(err)
			return
		}
		if _, err := c.Write(buf[:1]); err != nil {
			s.t.Error(err)
		}
	}
}

// timers arms some, puts some off, and cancels most.
func (s *soaker) timers(r *rand.Rand) {
	s.l.do(func() {
		for range 100 {
			c := s.l.CallLater(time.Duration(r.IntN(int(time.Second))), func() {})
			if err := c.Delay(time.Millisecond); err != nil {
				s.t.Error(err)
			}
			if r.IntN(10) > 0 || c.Time().After(s.l.Now().Add(50*time.Millisecond)) {
				if err := c.Cancel(); err != nil {
					s.t.Error(err)
				}
			}
		}
	})
}
