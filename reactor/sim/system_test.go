package sim_test

// The simulated system, seen from below and from beside: addresses, descriptors, sockets of all kinds.

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// Addresses are given out and refused as on a real machine.
func TestAddresses(t *testing.T) {
	w := sim.New(1, sim.Calm())
	r := w.Reactor("server", reactor.Config{})
	f := reactor.FactoryFunc(newSilent)
	for _, at := range []struct {
		addr string
		err  error
	}{
		{"127.0.0.1:80", nil},
		{"127.0.0.1:80", syscall.EADDRINUSE},
		{"127.0.0.2:80", nil},
		{"[::1]:80", nil},
		{"0.0.0.0:80", syscall.EADDRINUSE},
		{":81", nil},
		{"127.0.0.1:81", syscall.EADDRINUSE},
		{"[::1]:81", syscall.EADDRINUSE},
	} {
		if _, err := r.ListenTCP(at.addr, f, nil); !errors.Is(err, at.err) {
			t.Errorf("%s: %v, want %v", at.addr, err, at.err)
		}
	}
	w.Go("client", func() {
		for _, to := range []string{"127.0.0.2:80", "127.0.0.1:81", "[::1]:81", "0.0.0.0:81", "[::]:81", "10.1.2.3:81"} {
			conn, err := w.Dial(netip.MustParseAddrPort(to))
			if err != nil {
				w.Errorf("dial %s: %v", to, err)
				continue
			}
			conn.Close()
		}
		for _, to := range []string{"127.0.0.3:80", "127.0.0.1:82", "[::2]:80"} {
			if _, err := w.Dial(netip.MustParseAddrPort(to)); !errors.Is(err, syscall.ECONNREFUSED) {
				w.Errorf("dial %s: %v", to, err)
			}
		}
	})
	run(t, w)
}

// A reactor that has no descriptor left turns connections away, and goes on when there are.
func TestDescriptorsRunOut(t *testing.T) {
	c := sim.Calm()
	c.Descriptors = 5 // the reserve, the port, and three
	w := sim.New(1, c)
	var reports []error
	r := w.Reactor("server", reactor.Config{ReportError: func(err error) { reports = append(reports, err) }})
	port, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(newEcho), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Go("clients", func() {
		var conns []*sim.Conn
		served := func() (n int) {
			for _, c := range conns {
				fmt.Fprint(c, "x")
				if _, err := c.Read(make([]byte, 1)); err == nil {
					n++
				}
			}
			return n
		}
		for range 5 {
			conns = append(conns, dial(w, port))
		}
		if n := served(); n != 3 {
			w.Errorf("%d are served: %v", n, w.Descriptors())
		}
		conns[0].Close()
		w.Sleep(time.Second)
		conns = []*sim.Conn{dial(w, port)}
		if n := served(); n != 1 {
			w.Errorf("the next is not served: %v", w.Descriptors())
		}
	})
	run(t, w)
	if len(reports) == 0 || !errors.Is(reports[0], syscall.EMFILE) {
		t.Errorf("reported %v", reports)
	}
}

// Numbers are used again, the lowest first.
func TestDescriptorNumbers(t *testing.T) {
	w := sim.New(1, sim.Calm())
	s := w.System()
	for range 4 {
		if _, errno := s.Reserve(); errno != 0 {
			t.Fatal(errno)
		}
	}
	s.Close(5)
	s.Close(4)
	a, _ := s.Reserve()
	b, _ := s.Reserve()
	if a != 4 || b != 5 || !slices.Equal(w.Descriptors(), []string{"3: spare", "4: spare", "5: spare", "6: spare"}) {
		t.Errorf("got %d and %d: %v", a, b, w.Descriptors())
	}
}

