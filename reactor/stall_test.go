package reactor

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watched is a loop whose stalls arrive on the channel, and a callback that holds it up until the test lets it go.
func watched(t *testing.T, c Config) (*loop, chan Stall, func()) {
	stalls := make(chan Stall, 16)
	c.StallLimit = 10 * time.Millisecond
	c.ReportStall = func(s Stall) { stalls <- s }
	l := prepare(t, c)
	l.watch.rate = &stallRate{} // other tests have had their second
	release := make(chan struct{})
	l.start()
	t.Cleanup(func() { close(release) }) // before the loop is stopped
	return l, stalls, func() { heldUp(release) }
}

// heldUp is the name to look for in the stack.
//
//go:noinline
func heldUp(release chan struct{}) { <-release }

// A callback of any kind that keeps the loop is reported while it does, with its stack and what it is for.
func TestStall(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		work := "GET /slow"
		for _, tc := range []struct {
			name string
			hold func(t *testing.T, l *loop, hold func())
			want string // in Serving
		}{
			{"posted call", func(t *testing.T, l *loop, hold func()) { l.CallFromThread(func() { l.Serving(work); hold() }) }, "a posted call: microhttp/reactor.TestStall"},
			{"timer", func(t *testing.T, l *loop, hold func()) {
				l.CallFromThread(func() { l.CallLater(0, func() { l.Serving(work); hold() }) })
			}, "a timer: microhttp/reactor.TestStall"},
			{"data", func(t *testing.T, l *loop, hold func()) {
				conn, _ := l.connect(nil, func(p *recorder) { p.onData = func([]byte) { l.Serving(work); hold() } })
				send(t, conn, "x")
			}, "the connection with 127.0.0.1:"},
			{"new connection", func(t *testing.T, l *loop, hold func()) {
				p := l.listen(func(netip.AddrPort) Protocol { l.Serving(work); hold(); return nil }, nil)
				dial(t, p)
			}, "the connection with 127.0.0.1:"},
			{"lost connection", func(t *testing.T, l *loop, hold func()) {
				conn, _ := l.connect(nil, func(p *recorder) { p.onLost = func(error) { l.Serving(work); hold() } })
				conn.Close()
			}, "the loss of the connection with 127.0.0.1:"},
			{"timeout", func(t *testing.T, l *loop, hold func()) {
				rec := newRecorder()
				p := l.listen(func(netip.AddrPort) Protocol {
					return &timeoutHandler{rec, func() { l.Serving(work); hold() }}
				}, nil)
				dial(t, p)
				receive(t, rec.made, "ConnectionMade")
				l.do(func() { rec.SetTimeout(1) })
			}, "the connection with 127.0.0.1:"},
			{"descriptor", func(t *testing.T, l *loop, hold func()) {
				r, w := newPipe(t)
				r.read = func() error { l.Serving(work); hold(); return errors.New("enough") }
				l.do(func() {
					if err := l.AddReader(r); err != nil {
						t.Error(err)
					}
				})
				if _, err := unix.Write(w.fd, []byte("x")); err != nil {
					t.Error(err)
				}
			}, "a *reactor.pipeEnd"},
			{"trigger", func(t *testing.T, l *loop, hold func()) {
				l.do(func() {
					l.AddSystemEventTrigger(During, Shutdown, func() { l.Serving(work); hold() })
					l.Stop()
				})
			}, "a system event: microhttp/reactor.TestStall"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				l, stalls, hold := watched(t, c)
				tc.hold(t, l, hold)
				s := receive(t, stalls, "the report")
				if !strings.Contains(s.Serving, tc.want) || s.Work != work {
					t.Errorf("serving %q, %q; want %q, %q", s.Serving, s.Work, tc.want, work)
				}
				if s.Lasted < l.watch.limit {
					t.Errorf("reported after %v already", s.Lasted)
				}
				if !bytes.HasPrefix(s.Stack, []byte("goroutine ")) || !bytes.Contains(s.Stack, []byte("reactor.heldUp")) ||
					bytes.Contains(s.Stack, []byte("\n\n")) {
					t.Errorf("the stack is\n%s", s.Stack)
				}
				if peer := strings.Contains(tc.want, "the connection with"); peer != s.Remote.IsValid() {
					t.Errorf("the peer is %v", s.Remote)
				}
			})
		}
	})
}

// A timeoutHandler is a recorder that handles its timeouts.
type timeoutHandler struct {
	*recorder
	onTimeout func()
}

func (p *timeoutHandler) TimeoutConnection() { p.onTimeout() }

