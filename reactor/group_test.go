package reactor

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// group is a group that runs beside the test.
func group(t *testing.T, n int, c Config) (*Group, chan error) {
	t.Helper()
	checkLeaks(t)
	g, err := NewGroup(n, c)
	if err != nil {
		t.Fatal(err)
	}
	return g, make(chan error, 1)
}

// All loops accept from one address, each with a factory of its own, and end together.
func TestGroup(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		const n = 3
		g, done := group(t, n, c)
		type made struct {
			r *Reactor
			t Transport
		}
		all := make(chan made, 1000)
		var factories []*Reactor
		ports, err := g.ListenTCP("127.0.0.1:0", func(r *Reactor) Factory {
			factories = append(factories, r)
			return FactoryFunc(func(netip.AddrPort) Protocol {
				rec := newRecorder()
				rec.onMade = func() { all <- made{r, rec.Transport}; rec.Write([]byte("x")) }
				return rec
			})
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(ports) != n || len(factories) != n || len(g.Reactors()) != n {
			t.Fatalf("%d ports, %d factories, %d loops", len(ports), len(factories), len(g.Reactors()))
		}
		for i, p := range ports {
			if p.Addr() != ports[0].Addr() || p.r != g.Reactors()[i] || factories[i] != p.r {
				t.Errorf("port %d: %v on another loop or address", i, p.Addr())
			}
		}
		if _, err := net.Listen("tcp", ports[0].Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("somebody else may listen there: %v", err)
		}
		go func() { done <- g.Run() }()
		loops := map[*Reactor]bool{}
		for range 200 {
			conn := dial(t, ports[0])
			readN(t, conn, 1)
			m := receive(t, all, "a connection")
			if m.t.Reactor() != m.r {
				t.Error("a factory serves another loop")
			}
			loops[m.r] = true
			conn.Close()
		}
		if len(loops) < 2 {
			t.Errorf("%d loops have accepted", len(loops))
		}
		if _, err := g.ListenTCP("127.0.0.1:0", nil, nil); err != ErrRunning {
			t.Errorf("ListenTCP while it runs: %v", err)
		}
		for _, err := range []error{g.Run(), g.Close()} {
			if !errors.Is(err, ErrRunning) {
				t.Errorf("while it runs: %v", err)
			}
		}
		g.Stop()
		if err := receive(t, done, "Run to return"); err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := g.Run(); err != ErrStopped {
			t.Errorf("Run again: %v", err)
		}
		if err := g.Close(); err != nil {
			t.Errorf("Close after the end: %v", err)
		}
		if _, err := g.ListenTCP("127.0.0.1:0", func(*Reactor) Factory { return nil }, nil); err != ErrStopped {
			t.Errorf("ListenTCP after the end: %v", err)
		}
		var ticks uint64
		for _, r := range g.Reactors() {
			ticks += r.Lag().Count()
		}
		if n := g.Lag().Count(); n != ticks || n == 0 {
			t.Errorf("lag of %d ticks, want %d", n, ticks)
		}
	})
}

// A socket that cannot be bound once for each loop is watched by all.
func TestGroupOnOneSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	for _, way := range []struct {
		name   string
		listen func(g *Group, f func(*Reactor) Factory) ([]*Port, error)
	}{
		{"ListenUnix", func(g *Group, f func(*Reactor) Factory) ([]*Port, error) { return g.ListenUnix(path, f, nil) }},
		{"ListenFD", func(g *Group, f func(*Reactor) Factory) ([]*Port, error) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				return nil, err
			}
			l.SetUnlinkOnClose(false)
			defer l.Close()
			file, err := l.File()
			if err != nil {
				return nil, err
			}
			defer file.Close()
			fd, err := syscall.Dup(int(file.Fd()))
			if err != nil {
				return nil, err
			}
			return g.ListenFD(fd, f, nil)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				g, done := group(t, 3, c)
				ports, err := way.listen(g, func(*Reactor) Factory {
					return FactoryFunc(func(netip.AddrPort) Protocol {
						rec := newRecorder()
						rec.onMade = func() { rec.Write([]byte("x")) }
						return rec
					})
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(ports) != 3 || ports[2].Path() != path {
					t.Errorf("%d ports, the last at %q", len(ports), ports[len(ports)-1].Path())
				}
				go func() { done <- g.Run() }()
				for range 20 {
					conn, err := net.Dial("unix", path)
					if err != nil {
						t.Fatal(err)
					}
					readN(t, conn, 1)
					conn.Close()
				}
				g.Stop()
				if err := receive(t, done, "Run to return"); err != nil {
					t.Error(err)
				}
				_ = os.Remove(path) // the file of a socket that was handed in is not ours
			})
		})
	}
}