// An event that is meant for an earlier owner of a descriptor reaches nobody: on a day that is calm but for such
// events, no read finds nothing.
func TestStaleEvents(t *testing.T) {
	c := sim.Calm()
	c.Stale = 1
	for seed := range uint64(50) {
		var trace strings.Builder
		c.Trace = &trace
		w := sim.New(seed, c)
		port := listen(w, newEcho)
		for i := range 3 {
			w.Go(fmt.Sprint("client", i), func() {
				for range 10 {
					conn := dial(w, port)
					w.Sleep(time.Duration(w.Rand().IntN(1000)))
					fmt.Fprint(conn, "x")
					conn.Read(make([]byte, 1))
					conn.Close()
				}
			})
		}
		run(t, w)
		for line := range strings.Lines(trace.String()) {
			if strings.Contains(line, "read fd") && strings.Contains(line, syscall.EAGAIN.Error()) {
				t.Fatalf("seed %d: %s%s", seed, line, w.Trace())
			}
		}
		if !strings.Contains(trace.String(), "stale") {
			t.Fatalf("seed %d: no stale event", seed)
		}
	}
}

// Unix sockets have names and no addresses.
func TestUnix(t *testing.T) {
	w := sim.New(1, sim.Calm())
	client := w.Reactor("client", reactor.Config{})
	l, err := w.ListenUnix("/run/sock")
	if err != nil {
		t.Fatal(err)
	}
	p := &pinger{rounds: 3, done: make(chan int, 1)}
	if _, err := client.ConnectUnix("/run/sock", p, nil); err != nil {
		t.Fatal(err)
	}
	refused := &pinger{done: make(chan int, 1)}
	if _, err := client.ConnectUnix("/run/nobody", refused, nil); err != nil {
		t.Fatal(err)
	}
	w.Go("server", func() {
		if _, err := w.ListenUnix("/run/sock"); !errors.Is(err, syscall.EADDRINUSE) {
			w.Errorf("the name is given twice: %v", err)
		}
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		if n, err := io.Copy(conn, conn); n != 3 || err != nil {
			w.Errorf("echoed %d bytes, %v", n, err)
		}
		conn.Close()
		l.Close()
		if _, err := w.DialUnix("/run/sock"); !errors.Is(err, syscall.ENOENT) {
			w.Errorf("dial a name that is gone: %v", err)
		}
	})
	run(t, w)
	if n := <-p.done; n != 3 {
		t.Errorf("%d rounds", n)
	}
	if n := <-refused.done; n != -1 {
		t.Error("connected to nobody")
	}
}

// Adopt recognises what kind of socket it is given.
func TestAdopt(t *testing.T) {
	w := sim.New(1, sim.Calm())
	s := w.System()
	at := netip.MustParseAddrPort("127.0.0.1:80")
	fd, err := s.Listen(reactor.Address{IP: at}, reactor.ListenOptions{Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, _, listens, err := s.Adopt(fd)
	if got.IP != at || !listens || err != nil {
		t.Errorf("a listening socket: %v, %v, %v", got, listens, err)
	}
	conn, errno := s.Connect(reactor.Address{IP: at}, netip.AddrPort{})
	if errno != syscall.EINPROGRESS {
		t.Fatal(errno)
	}
	if got, remote, listens, err := s.Adopt(conn); remote != at || listens || err != nil || !got.IP.IsValid() {
		t.Errorf("a connection: %v, %v, %v, %v", got, remote, listens, err)
	}
	spare, _ := s.Reserve()
	if _, _, _, err := s.Adopt(spare); !errors.Is(err, syscall.ENOTSOCK) {
		t.Errorf("no socket: %v", err)
	}
	for _, fd := range []int{fd, conn, spare} {
		if errno := s.Close(fd); errno != 0 {
			t.Error(errno)
		}
	}
	run(t, w)
}

// A time that is too long to come does not come, rather than at once.
func TestTheLongestTime(t *testing.T) {
	c := sim.Calm()
	c.Unanswered, c.ConnectTime = 1, math.MaxInt64
	w := sim.New(1, c)
	r := w.Reactor("client", reactor.Config{})
	f := &failing{failed: func(reason error) {
		if reason != reactor.ErrTimeout {
			w.Errorf("failed with %v", reason)
		}
		r.Stop()
	}}
	if _, err := r.ConnectTCP("10.0.0.1:80", f, &reactor.ConnectOptions{Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	run(t, w)
}

// failing is a ClientFactory that expects no connection.
type failing struct{ failed func(reason error) }

func (*failing) BuildProtocol(netip.AddrPort) reactor.Protocol { return nil }

func (f *failing) ConnectionFailed(_ *reactor.Connector, reason error) { f.failed(reason) }
