package reactor

import (
	"net/netip"
	"slices"
	"testing"
)

// A watchful factory keeps account of when it is in use. All on the loop.
type watchful struct {
	clientFactory
	told []string
}

func newWatchful() *watchful { return &watchful{clientFactory: *newClientFactory()} }

func (f *watchful) StartFactory() { f.told = append(f.told, "start") }
func (f *watchful) StopFactory()  { f.told = append(f.told, "stop") }

// check compares what the factory was told since the last time.
func (f *watchful) check(t *testing.T, when string, want ...string) {
	t.Helper()
	if !slices.Equal(f.told, want) {
		t.Errorf("%s: told %v, want %v", when, f.told, want)
	}
	f.told = nil
}

// A factory is told of the first of its ports and connectors, and of the last.
func TestStartAndStopFactory(t *testing.T) {
	l := start(t, Config{})
	f := newWatchful()
	listen := func() *Port {
		p, err := l.ListenTCP("127.0.0.1:0", f, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var port *Port
	l.do(func() {
		if _, err := l.ListenTCP("192.0.2.1:0", f, nil); err == nil {
			t.Error("listens at somebody else's address")
		}
		f.check(t, "after a port that failed")
		a, b := listen(), listen()
		f.check(t, "two ports", "start")
		a.StopListening()
		a.StopListening()
		f.check(t, "one of them closed")
		b.StopListening()
		f.check(t, "both closed", "stop")
		port = listen()
		f.check(t, "a port again", "start")
	})

	// A connector counts while it is connecting or connected.
	g := newWatchful()
	conn := l.connectTCP(port.Addr().String(), g, nil)
	p := g.connection(t, 0)
	l.do(func() {
		g.check(t, "connected", "start")
		p.LoseConnection()
	})
	p.reason(l)
	l.do(func() {
		g.check(t, "lost", "stop")
		if err := conn.Connect(); err != nil {
			t.Error(err)
		}
		g.check(t, "connecting again", "start")
		conn.Cancel()
	})
	g.failure(l)
	l.do(func() { g.check(t, "cancelled", "stop") })

	// One that connects again at once has not stopped.
	h := newWatchful()
	rounds := 0
	h.again = func(c *Connector, _ error) {
		if rounds++; rounds < 3 {
			if err := c.Connect(); err != nil {
				t.Error(err)
			}
		}
	}
	l.connectTCP(nobody(t).String(), h, nil)
	for range 3 {
		receive(t, h.failed, "ConnectionFailed")
	}
	l.do(func() {})
	l.do(func() { h.check(t, "after three attempts", "start", "stop") })

	l.stop()
	f.check(t, "at the end", "stop")
}

// A panic in StopFactory keeps nobody's end from being told.
type grumpy struct{ *watchful }

func (grumpy) StopFactory() { panic("stop") }

func TestStopFactoryPanics(t *testing.T) {
	l := start(t, Config{})
	f := grumpy{newWatchful()}
	if _, ok := any(f).(FactoryStarter); !ok {
		t.Fatal("not a FactoryStarter")
	}
	rec := newRecorder()
	port := l.listen(rec.factory, nil)
	l.do(func() {
		if _, err := l.ListenTCP("127.0.0.1:0", f, nil); err != nil {
			t.Error(err)
		}
	})
	dial(t, port)
	receive(t, rec.made, "ConnectionMade")
	l.stop()
	if err := receive(t, rec.lost, "ConnectionLost"); err != ErrShutdown {
		t.Errorf("lost with %v", err)
	}
	if got := l.reported(); len(got) != 1 || ReasonName(got[0]) != "panic" {
		t.Errorf("reported %v", got)
	}
}

// A factory that cannot be compared, and does not want to know, is a factory like any other.
func TestFactoryFuncIsNotCounted(t *testing.T) {
	l := start(t, Config{})
	p := l.listen(func(netip.AddrPort) Protocol { return nil }, nil)
	l.do(p.StopListening)
}
