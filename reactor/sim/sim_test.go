package sim_test

// What the simulator itself promises.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// The same seed makes the same world, to the last system call; another one another.
func TestTheSameSeedIsTheSameWorld(t *testing.T) {
	record := func(seed uint64) string {
		var b strings.Builder
		w := sim.New(seed, sim.Config{Trace: &b})
		playLaws(w)
		if err := w.Run(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	size := 0
	for seed := range uint64(50) {
		first, second := record(seed), record(seed)
		size += len(first)
		if first != second {
			a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("seed %d, line %d:\n%s\n%s", seed, i, a[i], b[i])
				}
			}
			t.Fatalf("seed %d: %d and %d lines", seed, len(a), len(b))
		}
		if first == record(seed+1000) {
			t.Errorf("seeds %d and %d are alike", seed, seed+1000)
		}
	}
	if size < 100_000 {
		t.Errorf("hardly anything has happened: %d bytes of trace", size)
	}
}

// A keeper keeps the bytes that it was lent, which it must not.
type keeper struct {
	t    reactor.Transport
	kept []byte
}

func (k *keeper) ConnectionMade(t reactor.Transport) { k.t = t }
func (k *keeper) ConnectionLost(error)               {}
func (k *keeper) DataReceived(p []byte) {
	k.kept = p
	k.t.Reactor().CallLater(0, func() { k.t.Write(k.kept) })
}

// Who keeps lent bytes until the next tick finds them overwritten, each time; on a perfect network too.
func TestLentBytesAreOverwritten(t *testing.T) {
	for seed := range uint64(100) {
		w := sim.New(seed, sim.Calm())
		port := listen(w, func(netip.AddrPort) reactor.Protocol { return &keeper{} })
		var got []byte
		w.Go("client", func() {
			conn := dial(w, port)
			fmt.Fprint(conn, "mine")
			got = make([]byte, 4)
			io.ReadFull(conn, got)
			conn.Close()
		})
		run(t, w)
		if want := bytes.Repeat([]byte{sim.Poison}, 4); !bytes.Equal(got, want) {
			t.Fatalf("the kept bytes are %q", got)
		}
	}
}

// listen has a reactor listen.
func listen(w *sim.World, f reactor.FactoryFunc) *reactor.Port {
	port, err := w.Reactor("server", reactor.Config{}).ListenTCP("127.0.0.1:0", f, nil)
	if err != nil {
		panic(err)
	}
	return port
}

func dial(w *sim.World, port *reactor.Port) *sim.Conn {
	conn, err := w.Dial(port.Addr())
	if err != nil {
		panic(err)
	}
	return conn
}

func run(t *testing.T, w *sim.World) {
	t.Helper()
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
}

// fails runs a world that is to fail, and checks with what words.
func fails(t *testing.T, w *sim.World, words ...string) {
	t.Helper()
	var f *sim.Failure
	if err := w.Run(); !errors.As(err, &f) || f.Seed != w.Seed() {
		t.Fatalf("Run: %v", err)
	}
	for _, word := range words {
		if !strings.Contains(f.Error(), word) {
			t.Errorf("the failure lacks %q: %v", word, f)
		}
	}
}

// A silent protocol does nothing.
type silent struct{}

func (silent) ConnectionMade(reactor.Transport) {}
func (silent) DataReceived([]byte)              {}
func (silent) ConnectionLost(error)             {}

func newSilent(netip.AddrPort) reactor.Protocol { return silent{} }

