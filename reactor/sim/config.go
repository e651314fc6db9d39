package sim

// What goes wrong, and how often. A world draws everything from one generator in the order in which it happens, so a
// seed, a Config and the code under test decide all of it.

import (
	"io"
	"math"
	"time"
)

// A Chance is a probability. Zero in a Config is the default, and Never is never.
type Chance float64

// Never is the Chance of what does not happen.
const Never Chance = -1

// Config is what a world is like. The zero value is a bad day on a bad network, right for tests of protocols. Durations
// and sizes that are zero are the defaults too; a negative duration is none.
type Config struct {
	// Latency is the longest that bytes are under way. Each connection draws a bound of its own up to this. Default 50 ms.
	Latency time.Duration
	// MinBuffer and MaxBuffer bound how many bytes a connection holds that were written and not yet read; each direction
	// of each connection draws a size between them. Default 256 B and 64 KiB.
	MinBuffer, MaxBuffer int
	// SendBuffer is how many bytes a sender's kernel takes, at most, beyond those that its peer has room for; each direction
	// of each connection draws a size up to this. Its window, once closed, then opens in lumps, of a quarter of the room.
	// Default 0.
	SendBuffer int
	// Descriptors is how many may be open. Default 1024.
	Descriptors int
	// ConnectTime is how long connecting goes on without an answer. Default 2 minutes.
	ConnectTime time.Duration

	// Split is how often a read gives less than has arrived, and what is written travels in pieces. Default 0.25.
	Split Chance
	// Partial is how often a write takes less than there is room for. Default 0.2.
	Partial Chance
	// Again is how often a call says EAGAIN although it need not. Default 0.03.
	Again Chance
	// Interrupt is how often a call says EINTR. Default 0.02.
	Interrupt Chance
	// Reset is how often a write is the last that a connection sees: both ends are told that it was reset. Default 0.001.
	Reset Chance

	// NoDescriptor is how often there is no descriptor for a connection, EMFILE or ENFILE. Default 0.02.
	NoDescriptor Chance
	// Aborted is how often accept finds a connection that is gone or may not come in: ECONNABORTED, EPROTO, EPERM, EACCES,
	// EHOSTUNREACH or ETIMEDOUT. Default 0.02.
	Aborted Chance
	// NoMemory is how often accept says ENOBUFS or ENOMEM. Default 0.005.
	NoMemory Chance
	// Refused and Unanswered are how often connecting fails, with ECONNREFUSED, and with ETIMEDOUT after ConnectTime.
	// Default 0.02 and 0.01.
	Refused, Unanswered Chance

	// Lost, Doubled and Overtaken are what happens to datagrams. Default 0.05 each.
	Lost, Doubled, Overtaken Chance

	// Reorder is how often the events of a poll come in random order, and Withhold how often some are left out. Default
	// 0.5 and 0.1.
	Reorder, Withhold Chance
	// Spurious is how often a poll reports a descriptor that is not ready, or one twice; Stale how often it reports one
	// under an old generation. Default 0.05 each.
	Spurious, Stale Chance

	// Early is how often a wait ends before its time with nothing, and Late how often it oversleeps, by at most
	// Oversleep. Default 0.05, 0.1 and 20 ms.
	Early, Late Chance
	Oversleep   time.Duration
	// Jump is how often the clock leaps ahead when the world waits, by at most Leap, as it does when a machine was
	// suspended. Default 0.0005 and 10 s.
	Jump Chance
	Leap time.Duration
	// CallTime is the longest that a system call takes. Default 2 µs.
	CallTime time.Duration

	// Steps is how many turns a run may take. Default 1,000,000.
	Steps int
	// Patience is how long, in real time, Run waits for work outside of the world. Default 10 s.
	Patience time.Duration
	// TraceLength is how many of the last things that happened a failure shows. Default 60.
	TraceLength int
	// Trace is given everything that happens as it happens; nil for no such writer.
	Trace io.Writer

	// RealTime has the clock follow the real one, for reactors that are not the world's: made with World.System, and run
	// by the code that made them, on goroutines of their own. Run and what waits, Dial and the like, are not for such a world.
	RealTime bool

	// Bubble is synctest.Wait of package testing/synctest, for a world that is made and driven in a bubble. The world and all
	// goroutines of the bubble then have one time, that of package time. Default nil: the world's time is its own.
	Bubble func()
}

// Calm is a Config in which nothing goes wrong. Bytes arrive whole and at once, as on the loopback of an idle machine.
func Calm() Config {
	var c Config
	for _, f := range c.chances() {
		*f.chance = Never
	}
	c.Latency = -1
	c.MinBuffer, c.MaxBuffer = 64<<10, 64<<10
	return c
}

type chanceField struct {
	chance    *Chance
	byDefault Chance
}

func (c *Config) chances() []chanceField {
	return []chanceField{
		{&c.Split, 0.25},
		{&c.Partial, 0.2},
		{&c.Again, 0.03},
		{&c.Interrupt, 0.02},
		{&c.Reset, 0.001},
		{&c.NoDescriptor, 0.02},
		{&c.Aborted, 0.02},
		{&c.NoMemory, 0.005},
		{&c.Refused, 0.02},
		{&c.Unanswered, 0.01},
		{&c.Lost, 0.05},
		{&c.Doubled, 0.05},
		{&c.Overtaken, 0.05},
		{&c.Reorder, 0.5},
		{&c.Withhold, 0.1},
		{&c.Spurious, 0.05},
		{&c.Stale, 0.05},
		{&c.Early, 0.05},
		{&c.Late, 0.1},
		{&c.Jump, 0.0005},
	}
}

func (c Config) withDefaults() Config {
	for _, f := range c.chances() {
		if *f.chance == 0 {
			*f.chance = f.byDefault
		}
	}
	for _, f := range []struct {
		d         *time.Duration
		byDefault time.Duration
	}{
		{&c.Latency, 50 * time.Millisecond},
		{&c.ConnectTime, 2 * time.Minute},
		{&c.Oversleep, 20 * time.Millisecond},
		{&c.Leap, 10 * time.Second},
		{&c.CallTime, 2 * time.Microsecond},
		{&c.Patience, 10 * time.Second},
	} {
		if *f.d == 0 {
			*f.d = f.byDefault
		}
		*f.d = max(*f.d, 0)
	}
	for _, f := range []struct {
		n         *int
		byDefault int
	}{
		{&c.MinBuffer, 256},
		{&c.MaxBuffer, 64 << 10},
		{&c.Descriptors, 1024},
		{&c.Steps, 1_000_000},
		{&c.TraceLength, 60},
	} {
		if *f.n <= 0 {
			*f.n = f.byDefault
		}
	}
	c.MaxBuffer = max(c.MaxBuffer, c.MinBuffer)
	return c
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// chance draws whether something of that probability happens.
func (w *World) chance(p Chance) bool { return p > 0 && w.rng.Float64() < float64(p) }

// upTo draws a duration from 0 to d.
func (w *World) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(min(d, never-1)) + 1))
}

// oneOf draws one of two.
func oneOf[T any](w *World, a, b T) T {
	if w.rng.IntN(2) == 0 {
		return a
	}
	return b
}
