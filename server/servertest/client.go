package servertest

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"microhttp/reactor/sim"
	"microhttp/server"
	"microhttp/server/internal/driven"

	"github.com/rs/zerolog"
)

// patience is the virtual time that a call waits for the server before it fails the test. It is longer than every time-out
// of a server with the default bounds.
const patience = time.Hour

// A Client talks to one server in memory, whose loops run while a call of the Client waits. It is for the goroutine of the
// test: one call at a time. The server ends with the test.
type Client struct {
	*state
	t testing.TB
}

// state is what the views of a Client share; see In.
type state struct {
	world    *sim.World
	srv      *server.Server
	driven   *driven.Server
	addr     netip.AddrPort
	seed     uint64 // 0 if none was given
	mayPanic bool
	log      *logged
	conns    []*Conn // in the order in which they were made
	idle     []*Conn // that can take another request
	jar      map[string]string
	ended    bool
}

// An Option changes how New, Serve or Seeds makes a Client.
type Option func(*config)

type config struct {
	seed     uint64
	network  sim.Config
	mayPanic bool
	cookies  bool
}

// Network has the bytes travel through a network of package reactor/sim that goes wrong, by the dice of a seed. Without it
// they arrive whole and at once. The zero Config is a bad day: with it connections are refused and reset.
func Network(seed uint64, c sim.Config) Option {
	return func(o *config) { o.seed, o.network = seed, c }
}

// MayPanic allows panics of handlers, and all else that the server logs as an error. Without it such a line fails the test.
// (A panic ends the connection, and the server goes on.)
func MayPanic() Option { return func(o *config) { o.mayPanic = true } }

// Cookies has the Client keep the cookies that it is given, by name, and send them with each later request, as a browser
// does. One that expires at once is forgotten. Path, Domain and Secure are not looked at.
func Cookies() Option { return func(o *config) { o.cookies = true } }

// New returns a Client of a server that serves h on one loop, with the default bounds.
func New(t testing.TB, h server.Handler, options ...Option) *Client {
	t.Helper()
	return Serve(t, &server.Server{Handler: h}, options...)
}

// Serve returns a Client of a whole server, with the bounds, hooks and middleware of the program. The server must not listen
// yet. Serve sets:
//
//   - DetectLateUse, always.
//   - Addr and Loops, if they are zero: one loop on 127.0.0.1:80, in memory. "unix:" and a path are in memory, too.
//   - Log, if it is nil: its lines are shown when the test fails; see [Client.Log].
func Serve(t testing.TB, s *server.Server, options ...Option) *Client {
	t.Helper()
	c := start(t, s, options)
	t.Cleanup(c.end)
	return c
}

// start makes a Client that its caller ends.
func start(t testing.TB, s *server.Server, options []Option) *Client {
	t.Helper()
	o := config{network: quiet()}
	for _, option := range options {
		option(&o)
	}
	if inBubble() {
		o.network.Bubble = synctest.Wait
	}
	st := &state{world: sim.New(o.seed, o.network), srv: s, seed: o.seed, mayPanic: o.mayPanic, log: &logged{}}
	if o.cookies {
		st.jar = map[string]string{}
	}
	s.DetectLateUse = true
	if s.Addr == "" {
		s.Addr = "127.0.0.1:80"
	}
	if s.Loops == 0 {
		s.Loops = 1
	}
	onError := st.log.add
	if s.Log == nil {
		onError = func(string) {} // the line is kept whole
		s.Log = server.Zerolog(zerolog.New(st.log).Level(zerolog.InfoLevel))
	}
	c := &Client{st, t}
	var err error
	if st.driven, err = driven.Listen(s, driven.World{System: st.world.System(), Clock: st.world.Clock, OnError: onError}); err != nil {
		t.Fatalf("servertest: the server does not listen: %v", err)
	}
	st.world.Waiting(st.driven.Waiting)
	for i, loop := range st.driven.Loops {
		st.world.Add(fmt.Sprint("loop ", i), loop)
	}
	if path, isUnix := strings.CutPrefix(s.Addr, "unix:"); !isUnix {
		st.addr = netip.MustParseAddrPort(s.Addrs()[0].String())
	} else if path == "" {
		t.Fatalf("servertest: Addr %q has no path", s.Addr)
	}
	return c
}

// quiet is a network on which nothing goes wrong and nothing takes time.
func quiet() sim.Config {
	c := sim.Calm()
	c.CallTime = -1
	return c
}

// bubbleEnd is later than the clock of a bubble of testing/synctest, which begins in the year 2000, and earlier than
// the clock of a machine that runs a Go of today.
var bubbleEnd = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// inBubble reports whether the goroutine is in a bubble of testing/synctest.
func inBubble() bool { return time.Now().Before(bubbleEnd) }

// In returns the same Client for a subtest: what fails is reported to t.
func (c *Client) In(t testing.TB) *Client { return &Client{c.state, t} }

// Server returns the server that the Client talks to.
func (c *Client) Server() *server.Server { return c.srv }

// Now returns the virtual time, which the Date of an answer shows. It begins at 2026-01-01 00:00:00 UTC; in a bubble of
// testing/synctest it is time.Now.
func (c *Client) Now() time.Time { return c.world.Now() }

// Advance lets d of virtual time pass. All that is due in it happens in its order: timers of the loop, time-outs, what the
// network delays. It does not wait for Blocking handlers that wait for something else; see the package's comment on time.
func (c *Client) Advance(d time.Duration) {
	for _, conn := range c.conns {
		if !conn.closed {
			conn.tape.passed(d)
		}
	}
	c.world.Sleep(d)
}

// settle runs the server until it has nothing to do now.
func (c *Client) settle() { c.world.Sleep(0) }

// Shutdown ends the server as [server.Server.Shutdown] does: after ShutdownDelay, and with grace for the answers under way, both
// in virtual time. It returns context.DeadlineExceeded if connections were cut off. What the server has sent by then can
// still be read.
func (c *Client) Shutdown(grace time.Duration) error {
	c.t.Helper()
	c.driven.Announce()
	c.Advance(max(c.srv.ShutdownDelay, 0))
	if !c.driven.Drain() {
		return nil
	}
	var err error
	if c.world.WaitFor("the connections to end", grace, c.driven.Drained) {
		c.driven.Stop()
	} else {
		c.driven.Abort()
		err = context.DeadlineExceeded
	}
	if c.world.WaitFor("the loops to end", patience, func() bool { return c.world.Reactors() == 0 }) {
		c.finish()
	} else {
		c.t.Errorf("servertest: the loops do not end%s", c.atWork())
	}
	return err
}

// finish is the end of the server's loops.
func (c *Client) finish() {
	if !c.ended {
		c.ended = true
		c.driven.Ended()
	}
}

// end ends the server, and reports what went wrong in it.
func (c *Client) end() {
	c.t.Helper()
	err := c.world.End()
	c.finish()
	if err != nil {
		c.t.Errorf("servertest: the server does not end in order: %v", err)
	}
	if bad := c.log.errors(); bad != "" && !c.mayPanic {
		c.t.Errorf("servertest: the server has logged an error (the option MayPanic allows that):\n%s", bad)
	} else if lines := c.log.text(); lines != "" && c.t.Failed() {
		c.t.Logf("servertest: the server's log:\n%s", lines)
	}
	if c.seed != 0 && c.t.Failed() {
		c.t.Logf("servertest: the network's seed was %d", c.seed)
	}
}

// Log returns the lines that the server has logged so far, as people read them; only messages of errors if the server
// has a Log of its own.
func (c *Client) Log() string { return c.log.text() }