func TestFailures(t *testing.T) {
	t.Run("nothing can happen", func(t *testing.T) {
		w := sim.New(7, sim.Calm())
		port := listen(w, newSilent)
		cleaned := false
		w.Go("optimist", func() {
			conn := dial(w, port)
			defer func() { conn.Close(); cleaned = true }()
			conn.Read(make([]byte, 1))
		})
		fails(t, w, "nothing can happen", "optimist waits for bytes", "server waits for events", "SIM_SEED=7", "accept")
		if !cleaned {
			t.Error("the script was not unwound")
		}
	})
	t.Run("a script panics", func(t *testing.T) {
		w := sim.New(1, sim.Calm())
		listen(w, newSilent)
		w.Go("bad", func() { panic("oh") })
		fails(t, w, "bad: panic: oh")
	})
	t.Run("a callback panics", func(t *testing.T) {
		w := sim.New(1, sim.Calm())
		port := listen(w, func(netip.AddrPort) reactor.Protocol { panic("ah") })
		w.Go("client", func() { dial(w, port).Close() })
		fails(t, w, "panic: ah", "sim_test.go")
	})
	t.Run("a callback waits", func(t *testing.T) {
		w := sim.New(1, sim.Calm())
		r := w.Reactor("server", reactor.Config{})
		r.CallLater(0, func() { w.Sleep(time.Second) })
		w.Go("script", func() {})
		fails(t, w, "must not wait")
	})
	t.Run("no end", func(t *testing.T) {
		w := sim.New(1, sim.Config{Steps: 1000})
		w.Go("restless", func() {
			for {
				w.Sleep(1)
			}
		})
		fails(t, w, "no end after 1000 turns", "restless")
	})
	t.Run("a descriptor is left", func(t *testing.T) {
		w := sim.New(1, sim.Calm())
		r := w.Reactor("server", reactor.Config{})
		if _, errno := w.System().Reserve(); errno != 0 {
			t.Fatal(errno)
		}
		r.CallLater(time.Second, r.Stop)
		fails(t, w, "descriptor 4, a spare, is left open")
	})
	t.Run("a descriptor that is not open", func(t *testing.T) {
		w := sim.New(1, sim.Calm())
		w.System().Close(9)
		fails(t, w, "close of descriptor 9, which is not open")
	})
	t.Run("FailNow in a script", func(t *testing.T) {
		w := sim.New(1, sim.Calm())
		port := listen(w, newSilent)
		done := make(chan bool)
		go func() {
			defer close(done)
			w.Go("exits", func() { dial(w, port); new(testing.T).FailNow() })
			w.Run()
			done <- true
		}()
		if <-done {
			t.Error("Run has returned")
		}
		if d := w.Descriptors(); len(d) != 0 {
			t.Errorf("left open: %v", d)
		}
	})
}

// A world without scripts ends when its reactors do.
func TestWithoutScripts(t *testing.T) {
	w := sim.New(1, sim.Config{})
	r := w.Reactor("alone", reactor.Config{})
	calls := 0
	var again func()
	again = func() {
		if calls++; calls == 100 {
			r.Stop()
			return
		}
		r.CallLater(time.Hour, again)
	}
	again()
	run(t, w)
	if calls != 100 {
		t.Errorf("%d calls", calls)
	}
}

// Work in threads is waited for, and no virtual time passes that is not real.
func TestThreads(t *testing.T) {
	w := sim.New(1, sim.Config{})
	r := w.Reactor("server", reactor.Config{})
	result := 0
	r.CallLater(0, func() {
		if err := r.CallInThread(func() {
			<-time.After(20 * time.Millisecond) // it computes
			r.CallFromThread(func() { result = 42 })
		}); err != nil {
			w.Errorf("%v", err)
		}
	})
	r.CallLater(time.Minute, func() {
		if result != 42 {
			w.Errorf("a minute has passed meanwhile")
		}
		r.Stop()
	})
	done := w.Outside()
	go func() {
		defer done()
		r.CallFromThread(func() {})
	}()
	run(t, w)
	if result != 42 {
		t.Errorf("the result is %d", result)
	}
}

// What never comes is not waited for without end.
func TestPatience(t *testing.T) {
	w := sim.New(1, sim.Config{Patience: 10 * time.Millisecond})
	w.Reactor("server", reactor.Config{})
	defer w.Outside()()
	fails(t, w, "in vain waited 10ms", "server waits for events")
}

// Every fault happens, and the reactor is told it as the kernel tells it.
func TestEveryFaultHappens(t *testing.T) {
	var all strings.Builder
	for seed := range uint64(300) {
		w := sim.New(seed, sim.Config{Trace: &all})
		playLaws(w)
		run(t, w)
	}
	trace := all.String()
	for _, errno := range []syscall.Errno{
		syscall.EAGAIN, syscall.EINTR, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EPROTO, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, syscall.ETIMEDOUT,
	} {
		if !strings.Contains(trace, errno.Error()) {
			t.Errorf("never %v", errno)
		}
	}
	for _, what := range []string{"clock leaps", "reset under way"} {
		if !strings.Contains(trace, what) {
			t.Errorf("never: %s", what)
		}
	}
}

// Calm has none of them.
func TestCalm(t *testing.T) {
	for seed := range uint64(100) {
		w := sim.New(seed, sim.Calm())
		port := listen(w, newEcho)
		w.Go("client", func() {
			conn := dial(w, port)
			defer conn.Close()
			for range 5 {
				start := w.Now()
				fmt.Fprint(conn, "hello")
				p := make([]byte, 6)
				if n, err := conn.Read(p); string(p[:n]) != "hello" || err != nil {
					w.Errorf("got %q, %v", p[:n], err)
				}
				if d := w.Now().Sub(start); d > time.Millisecond {
					w.Errorf("it took %v", d)
				}
			}
		})
		run(t, w)
	}
}