// One stall is one report, the next is another, and a name is forgotten with its callback.
func TestStallIsToldOnce(t *testing.T) {
	stalls := make(chan Stall, 16)
	l := prepare(t, Config{StallLimit: 4 * time.Millisecond, ReportStall: func(s Stall) { stalls <- s }})
	l.watch.rate = &stallRate{}
	l.start()
	work := "work"
	for _, want := range []string{work, ""} {
		l.watch.mu.Lock()
		l.watch.rate.next = time.Time{}
		l.watch.mu.Unlock()
		release := make(chan struct{})
		l.CallFromThread(func() {
			if want != "" {
				l.Serving(want)
			}
			<-release
		})
		if s := receive(t, stalls, "the report"); s.Work != want {
			t.Errorf("work %q, want %q", s.Work, want)
		}
		stayed := func() time.Duration {
			l.watch.mu.Lock()
			defer l.watch.mu.Unlock()
			l.watch.rate.next = time.Time{}
			return l.watch.stayed
		}
		told := stayed()
		eventually(t, "more looks", func() bool { return stayed() > told+4*l.watch.limit })
		if len(stalls) > 0 {
			t.Error("reported twice")
		}
		close(release)
	}
}

// To name the same work again is to go on with it: what it lasts adds up. The name alone is news, whatever the bytes lie in.
func TestServingTheSameAgain(t *testing.T) {
	l := start(t, Config{})
	l.do(func() {
		w := &l.watch
		for _, tc := range []struct {
			work string
			news bool
		}{{"a", true}, {"a", false}, {strings.Clone("a"), false}, {"b", true}, {"", true}, {"", false}, {"a", true}} {
			before := w.count
			l.Serving(tc.work)
			if news := w.count != before; news != tc.news {
				t.Errorf("Serving(%q): a new beat: %v", tc.work, news)
			}
			s := w.place()
			work := ""
			if s.work != nil {
				work = s.work.name
			}
			if work != tc.work || s.kind != servingCall {
				t.Errorf("Serving(%q): the place has %q, kind %d", tc.work, work, s.kind)
			}
		}
	})
}

// Reports are bounded, over all loops.
func TestStallRate(t *testing.T) {
	var r stallRate
	now := time.Now()
	for i, want := range []bool{true, false, false} {
		if r.allow(now.Add(time.Duration(i)*stallInterval/3)) != want {
			t.Errorf("report %d: %v", i, !want)
		}
	}
	if !r.allow(now.Add(stallInterval)) {
		t.Error("silent for ever")
	}
}

// By default a stall is one error like others, on whatever goroutine.
func TestStallError(t *testing.T) {
	errs := make(chan error, 4)
	r, err := New(Config{StallLimit: time.Millisecond, ReportError: func(err error) { errs <- err }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.watch.rate = &stallRate{}
	work := "work"
	r.CallWhenRunning(func() {
		r.Serving(work)
		var s *StallError
		if err := receive(t, errs, "the report"); !errors.As(err, &s) || s.FD != -1 || !strings.Contains(err.Error(), "a system event: ") ||
			!strings.HasSuffix(err.Error(), ", work") {
			t.Errorf("reported %v", err)
		}
	})
	if err := r.Iterate(0); err != nil {
		t.Error(err)
	}
}

// The watch comes by while the loop is awake, and not while it is asleep.
func TestStallWatchSleeps(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		c.StallLimit = 2 * time.Millisecond
		l := start(t, c)
		asleep := func() bool {
			l.watch.mu.Lock()
			defer l.watch.mu.Unlock()
			return !l.watch.armed.Load()
		}
		for range 3 {
			l.do(func() {
				if asleep() {
					t.Error("the loop is awake and the watch is not")
				}
			})
			eventually(t, "the watch to fall asleep", asleep)
		}
		if l.watch.timer.Stop() {
			t.Error("the watch is armed at rest")
		}
	})
}

// No limit, no watch; and none in another System's time, unless it is asked for.
func TestStallWatchOff(t *testing.T) {
	for _, tc := range []struct {
		c    Config
		want time.Duration
	}{
		{Config{}, defaultStallLimit},
		{Config{StallLimit: time.Second}, time.Second},
		{Config{StallLimit: -1}, 0},
		{Config{System: &faultySystem{}}, 0},
		{Config{System: &faultySystem{}, StallLimit: time.Second}, time.Second},
	} {
		l := prepare(t, tc.c)
		if l.watch.limit != tc.want || (l.watch.timer != nil) != (tc.want > 0) {
			t.Errorf("limit %v, want %v", l.watch.limit, tc.want)
		}
		l.CallWhenRunning(func() { l.Serving(""); l.Stop() })
		if err := l.Run(); err != nil {
			t.Error(err)
		}
	}
}

