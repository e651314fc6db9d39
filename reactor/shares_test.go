package reactor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A span is a piece of a loop's time: asleep, in a call of a work, or in something without a name.
type span struct {
	work   string
	lasts  time.Duration
	asleep bool
}

// watchFor has shares look at a loop that spends its time so, and returns what was warned of, and the true totals. The time
// is not real.
func watchFor(rnd *rand.Rand, lasts time.Duration, next func() span) (s *shares, warned map[string][]*ShareError, truth map[string]time.Duration) {
	warned, truth = map[string][]*ShareError{}, map[string]time.Duration{}
	s = &shares{}
	s.init(func(e *ShareError) { warned[e.Work] = append(warned[e.Work], e) })
	s.draw = rnd.ExpFloat64
	const longest = defaultStallLimit / 2
	var (
		names works
		start = time.Unix(1e9, 0)
		now   = start
		armed bool
		plan  plan
		look  time.Time
	)
	arm := func(at time.Time) {
		plan = s.plan(at, longest)
		look = at.Add(plan.after)
	}
	for now.Sub(start) < lasts {
		span := next()
		work := names.find(span.work)
		if work != nil {
			work.calls++
			truth[span.work] += span.lasts
		}
		if !span.asleep && !armed {
			armed = true
			arm(now)
		}
		end := now.Add(span.lasts)
		for armed && look.Before(end) {
			waited := look.Sub(plan.made)
			switch {
			case span.asleep:
				s.asleep(plan, waited)
				armed = false
			case !plan.counted:
				s.note(waited, 0)
			default:
				s.note(waited, 1)
				if work != nil {
					s.count(work.tally, work.calls)
				}
			}
			s.judge(look)
			if armed {
				arm(look)
			}
		}
		now = end
	}
	return s, warned, truth
}

// The law of shares: whatever a loop does, and whenever it wakes up for it, Total comes near the truth, and warned of are
// those works that take a tenth of the time or more in calls of 2 ms or more, and no others.
func TestShares(t *testing.T) {
	always := func(spans ...span) func(*rand.Rand) func() span {
		return func(*rand.Rand) func() span {
			i := -1
			return func() span { i++; return spans[i%len(spans)] }
		}
	}
	sleep := func(d time.Duration) span { return span{asleep: true, lasts: d} }
	for _, tc := range []struct {
		name   string
		load   func(*rand.Rand) func() span
		lasts  time.Duration
		warned string // of which work; "" is none
		call   time.Duration
	}{
		{"saturated by 20 ms", always(span{"a", 20 * time.Millisecond, false}), time.Minute, "a", 20 * time.Millisecond},
		{"saturated by 3 ms", always(span{"a", 3 * time.Millisecond, false}), time.Minute, "a", 3 * time.Millisecond},
		{"saturated by 1.5 ms", always(span{"a", 1500 * time.Microsecond, false}), 10 * time.Minute, "", 0},
		{"saturated by 10 µs", always(span{"a", 10 * time.Microsecond, false}), time.Minute, "", 0},
		{"a fifth, at each waking", always(span{"a", 20 * time.Millisecond, false}, sleep(80*time.Millisecond)), 5 * time.Minute, "a", 20 * time.Millisecond},
		{"a twentieth, at each waking", always(span{"a", 5 * time.Millisecond, false}, sleep(95*time.Millisecond)), 10 * time.Minute, "", 0},
		{"at each waking, behind the poller", always(span{"", time.Millisecond, false}, span{"a", 4 * time.Millisecond, false}, sleep(15*time.Millisecond)), 2 * time.Minute, "a", 4 * time.Millisecond},
		{"in step with the looks", always(span{"a", time.Millisecond, false}, sleep(lookEvery-time.Millisecond)), 5 * time.Minute, "", 0},
		{"asleep for seconds", always(span{"a", 50 * time.Millisecond, false}, sleep(3*time.Second)), 30 * time.Minute, "", 0},
		{"a long one among many short ones", func(rnd *rand.Rand) func() span {
			return func() span {
				if rnd.IntN(2000) == 0 { // 20 ms against 20 ms of the others
					return span{"a", 20 * time.Millisecond, false}
				}
				return span{"b", 10 * time.Microsecond, false}
			}
		}, time.Minute, "a", 20 * time.Millisecond},
		{"short ones, one in a thousand of which is long", func(rnd *rand.Rand) func() span {
			return func() span {
				if rnd.IntN(1000) == 0 {
					return span{"a", 50 * time.Millisecond, false}
				}
				return span{"a", 10 * time.Microsecond, false}
			}
		}, time.Minute, "", 0},
		{"of all lengths", func(rnd *rand.Rand) func() span {
			return func() span {
				if rnd.IntN(2) == 0 {
					return sleep(time.Duration(rnd.ExpFloat64() * float64(10*time.Millisecond)))
				}
				return span{"a", time.Duration(rnd.ExpFloat64() * float64(8*time.Millisecond)), false}
			}
		}, 5 * time.Minute, "a", 8 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seed := rand.Uint64()
			rnd := rand.New(rand.NewPCG(seed, 0))
			s, warned, truth := watchFor(rnd, tc.lasts, tc.load(rnd))
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			for _, share := range s.read(time.Now()) {
				// Of n looks, the square root of n is the spread that chance gives; six of it are never seen.
				spread := math.Sqrt(float64(truth[share.Work]) * float64(lookEvery))
				if off := math.Abs(float64(share.Total - truth[share.Work])); off > 6*spread+float64(2*time.Second) {
					t.Errorf("%s: %v in all, in truth %v", share.Work, share.Total, truth[share.Work])
				}
				if share.Held != 0 {
					t.Errorf("%s: held %v of the last second, which is long ago", share.Work, share.Held)
				}
			}
			for work, all := range warned {
				if work != tc.warned {
					t.Errorf("warned of %s: %v", work, all)
				}
				if most := int(tc.lasts/warnEvery) + 1; len(all) > most {
					t.Errorf("warned %d times of %s in %v", len(all), work, tc.lasts)
				}
				for _, e := range all {
					// Of a loop that does nothing else all is known but where the looks fell.
					off := 2.2
					if e.Held == time.Second {
						off = 1.1
					}
					if r := float64(e.Call) / float64(tc.call); r > off || r < 1/off || e.Held < time.Second/10 || e.Held > time.Second {
						t.Errorf("warned that %v", e)
					}
				}
			}
			if tc.warned != "" && len(warned[tc.warned]) == 0 {
				t.Errorf("not warned of %s", tc.warned)
			}
		})
	}
}