// A loop that fails stops the others, and says which it was.
func TestGroupWithALoopThatFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func(r *Reactor)
		want error
	}{
		{"poller", func(r *Reactor) { r.poller = brokenPoller{r.poller} }, syscall.EBADF},
		{"goexit", func(r *Reactor) { r.CallWhenRunning(runtime.Goexit) }, errGoexit},
		{"stop", func(r *Reactor) { r.CallWhenRunning(r.Stop) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, done := group(t, 3, Config{})
			tc.fail(g.Reactors()[1])
			go func() { done <- g.Run() }()
			err := receive(t, done, "Run to return")
			if !errors.Is(err, tc.want) {
				t.Errorf("Run: %v", err)
			}
			if tc.want != nil && !strings.Contains(err.Error(), "loop 1 of 3") {
				t.Errorf("Run does not say which: %v", err)
			}
		})
	}
}

type brokenPoller struct{ Poller }

func (brokenPoller) Wait([]Event, time.Time) (int, error) { return 0, syscall.EBADF }

// A group that cannot listen with all its loops listens with none, and can be freed.
func TestGroupListenFails(t *testing.T) {
	s := &unsharedSystem{}
	g, _ := group(t, 2, Config{System: s})
	f := func(*Reactor) Factory { return FactoryFunc(newRecorder().factory) }
	if _, err := g.ListenTCP("127.0.0.1:0", f, nil); !errors.Is(err, syscall.EACCES) {
		t.Errorf("ListenTCP: %v", err)
	}
	for _, r := range g.Reactors() {
		if len(r.Readers()) != 0 {
			t.Error("a port is left")
		}
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

type unsharedSystem struct{ faultySystem }

func (*unsharedSystem) Share(int, Address, ListenOptions) (int, error) { return -1, syscall.EACCES }

// There is a loop for each core unless a number is named, and a Config that cannot be had leaves nothing.
func TestNewGroup(t *testing.T) {
	g, _ := group(t, 0, Config{})
	if n := len(g.Reactors()); n != runtime.GOMAXPROCS(0) {
		t.Errorf("%d loops", n)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if _, err := NewGroup(2, Config{Poller: "kqueue9"}); err == nil {
		t.Error("there is a poller named kqueue9")
	}
}

func TestGroupStopOnSignal(t *testing.T) {
	g, done := group(t, 2, Config{})
	g.StopOnSignal(syscall.SIGUSR2)
	g.Reactors()[1].CallWhenRunning(func() {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGUSR2); err != nil {
			t.Error(err)
		}
	})
	go func() { done <- g.Run() }()
	if err := receive(t, done, "Run to return"); err != nil {
		t.Error(err)
	}
}

// A descriptor that a group cannot listen on is closed, since it is the group's.
func TestGroupListenFDThatIsNoSocket(t *testing.T) {
	checkLeaks(t)
	g, err := NewGroup(2, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[1])
	if err := syscall.SetNonblock(fds[1], true); err != nil { // so that a read tells
		t.Fatal(err)
	}
	_, err = g.ListenFD(fds[0], func(*Reactor) Factory { return FactoryFunc(func(netip.AddrPort) Protocol { return nil }) }, nil)
	if !errors.Is(err, syscall.EINVAL) {
		t.Errorf("%v, want EINVAL: it does not listen", err)
	}
	if n, err := syscall.Read(fds[1], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("its other end reads %d, %v: it is still open", n, err)
	}
}