// A loop that moves on while it is looked at harms nobody; this is for the race detector.
func TestStallWatchAgainstABusyLoop(t *testing.T) {
	var reports atomic.Int64
	l := prepare(t, Config{StallLimit: time.Microsecond, ReportStall: func(s Stall) {
		reports.Add(1)
		if s.Serving == "" {
			t.Error("a report that says nothing")
		}
	}})
	l.watch.rate = &stallRate{}
	l.start()
	names := [...]string{"a", "b", "c"}
	end := time.Now().Add(300 * time.Millisecond)
	var wg sync.WaitGroup
	for g := range 2 {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				l.watch.rate.mu.Lock()
				l.watch.rate.next = time.Time{}
				l.watch.rate.mu.Unlock()
				l.do(func() {
					l.Serving(names[i%len(names)])
					if g == 0 && i%3 == 0 {
						for until := time.Now().Add(20 * time.Microsecond); time.Now().Before(until); {
						}
					}
				})
			}
		})
	}
	wg.Wait()
}

// A reporter that panics ends nothing, and one that is at work when the reactor ends is waited for.
func TestStallReporter(t *testing.T) {
	reporting, release := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	l := prepare(t, Config{StallLimit: time.Millisecond, ReportStall: func(Stall) {
		close(reporting)
		<-release
		done.Store(true)
		panic("and panic")
	}})
	l.watch.rate = &stallRate{}
	l.start()
	l.CallFromThread(func() { <-reporting })
	receive(t, reporting, "the report")
	l.Stop()
	close(release)
	receive(t, l.done, "Run to return")
	if !done.Load() {
		t.Error("Run has returned before the report has")
	}
}

// The stack of one goroutine is found among many.
func TestStackOf(t *testing.T) {
	checkLeaks(t)
	var wg sync.WaitGroup
	release := make(chan struct{})
	ids := make(chan uint64)
	for range 300 {
		wg.Go(func() { ids <- goroutineID(); heldUp(release) })
	}
	for range 300 {
		id := <-ids
		if id == 0 || id == goroutineID() {
			t.Fatalf("goroutine %d", id)
		}
		if id%50 == 0 {
			eventually(t, "the stack", func() bool { return bytes.Contains(stackOf(id), []byte("heldUp")) })
		}
	}
	if s := stackOf(1 << 60); s != nil {
		t.Errorf("the stack of nobody is\n%s", s)
	}
	if s := stackOf(goroutineID()); !bytes.Contains(s, []byte("TestStackOf")) {
		t.Errorf("our own stack is\n%s", s)
	}
	close(release)
	wg.Wait()
}

// Lag counts each tick once, with how long it lasted, and is read while the loop runs.
func TestLag(t *testing.T) {
	clock := newFakeClock()
	l := start(t, Config{System: clock.system()})
	if h := (Histogram{}); h.Count() != 0 || h.Quantile(0.5) != 0 {
		t.Error("there is something in nothing")
	}
	l.do(func() {})
	l.do(func() {})
	eventually(t, "a tick to be counted", func() bool { return l.Lag().Count() > 0 })
	before := l.Lag()
	for range 9 {
		l.do(func() { clock.since.Add(int64(time.Millisecond)) })
	}
	l.do(func() { clock.since.Add(int64(time.Second)) })
	l.do(func() {})
	eventually(t, "the last tick to end", func() bool { return l.Lag().Minus(before).Count() >= 11 })
	h := l.Lag().Minus(before)
	if n := h.Count(); n < 11 || n > 12 { // one may have ended after we began to count
		t.Errorf("%d ticks", n)
	}
	for _, tc := range []struct{ q, least, most float64 }{
		{0, 0, 1e-9}, {0.5, 1e-3, 2e-3}, {0.85, 1e-3, 2e-3}, {1, 1, 2},
	} {
		if got := h.Quantile(tc.q).Seconds(); got < tc.least || got > tc.most {
			t.Errorf("quantile %v is %v", tc.q, got)
		}
	}
	if n := h.Plus(h).Count(); n != 2*h.Count() {
		t.Errorf("twice is %d", n)
	}
	var sum uint64
	var last time.Duration
	for bound, n := range h.Buckets() {
		if sum += n; bound <= last || sum < h.Count() && h.Quantile(float64(sum)/float64(h.Count())) > bound {
			t.Errorf("the bucket up to %v follows %v", bound, last)
		}
		last = bound
	}
	if sum != h.Count() || last != h.Quantile(1) {
		t.Errorf("%d in the buckets, the last up to %v", sum, last)
	}
	for ns, bucket := range map[int64]int{-1: 0, 0: 0, 1: 1, 1023: 10, 1024: 11, never: lagBuckets - 1} {
		var l lag
		l.record(ns)
		if l[bucket].Load() != 1 {
			t.Errorf("%d is not in bucket %d", ns, bucket)
		}
	}
}

// The peer of a Unix socket has no address to name.
func TestStallOfAUnixSocket(t *testing.T) {
	for kind, want := range map[servingKind]string{
		servingDescriptor: "descriptor 7, the connection with a Unix socket",
		servingLoss:       "the loss of the connection with a Unix socket",
	} {
		s := serving{kind: kind, who: &transport{}, fd: 7}
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