// The watch looks often enough for stalls, and looks that come early for that are not counted.
func TestSharePlan(t *testing.T) {
	s := &shares{}
	s.init(nil)
	now := time.Now()
	for _, tc := range []struct {
		drawn, longest, after time.Duration
		counted               bool
	}{
		{0, time.Second, 0, true},
		{time.Millisecond, time.Second, time.Millisecond, true},
		{time.Second, time.Second, time.Second, true},
		{time.Second + 1, time.Second, time.Second, false},
		{time.Hour, time.Microsecond, time.Microsecond, false},
	} {
		s.draw = func() float64 { return float64(tc.drawn) / float64(s.every) }
		if got, want := s.plan(now, tc.longest), (plan{now, tc.after, tc.counted}); got != want {
			t.Errorf("%v of at most %v: %v, want %v", tc.drawn, tc.longest, got, want)
		}
	}
}

// shared is a loop whose shares are judged every 50 ms, and what was warned of.
func shared(t *testing.T, c Config) (*loop, chan *ShareError) {
	warned := make(chan *ShareError, 16)
	c.ReportError = func(err error) {
		if e, ok := err.(*ShareError); ok {
			warned <- e
		}
	}
	l := prepare(t, c)
	l.watch.shares.every, l.watch.shares.window = 2*time.Millisecond, 50*time.Millisecond
	return l.start(), warned
}

// A work that takes its loop's time in long calls is warned of, by name, with about how long they are.
func TestLongCallsAreWarnedOf(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l, warned := shared(t, c)
		long, short := "GET /long", "GET /short"
		var again func()
		again = func() {
			l.Serving(long)
			time.Sleep(5 * time.Millisecond)
			for range 10 {
				l.Serving(short)
				l.Serving("")
			}
			l.CallLater(time.Millisecond, again)
		}
		l.CallFromThread(again)
		e := receive(t, warned, "the warning")
		if e.Work != long || e.Reactor != l.Reactor || e.Call < longCall || e.Held < 100*time.Millisecond {
			t.Errorf("warned that %v", e)
		}
		if want := "reactor: GET /long held a loop for "; !strings.HasPrefix(e.Error(), want) || !strings.HasSuffix(e.Error(), " a call") {
			t.Errorf("%q does not begin with %q", e.Error(), want)
		}
		shares := l.Shares()
		if len(shares) == 0 || shares[0].Work != long || shares[0].Held == 0 || shares[0].Total == 0 || shares[0].Calls == 0 {
			t.Errorf("the shares are %+v", shares)
		}
		eventually(t, "three windows more", func() bool { return l.Shares()[0].Total > shares[0].Total+100*time.Millisecond })
		if len(warned) > 0 {
			t.Errorf("warned within a minute that %v", <-warned)
		}
	})
}

