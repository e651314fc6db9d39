package reactor

import (
	"math/rand/v2"
	"testing"
	"time"
)

// crowd is how many timers there are beside those that are measured: a server's with a timeout for each connection.
const crowd = 100_000

// A benchClock takes as long to read as the kernel's and says what the benchmark wants.
type benchClock struct {
	kernel
	start, epoch, now time.Time
}

func (c *benchClock) Now() time.Time {
	_ = time.Since(c.start)
	return c.now
}

// jump moves the clock, and what the tick knows of it.
func (c *benchClock) jump(r *Reactor, t int64) {
	c.now = c.epoch.Add(time.Duration(t))
	r.fresh = false
}

// crowded is a reactor with a crowd of timers due within a minute, made by arm. Whoever measures is its loop.
func crowded(b *testing.B, arm func(r *Reactor)) (*loop, *benchClock) {
	clock := &benchClock{start: time.Now(), now: time.Now()}
	l := prepare(b, Config{System: clock})
	clock.epoch = l.epoch
	for range crowd {
		clock.jump(l.Reactor, 1+rand.Int64N(int64(time.Minute)))
		arm(l.Reactor)
	}
	clock.jump(l.Reactor, 1)
	l.stage.Store(stageRunning)
	b.ReportAllocs()
	return l, clock
}

// endCrowd frees the reactor.
func endCrowd(l *loop) {
	l.timers.clear()
	l.stage.Store(stageNew)
	l.Close()
}

// Postponing one after the other of 100,000.
func BenchmarkPostpone(b *testing.B) {
	for _, way := range []struct {
		name string
		do   func(*DelayedCall) error
	}{
		{"Delay", func(c *DelayedCall) error { return c.Delay(time.Microsecond) }},
		{"Reset", func(c *DelayedCall) error { return c.Reset(time.Minute) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			var calls []*DelayedCall
			l, clock := crowded(b, func(r *Reactor) { calls = append(calls, r.CallLater(time.Minute, func() {})) })
			n := 0
			for b.Loop() {
				if n++; n%64 == 0 { // as many as a tick may serve
					l.timers.endTick(1000)
					clock.jump(l.Reactor, 1)
				}
				if way.do(calls[n%crowd]) != nil {
					b.Fatal("called")
				}
			}
			endCrowd(l)
		})
	}
}

// Firing the first of 100,000 and arming the next, due at random within a minute, so that the crowd stays what it is.
func BenchmarkArmAndFire(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	fired := 0
	var r *Reactor
	var again func()
	again = func() {
		fired++
		r.CallLater(time.Duration(random.Int64N(int64(time.Minute))), again)
	}
	l, clock := crowded(b, func(made *Reactor) { r = made; again() })
	fired = 0
	for n := 0; b.Loop(); {
		for n++; fired < n; {
			clock.jump(r, r.timers.first())
			r.timers.newTick()
			r.runTimers()
		}
	}
	endCrowd(l)
}

// Arming one more and cancelling it.
func BenchmarkArmAndCancel(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	l, _ := crowded(b, func(r *Reactor) { r.CallLater(time.Minute, func() {}) })
	for b.Loop() {
		c := l.CallLater(time.Duration(random.Int64N(int64(time.Minute))), func() {})
		if c.Cancel() != nil {
			b.Fatal("called")
		}
	}
	endCrowd(l)
}