type echo struct{ t reactor.Transport }

func newEcho(netip.AddrPort) reactor.Protocol { return &echo{} }

func (e *echo) ConnectionMade(t reactor.Transport) { e.t = t }
func (e *echo) DataReceived(p []byte)              { e.t.Write(p) }
func (e *echo) ConnectionLost(error)               {}

// A writer has to wait for its reader, on both sides.
func TestBackPressure(t *testing.T) {
	const size = 1 << 20
	w := sim.New(1, sim.Calm())
	var server reactor.Transport
	port := listen(w, func(netip.AddrPort) reactor.Protocol {
		return made(func(t reactor.Transport) {
			server = t
			t.Write(make([]byte, size))
		})
	})
	w.Go("client", func() {
		conn := dial(w, port)
		defer conn.Close()
		w.Sleep(time.Hour)
		if n := server.Buffered(); n < size-64<<10 || n == size {
			w.Errorf("%d bytes are buffered", n)
		}
		if n := conn.Buffered(); n == 0 || n > 64<<10 {
			w.Errorf("%d bytes have arrived", n)
		}
		_ = conn.SetReadDeadline(w.Now().Add(time.Second))
		if n, err := io.Copy(io.Discard, conn); n != size || !errors.Is(err, os.ErrDeadlineExceeded) {
			w.Errorf("read %d bytes, %v", n, err)
		}
		server.PauseReading() // it takes effect at the next tick
		server.Reactor().CallFromThread(func() {})
		w.Sleep(time.Second)
		_ = conn.SetWriteDeadline(w.Now().Add(time.Second))
		if n, err := conn.Write(make([]byte, size)); n == 0 || n > 64<<10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			w.Errorf("wrote %d bytes, %v", n, err)
		}
	})
	run(t, w)
}

// made is a protocol that does one thing when it is made.
type made func(reactor.Transport)

func (f made) ConnectionMade(t reactor.Transport) { f(t) }
func (made) DataReceived([]byte)                  {}
func (made) ConnectionLost(error)                 {}

// Closing with bytes unread is a reset, and closing without is not.
func TestCloseWithUnreadInput(t *testing.T) {
	for _, unread := range []bool{false, true} {
		w := sim.New(1, sim.Calm())
		var reason error
		port := listen(w, func(netip.AddrPort) reactor.Protocol { return &reasons{&reason} })
		w.Go("client", func() {
			conn := dial(w, port)
			w.Wait("an answer", func() bool { return conn.Buffered() == 5 })
			if !unread {
				conn.Read(make([]byte, 5))
			}
			conn.Close()
			if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				w.Errorf("writing after Close: %v", err)
			}
		})
		run(t, w)
		if errors.Is(reason, syscall.ECONNRESET) != unread || errors.Is(reason, reactor.ErrConnectionDone) == unread {
			t.Errorf("unread %v: %v", unread, reason)
		}
	}
}

type reasons struct{ reason *error }

func (reasons) ConnectionMade(t reactor.Transport) { t.Write([]byte("hello")) }
func (reasons) DataReceived([]byte)                {}
func (r reasons) ConnectionLost(reason error)      { *r.reason = reason }

// Spend holds up the reactor that is in the callback, and nobody else.
func TestSpend(t *testing.T) {
	sim.Check(t, 1, 20, sim.Calm(), func(w *sim.World) {
		held, other := w.Reactor("held", reactor.Config{}), w.Reactor("other", reactor.Config{})
		began := w.Now()
		passed := func() time.Duration { return w.Now().Sub(began).Round(time.Second) }
		var last time.Duration // when the other one's timer was called last
		var again func()
		again = func() {
			if last = passed(); last < 9*time.Second {
				other.CallLater(time.Second, again)
			}
		}
		other.CallLater(time.Second, again)
		held.CallFromThread(func() {
			w.Spend(5 * time.Second)
			if now := passed(); now != 5*time.Second || last < 4*time.Second {
				w.Errorf("held for %v, and the other one's timer was called last at %v", now, last)
			}
		})
		w.Go("script", func() {
			w.Spend(10 * time.Second)
			if now := passed(); now != 10*time.Second || last < 9*time.Second {
				w.Errorf("the script slept for %v, and the other one's timer was called last at %v", now, last)
			}
		})
	})
}