// A loop that is full of short calls has nobody to blame; but their share can be read.
func TestShortCallsAreNotWarnedOf(t *testing.T) {
	l, warned := shared(t, Config{})
	name := "GET /short"
	var again func()
	again = func() {
		l.Serving(name)
		for until := time.Now().Add(20 * time.Microsecond); time.Now().Before(until); {
		}
		l.CallFromThread(again)
	}
	l.CallFromThread(again)
	eventually(t, "six windows", func() bool {
		shares := l.Shares()
		return len(shares) == 1 && shares[0].Total > 200*time.Millisecond
	})
	if len(warned) > 0 {
		t.Errorf("warned that %v", <-warned)
	}
}

// What a large write takes is not the handler's; what it does before and after is. A file, and what follows it, goes out at the
// end of the tick, when no handler runs.
func TestLargeWritesAreNotTheHandlers(t *testing.T) {
	type moment struct {
		work    string
		sending bool
	}
	var seen []moment
	s := &faultySystem{}
	l := prepare(t, Config{System: s, StallLimit: time.Second})
	look := func() {
		p, m := l.watch.place(), moment{}
		if p.work != nil {
			m = moment{p.work.name, p.kind&sending != 0}
		}
		seen = append(seen, m)
	}
	s.write = func(fd int, p []byte) (int, syscall.Errno) {
		look()
		return s.kernel.Write(fd, p)
	}
	s.writev = func(fd int, pieces [][]byte) (int, syscall.Errno) {
		look()
		return s.kernel.Writev(fd, pieces)
	}
	s.sendFile = func(fd int, f File, offset int64, n int) (int, syscall.Errno) {
		look()
		return s.kernel.SendFile(fd, f, offset, n)
	}
	l.start()
	large := make([]byte, directSize)
	file := temporary(t, string(large))
	conn, _ := l.connect(nil, func(p *recorder) {
		p.onData = func([]byte) {
			l.Serving("a")
			p.Write(large)
			look()
			p.Send(Lent(large[1:]), Lent(large[:1]))
			look()
			p.Send(FileRange(kept{file}, 0, directSize))
			p.Write(large[:1])
		}
	})
	send(t, conn, "?")
	readN(t, conn, 3*directSize+1)
	var got []moment
	l.do(func() { got = seen })
	handler, write := moment{"a", false}, moment{"a", true}
	if want := []moment{write, handler, write, handler, {}, {}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Names are bounded; what comes after is counted as one, and a stall still has its own name.
func TestShareNamesAreBounded(t *testing.T) {
	var k works
	for i := range 2 * maxWorks {
		name := fmt.Sprint(i)
		w := k.find(name)
		if w.name != name {
			t.Fatalf("%s is called %s", name, w.name)
		}
		if beyond := i >= maxWorks; (w.tally.name == otherWork) != beyond || !beyond && w.tally.name != name {
			t.Fatalf("%s counts for %s", name, w.tally.name)
		}
		if k.last != w {
			t.Fatalf("%s is not the last", name)
		}
	}
	if len(k.all) != maxWorks {
		t.Errorf("%d names are kept", len(k.all))
	}
	if a, b := k.find("x"), k.find("y"); b.calls != a.calls+1 {
		t.Errorf("%d calls, then %d", a.calls, b.calls)
	}
	if k.find("7") != k.all["7"] || k.find("") != nil {
		t.Error("names are mixed up")
	}
}

// Naming costs no allocation.
func TestServingAllocatesNothing(t *testing.T) {
	l := start(t, Config{})
	l.do(func() {
		if n := testing.AllocsPerRun(100, func() { l.Serving("a"); l.Serving("b"); l.Serving("b") }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// A loop that is kept from running by goroutines that compute is not held up by the callback that it was in last.
func TestStarvedLoop(t *testing.T) {
	stalls := make(chan Stall, 16)
	l, warned := shared(t, Config{StallLimit: 50 * time.Millisecond, ReportStall: func(s Stall) { stalls <- s }})
	var over atomic.Bool
	var burn func()
	burn = func() {
		for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); {
		}
		if !over.Load() {
			_ = l.CallInThread(burn)
		}
	}
	for range 8 * runtime.GOMAXPROCS(0) { // a turn comes after a time that is longer than the limit
		if err := l.CallInThread(burn); err != nil {
			t.Fatal(err)
		}
	}
	answered := make(chan struct{}, 1)
	rec := newRecorder()
	rec.onData = func([]byte) { l.Serving("innocent"); rec.Write([]byte("x")); answered <- struct{}{} }
	p := l.listen(func(netip.AddrPort) Protocol { return rec }, nil)
	conn := dial(t, p)
	for range 3 {
		send(t, conn, "?")
		receive(t, answered, "an answer")
	}
	over.Store(true)
	for len(stalls) > 0 {
		t.Errorf("reported %v", (&StallError{<-stalls}).Error())
	}
	if len(warned) > 0 {
		t.Errorf("warned that %v", <-warned)
	}
}
