package reactor

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A loop that was held up while more connections became ready than one wait reports: those whose bytes arrived in time
// are read before their timeouts are judged, those that have sent nothing are timed out, and so are those whose bytes
// gain no time.
func TestWhatArrivedInTimeIsNotTimedOut(t *testing.T) {
	const (
		prompt = iota // sends a byte, which buys an hour
		silent        // sends nothing
		drip          // sends a byte, which buys nothing
		deaf          // sends a byte, and reading is paused

		n = eventsPerWait + 150 // of which eight in ten are ready together; select takes no more than twice as many
	)
	kind := func(i int) int { return [10]int{7: silent, drip, deaf}[i%10] } // the others are prompt
	eachPoller(t, func(t *testing.T, c Config) {
		clock := newFakeClock()
		c.System = clock.system()
		l := start(t, c)
		var recs [n]*recorder
		var conns [n]*net.TCPConn
		var log [n]string // what each was told, in order; loop only
		at := 0
		p := l.listen(func(netip.AddrPort) Protocol {
			i, rec := at, recs[at]
			rec.onData = func([]byte) {
				if log[i] += "data "; kind(i) == prompt {
					rec.SetTimeout(time.Hour)
				}
			}
			return &patient{rec, func() { log[i] += "timeout " }}
		}, nil)
		for i := range conns {
			l.do(func() { at, recs[i] = i, newRecorder() })
			conns[i] = dial(t, p)
			receive(t, recs[i].made, "ConnectionMade")
			l.do(func() {
				recs[i].SetTimeout(time.Minute)
				if kind(i) == deaf {
					recs[i].PauseReading()
				}
			})
		}
		l.do(func() { // which is held up meanwhile
			for i, conn := range slices.Backward(conns[:]) { // the first to be judged are the last to be reported
				if kind(i) != silent {
					send(t, conn, "x")
				}
			}
			for i, rec := range recs {
				arrived := kind(i) == silent
				for end := time.Now().Add(patience); !arrived && time.Now().Before(end); {
					n, _, _ := unix.Recvfrom(rec.Transport.(*transport).FD(), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
					arrived = n > 0
				}
				if !arrived {
					t.Error("a byte did not arrive")
				}
			}
			clock.since.Add(int64(2 * time.Minute))
		})
		eventually(t, "all timeouts", func() (all bool) {
			l.do(func() {
				all = l.sweeps.next > l.clock()
				for i := range log {
					all = all && log[i] != ""
				}
			})
			return all
		})
		l.do(func() {
			for i, got := range log {
				if want := [...]string{"data ", "timeout ", "data timeout ", "timeout "}[kind(i)]; got != want {
					t.Errorf("connection %d was told %q, want %q", i, got, want)
				}
			}
		})
	})
}

// Peers that are busy do not keep the timeouts of others from firing, however many of them are ready in each tick.
func TestBusyPeersHoldUpNoTimeout(t *testing.T) {
	const busy, silent = 40, 20
	l := start(t, Config{})
	var rec *recorder
	p := l.listen(func(netip.AddrPort) Protocol {
		rec := rec
		rec.onData = func(b []byte) {
			rec.Write(b)
			rec.SetTimeout(20 * time.Millisecond) // and so it is due again and again
		}
		return rec
	}, nil)
	var lost []*recorder
	for i := range busy + silent {
		l.do(func() { rec = newRecorder() })
		conn := dial(t, p)
		receive(t, rec.made, "ConnectionMade")
		if i >= busy {
			l.do(func() { rec.SetTimeout(20 * time.Millisecond) })
			lost = append(lost, rec)
			continue
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b := []byte("x")
			for {
				if _, err := conn.Write(b); err != nil {
					return
				}
				if _, err := conn.Read(b); err != nil {
					return
				}
			}
		}()
		t.Cleanup(func() { conn.Close(); <-ended })
	}
	for _, rec := range lost {
		if err := rec.reason(l); err != ErrTimeout {
			t.Errorf("lost with %v", err)
		}
	}
}

// An attempt to connect that succeeded in time has succeeded, also when its timer is due before the loop gets to know.
func TestConnectedInTime(t *testing.T) {
	clock := newFakeClock()
	sys := clock.system()
	var connecting int32 // whose events are not reported; 0 is nobody's
	withhold := func(events []Event, n int, err error) (int, error) {
		rest := slices.DeleteFunc(events[:n], func(ev Event) bool { return ev.FD == connecting })
		return len(rest), err
	}
	sys.poll = func(p Poller, events []Event) (int, error) {
		n, err := p.Poll(events)
		return withhold(events, n, err)
	}
	sys.wait = func(p Poller, events []Event, _ time.Time) (int, error) {
		n, err := p.Wait(events, time.Time{})
		return withhold(events, n, err)
	}
	l := start(t, Config{System: sys})
	there, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	f := newClientFactory()
	l.do(func() {
		c, err := l.ConnectTCP(there.Addr().String(), f, &ConnectOptions{Timeout: time.Minute})
		if err != nil {
			t.Error(err)
			return
		}
		connecting = int32(c.attempt.fd)
	})
	conn, err := there.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	clock.advance(l, 2*time.Minute)
	rec := f.connection(t, 0)
	if len(f.failed) > 0 {
		t.Errorf("failed with %v", <-f.failed)
	}
	l.do(func() { connecting = 0; rec.AbortConnection() })
	rec.reason(l)
}
