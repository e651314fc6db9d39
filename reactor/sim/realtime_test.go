package sim_test

import (
	"net/netip"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// In real time reactors run by themselves, on goroutines of their own, and talk to each other.
func TestRealTime(t *testing.T) {
	c := sim.Config{
		RealTime: true, Latency: time.Millisecond,
		NoDescriptor: sim.Never, Refused: sim.Never, Unanswered: sim.Never, Reset: sim.Never, Jump: sim.Never,
	}
	w := sim.New(1, c)
	ended := make(chan error, 2)
	start := func() *reactor.Reactor {
		r, err := reactor.New(reactor.Config{System: w.System()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	server, client := start(), start()
	port, err := server.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(newEcho), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*reactor.Reactor{server, client} {
		go func() { ended <- r.Run() }()
	}
	const rounds = 100
	counted := make(chan int)
	begun := time.Now()
	client.CallFromThread(func() {
		if _, err := client.ConnectTCP(port.Addr().String(), &pinger{rounds: rounds, done: counted}, nil); err != nil {
			t.Error(err)
		}
	})
	select {
	case n := <-counted:
		if n != rounds {
			t.Errorf("%d rounds", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("waited in vain for the client")
	}
	fired := make(chan time.Duration, 1)
	client.CallFromThread(func() {
		at := time.Now()
		client.CallLater(20*time.Millisecond, func() { fired <- time.Since(at) })
	})
	if d := <-fired; d < 20*time.Millisecond {
		t.Errorf("a timer of 20 ms was called after %v", d)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	server.Stop()
	client.Stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if d := w.Descriptors(); len(d) != 0 {
		t.Errorf("left open: %v", d)
	}
}

// A pinger sends a byte, waits for its echo, and so on.
type pinger struct {
	t      reactor.Transport
	rounds int
	got    int
	done   chan int
}

func (p *pinger) BuildProtocol(netip.AddrPort) reactor.Protocol    { return p }
func (p *pinger) ConnectionFailed(_ *reactor.Connector, err error) { p.done <- -1 }
func (p *pinger) ConnectionMade(t reactor.Transport)               { p.t = t; t.Write([]byte("x")) }
func (p *pinger) ConnectionLost(error)                             { p.done <- p.got }
func (p *pinger) DataReceived(b []byte) {
	if p.got += len(b); p.got == p.rounds {
		p.t.LoseConnection()
		return
	}
	p.t.Write(b)
}
