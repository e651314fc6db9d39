package reactor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A reconnection is a client that is to stay connected, with a clock of the test's, to a peer that is there or not.
type reconnection struct {
	*loop
	t     *testing.T
	f     *ReconnectingClientFactory
	clock *fakeClock
	c     *Connector
	there bool // the peer
	told  []string
	rec   *recorder // of the connection that is
}

// newReconnection makes one whose first attempt is under way. set may change the factory.
func newReconnection(t *testing.T, set func(f *ReconnectingClientFactory)) *reconnection {
	n := &reconnection{t: t, clock: newFakeClock()}
	s := n.clock.system()
	n.loop = start(t, Config{System: s})
	p := n.listen(func(netip.AddrPort) Protocol { return newRecorder() }, nil)
	s.connect = func(to Address, from netip.AddrPort) (int, syscall.Errno) {
		if !n.there {
			return -1, syscall.EHOSTUNREACH
		}
		return s.kernel.Connect(to, from)
	}
	n.f = &ReconnectingClientFactory{
		Factory: FactoryFunc(func(netip.AddrPort) Protocol { n.rec = newRecorder(); return n.rec }),
		Jitter:  -1, Factor: 3,
		Retrying: func(c *Connector, reason error, delay time.Duration) {
			n.told = append(n.told, fmt.Sprintf("%s %v", ReasonName(reason), delay))
		},
		GaveUp: func(c *Connector, reason error) { n.told = append(n.told, ReasonName(reason)+" gave up") },
	}
	if set != nil {
		set(n.f)
	}
	n.loop.do(func() {
		var err error
		if n.c, err = n.ConnectTCP(p.Addr().String(), n.f, nil); err != nil {
			t.Error(err)
		}
	})
	return n
}

// was waits until there is nothing left to do but to wait, and checks what Retrying and GaveUp were told since the last time.
func (n *reconnection) was(told string) {
	n.t.Helper()
	n.clock.advance(n.loop, 0)
	n.loop.do(func() {
		if got := strings.Join(n.told, ", "); got != told {
			n.t.Errorf("told %q, want %q", got, told)
		}
		n.told = nil
	})
}

// connects moves the time on and waits for the connection.
func (n *reconnection) connects(d time.Duration) {
	n.t.Helper()
	n.loop.do(func() { n.there, n.rec = true, nil })
	n.clock.advance(n.loop, d)
	n.made()
}

func (n *reconnection) made() {
	n.t.Helper()
	eventually(n.t, "the connection", func() (made bool) {
		n.loop.do(func() { made = n.rec != nil && len(n.rec.made) > 0 })
		return made
	})
}

// loses moves the time on and ends the connection, and the peer with it.
func (n *reconnection) loses(after time.Duration) {
	n.t.Helper()
	n.clock.advance(n.loop, after)
	n.loop.do(func() { n.there = false; n.rec.AbortConnection() })
}

// The delays grow, up to a bound; each is waited for, and no longer.
func TestReconnectBacksOff(t *testing.T) {
	n := newReconnection(t, func(f *ReconnectingClientFactory) { f.MaxDelay = 20 * time.Second })
	n.was("connect-failed 1s")
	for _, step := range []struct {
		after time.Duration
		told  string
	}{
		{time.Second - 1, ""},
		{1, "connect-failed 3s"},
		{3*time.Second - 1, ""},
		{1, "connect-failed 9s"},
		{9 * time.Second, "connect-failed 20s"},
		{20 * time.Second, "connect-failed 20s"},
	} {
		n.clock.advance(n.loop, step.after)
		n.was(step.told)
	}
	n.loop.do(func() {
		if n.f.Retries() != 5 {
			t.Errorf("%d retries", n.f.Retries())
		}
	})
}

// A connection that has lasted, and not one that was made only, has the delays begin anew.
func TestReconnectBeginsAnew(t *testing.T) {
	n := newReconnection(t, nil)
	n.was("connect-failed 1s")
	n.connects(time.Second)
	n.loses(10*time.Second - 1)
	n.was("aborted 3s")
	n.connects(3 * time.Second)
	n.loses(10 * time.Second)
	n.was("aborted 1s")
	n.connects(time.Second)
	n.loop.do(func() { n.f.ResetDelay() })
	n.loses(0)
	n.was("aborted 1s")
	n.clock.advance(n.loop, time.Second)
	n.was("connect-failed 3s")
}

// It gives up after so many delays in a row.
func TestReconnectGivesUp(t *testing.T) {
	n := newReconnection(t, func(f *ReconnectingClientFactory) { f.MaxRetries = 2 })
	n.was("connect-failed 1s")
	n.clock.advance(n.loop, time.Second)
	n.was("connect-failed 3s")
	n.clock.advance(n.loop, 3*time.Second)
	n.was("connect-failed gave up")
	n.clock.advance(n.loop, time.Hour)
	n.was("")
	n.loop.do(func() { // it may be begun again, and has no delays left
		n.there, n.rec = true, nil
		if err := n.c.Connect(); err != nil {
			t.Error(err)
		}
	})
	n.made()
	n.loses(10 * time.Second)
	n.was("aborted 1s")
}

