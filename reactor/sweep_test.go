package reactor

import (
	"net/netip"
	"testing"
	"time"
)

// A patient protocol decides for itself what a timeout means.
type patient struct {
	*recorder
	onTimeout func()
}

func (p *patient) TimeoutConnection() { p.onTimeout() }

func TestSetTimeout(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		clock := newFakeClock()
		c.System = clock.system()
		l := start(t, c)
		rec := newRecorder()
		expired := 0
		p := l.listen(func(netip.AddrPort) Protocol { return &patient{rec, func() { expired++ }} }, nil)
		dial(t, p)
		receive(t, rec.made, "ConnectionMade")
		expect := func(want int, after time.Duration) {
			t.Helper()
			clock.advance(l, after)
			l.do(func() {
				if expired != want {
					t.Errorf("expired %d times, want %d", expired, want)
				}
			})
		}
		l.do(func() { rec.SetTimeout(time.Minute) })
		expect(0, 59*time.Second)
		expect(1, time.Second+time.Duration(sweepInterval))
		_, other := l.connect(nil, nil)
		l.do(func() { other.SetTimeout(30 * time.Minute) })
		expect(1, time.Hour) // once, although others make the loop look

		l.do(func() { rec.SetTimeout(time.Minute); rec.SetTimeout(0) })
		expect(1, time.Hour)

		l.do(func() { rec.SetTimeout(time.Minute); rec.SetTimeout(time.Hour) }) // later replaces earlier
		expect(1, 2*time.Minute)
		l.do(func() { rec.SetTimeout(time.Second) }) // earlier replaces later
		expect(2, 2*time.Second)
		l.do(func() { rec.LoseConnection() })
		rec.reason(l)
	})
}

// A timeout that is set from the timeout's own callback is heeded by the pass that is under way.
func TestSetTimeoutAgain(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	rec := newRecorder()
	expired := 0
	p := l.listen(func(netip.AddrPort) Protocol {
		return &patient{rec, func() { expired++; rec.SetTimeout(time.Second) }}
	}, nil)
	dial(t, p)
	receive(t, rec.made, "ConnectionMade")
	l.do(func() { rec.SetTimeout(time.Second) })
	for range 10 {
		clock.advance(l, 2*time.Second)
	}
	l.do(func() {
		if expired != 10 {
			t.Errorf("expired %d times, want 10", expired)
		}
	})
}

// A timeout by the real clock wakes a loop at rest; then it rests again.
func TestTimeoutWakesTheLoop(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		l := start(t, c)
		_, rec := l.connect(nil, nil)
		l.do(func() { rec.SetTimeout(20 * time.Millisecond) })
		if err := rec.reason(l); err != ErrTimeout {
			t.Errorf("lost with %v", err)
		}
		l.do(func() {
			if l.deadline() != never {
				t.Error("the loop waits for something although no deadline is set")
			}
		})
	})
}

// A panic in TimeoutConnection costs its connection, and those behind it are looked at all the same.
func TestPanicInSweep(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	const n = 5
	var recs [n]*recorder
	for i := range recs {
		recs[i] = newRecorder()
		p := l.listen(func(netip.AddrPort) Protocol { return &patient{recs[i], func() { panic(i) }} }, nil)
		dial(t, p)
		receive(t, recs[i].made, "ConnectionMade")
		l.do(func() { recs[i].SetTimeout(time.Second) })
	}
	clock.advance(l, time.Minute)
	for i, rec := range recs {
		err := rec.reason(l)
		if p, ok := err.(*PanicError); !ok || p.Value != i {
			t.Errorf("%d lost with %v", i, err)
		}
	}
	if len(l.reported()) != n {
		t.Errorf("%d panics reported", len(l.reported()))
	}
}

// Many timeouts that come at once are spread over ticks: what is posted in the middle of them is done in the middle.
func TestSweepIsSpread(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	const n = 10 * timeoutsPerTick
	var ticks []int // how many had expired in each tick that followed the first timeout
	expired := 0
	var count func()
	count = func() {
		if ticks = append(ticks, expired); expired < n {
			l.CallFromThread(count)
		}
	}
	rec := newRecorder()
	p := l.listen(func(netip.AddrPort) Protocol {
		rec := rec // each its own, below
		return &patient{rec, func() {
			if expired++; expired == 1 {
				l.CallFromThread(count)
			}
			if expired == n { // while the pass is under way
				rec.SetTimeout(time.Hour)
			}
		}}
	}, nil)
	for range n {
		l.do(func() { rec = newRecorder() })
		dial(t, p)
		receive(t, rec.made, "ConnectionMade")
		l.do(func() { rec.SetTimeout(time.Second) })
	}
	clock.advance(l, time.Minute)
	eventually(t, "all timeouts", func() (all bool) {
		l.do(func() { all = len(ticks) > 0 && ticks[len(ticks)-1] == n })
		return all
	})
	l.do(func() {
		before := 0
		for _, now := range ticks {
			if now-before > timeoutsPerTick {
				t.Errorf("%d timeouts in one tick: %v", now-before, ticks)
			}
			before = now
		}
		if l.sweeps.next == never {
			t.Error("the timeout that was set meanwhile is forgotten")
		}
	})
}