// What the program ends stays ended.
func TestReconnectStops(t *testing.T) {
	for name, tc := range map[string]struct {
		connected bool
		stop      func(n *reconnection)
		told      string
	}{
		"StopTrying in a delay": {false, func(n *reconnection) { n.f.StopTrying() }, ""},
		"StopTrying when connected": {true, func(n *reconnection) {
			n.f.StopTrying()
			if n.c.State() != Connected {
				n.t.Error("the connection is lost")
			}
			n.rec.LoseConnection()
		}, ""},
		"StopTrying in Retrying": {true, func(n *reconnection) {
			told := n.f.Retrying
			n.f.Retrying = func(c *Connector, reason error, d time.Duration) { told(c, reason, d); n.f.StopTrying() }
			n.rec.LoseConnection()
		}, "done 1s"},
		"Detach": {true, func(n *reconnection) {
			d, err := n.rec.Detach()
			if err != nil {
				n.t.Error(err)
			}
			syscall.Close(d.FD)
		}, ""},
		"the protocol connects by itself": {true, func(n *reconnection) {
			n.rec.onLost = func(error) { n.there = false; n.c.Connect(); n.f.StopTrying() }
			n.rec.LoseConnection()
		}, ""},
		"LoseConnection is no end": {true, func(n *reconnection) { n.there = false; n.rec.LoseConnection() }, "done 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newReconnection(t, nil)
			n.was("connect-failed 1s")
			if tc.connected {
				n.connects(time.Second)
				n.loop.do(func() { n.f.ResetDelay() })
			}
			n.loop.do(func() { tc.stop(n) })
			n.was(tc.told)
			if tc.told == "done 1s" && name == "LoseConnection is no end" {
				return
			}
			n.clock.advance(n.loop, time.Hour)
			n.was("")
			n.loop.do(func() {
				if n.c.State() != Disconnected || len(n.DelayedCalls()) > 0 {
					t.Errorf("%v, %d calls are to come", n.c.State(), len(n.DelayedCalls()))
				}
			})
		})
	}
	// An attempt that is under way, and the end of the reactor.
	l := start(t, Config{})
	f := &ReconnectingClientFactory{
		Factory:  FactoryFunc(func(netip.AddrPort) Protocol { t.Error("connected"); return nil }),
		Retrying: func(_ *Connector, reason error, _ time.Duration) { t.Errorf("tries again after %v", reason) },
	}
	l.do(func() {
		f.StopTrying() // too early to mean anything
		p, err := l.ListenTCP("127.0.0.1:0", FactoryFunc(func(netip.AddrPort) Protocol { return nil }), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.ConnectTCP(p.Addr().String(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.StopTrying()
		l.CallLater(0, func() {
			if c.State() != Disconnected {
				t.Errorf("%v when it was stopped", c.State())
			}
			c.Connect()
			l.Stop()
		})
	})
	receive(t, l.done, "the reactor to end")
}

// The jitter stays within its part, and is spread over it.
func TestReconnectJitter(t *testing.T) {
	for _, tc := range []struct {
		jitter, draw float64
		want         time.Duration
	}{
		{0.5, 0, 500 * time.Millisecond},
		{0.5, 0.5, time.Second},
		{0.5, 1, 1500 * time.Millisecond},
		{0, 0, 800 * time.Millisecond},
		{-1, 0, time.Second},
		{9, 0, 0},
		{9, 1, 2 * time.Second},
	} {
		f := &ReconnectingClientFactory{Jitter: tc.jitter, draw: func() float64 { return tc.draw }}
		if got := f.nextDelay(); got != tc.want {
			t.Errorf("%v of %v: %v, want %v", tc.draw, tc.jitter, got, tc.want)
		}
	}
	f := &ReconnectingClientFactory{}
	var all []time.Duration
	for range 100 {
		f.ResetDelay()
		all = append(all, f.nextDelay())
	}
	if least, most := slices.Min(all), slices.Max(all); least < 800*time.Millisecond || most > 1200*time.Millisecond || most-least < 100*time.Millisecond {
		t.Errorf("from %v to %v", least, most)
	}
	for range 1000 {
		if d := f.nextDelay(); d > defaultMaxDelay*6/5 {
			t.Fatalf("a delay of %v", d)
		}
	}
}

// It is for one connector; and what it is told it passes on.
func TestReconnectFactory(t *testing.T) {
	l := prepare(t, Config{})
	inner := &countedReconnects{}
	f := &ReconnectingClientFactory{Factory: inner}
	if _, err := l.ConnectTCP("127.0.0.1:1", f, nil); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if v := recover(); v == nil {
				t.Error("it serves two connectors")
			}
		}()
		l.ConnectTCP("127.0.0.1:2", f, nil)
	}()
	if inner.starts != 1 || inner.stops != 0 || len(l.attempts) != 1 {
		t.Errorf("started %d times, stopped %d times, %d attempts", inner.starts, inner.stops, len(l.attempts))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if inner.starts != 1 || inner.stops != 1 {
		t.Errorf("started %d times, stopped %d times in the end", inner.starts, inner.stops)
	}
}

type countedReconnects struct{ starts, stops int }

func (f *countedReconnects) BuildProtocol(netip.AddrPort) Protocol { return nil }
func (f *countedReconnects) StartFactory()                         { f.starts++ }
func (f *countedReconnects) StopFactory()                          { f.stops++ }

// A protocol that panics when it is lost keeps nobody from connecting again.
func TestReconnectAfterAPanic(t *testing.T) {
	n := newReconnection(t, nil)
	n.was("connect-failed 1s")
	n.connects(time.Second)
	n.loop.do(func() { n.rec.onLost = func(error) { panic(errors.New("in ConnectionLost")) } })
	n.loses(0)
	n.was("aborted 3s")
	n.loop.do(func() {
		n.f.Factory = FactoryFunc(func(netip.AddrPort) Protocol { panic(errors.New("in BuildProtocol")) })
		n.there = true
	})
	n.clock.advance(n.loop, 3*time.Second)
	eventually(t, "the failure", func() (told bool) { n.loop.do(func() { told = len(n.told) > 0 }); return told })
	n.was("panic 9s")
}
