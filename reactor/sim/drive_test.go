package sim_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// A test drives a world: it waits as a script does, and the world stands still between its calls.
func TestDrive(t *testing.T) {
	w := sim.New(1, sim.Calm())
	r := w.Reactor("echo", reactor.Config{})
	port, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(newEcho), nil)
	if err != nil {
		t.Fatal(err)
	}
	fired := time.Duration(0)
	begun := w.Now()
	r.CallLater(time.Hour, func() { fired = w.Now().Sub(begun) })

	conn, err := w.Dial(port.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _ = io.WriteString(conn, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	w.Sleep(time.Hour - time.Second)
	if fired != 0 {
		t.Errorf("the timer was called after %v", fired)
	}
	if !w.WaitFor("the timer", time.Minute, func() bool { return fired > 0 }) || fired.Round(time.Second) != time.Hour {
		t.Errorf("the timer was called after %v", fired)
	}
	if w.WaitFor("nothing", time.Minute, func() bool { return false }) {
		t.Error("what is never ready was")
	}
	if n := w.Reactors(); n != 1 {
		t.Errorf("%d reactors", n)
	}
	if err := w.End(); err != nil {
		t.Error(err)
	}
	if n := w.Reactors(); n != 0 {
		t.Errorf("%d reactors after the end", n)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open after the end")
	}
}

// Scripts run while the test waits, and unwind where they wait at the end.
func TestDriveWithScripts(t *testing.T) {
	w := sim.New(1, sim.Config{})
	var said []string
	unwound := false
	w.Go("talker", func() {
		defer func() { unwound = true }()
		for i := range 3 {
			said = append(said, fmt.Sprint(i))
			w.Sleep(time.Second)
		}
		w.Wait("what never comes", func() bool { return false })
	})
	w.Sleep(1500 * time.Millisecond)
	if got := strings.Join(said, " "); got != "0 1" {
		t.Errorf("after 1.5 s %q", got)
	}
	if err := w.End(); err != nil || !unwound {
		t.Errorf("%v, unwound: %t", err, unwound)
	}
}

func TestDriveInVain(t *testing.T) {
	w := sim.New(1, sim.Calm())
	w.Reactor("idle", reactor.Config{})
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "nothing can happen any more") {
			t.Errorf("panic %q", v)
		}
		if err := w.End(); err != nil {
			t.Error(err)
		}
	}()
	w.Wait("what never comes", func() bool { return false })
}

// While calls off the loop work, the time of a driven world stands still; while they wait for the world it does not.
func TestDriveAndThreads(t *testing.T) {
	w := sim.New(1, sim.Calm())
	r := w.Reactor("worker", reactor.Config{})
	begun := w.Now()
	done := time.Duration(0)
	r.CallWhenRunning(func() {
		_ = r.CallInThread(func() {
			time.Sleep(20 * time.Millisecond)
			r.CallFromThread(func() { done = w.Now().Sub(begun) })
		})
	})
	if !w.WaitFor("the call", time.Hour, func() bool { return done > 0 }) || done > time.Millisecond {
		t.Errorf("the call was done after %v of the world's time", done)
	}

	release := make(chan bool)
	w.Waiting(func() int { return 1 })
	_ = r.CallInThread(func() { <-release })
	begunReally := time.Now()
	w.WaitFor("nothing", time.Hour, func() bool { return false })
	if d := time.Since(begunReally); d > 5*time.Second || w.Now().Sub(begun) < time.Hour {
		t.Errorf("an hour passed in %v", d)
	}
	close(release)
	if err := w.End(); err != nil {
		t.Error(err)
	}
}

// In a bubble the world and its goroutines have one time.
func TestBubble(t *testing.T) {
	begunReally := time.Now()
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(1, sim.Config{Bubble: synctest.Wait})
		r := w.Reactor("worker", reactor.Config{})
		begun := time.Now()
		var later, slept time.Time
		r.CallWhenRunning(func() {
			r.CallLater(2*time.Hour, func() { later = time.Now() })
			_ = r.CallInThread(func() {
				time.Sleep(time.Hour)
				r.CallFromThread(func() { slept = time.Now() })
			})
		})
		w.Sleep(90 * time.Minute)
		if d := slept.Sub(begun); d < time.Hour || d > time.Hour+time.Minute || !later.IsZero() {
			t.Errorf("the call slept for %v; the timer was called at %v", d, later)
		}
		w.WaitFor("the timer", time.Hour, func() bool { return !later.IsZero() })
		if d := later.Sub(begun); d < 2*time.Hour || d > 2*time.Hour+time.Minute || !w.Now().Equal(time.Now()) {
			t.Errorf("the timer was called after %v; the world has %v, the bubble %v", d, w.Now(), time.Now())
		}
		if err := w.End(); err != nil {
			t.Error(err)
		}
	})
	if d := time.Since(begunReally); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

func ExampleWorld_End() {
	w := sim.New(1, sim.Calm())
	r := w.Reactor("server", reactor.Config{})
	_, _ = r.ListenTCP("192.0.2.1:7", reactor.FactoryFunc(newEcho), nil)

	// What waits drives the world: there are no scripts, and no Run.
	conn, _ := w.Dial(netip.MustParseAddrPort("192.0.2.1:7"))
	fmt.Fprint(conn, "hello")
	b := make([]byte, 5)
	_, _ = io.ReadFull(conn, b)
	fmt.Println(string(b))
	w.Sleep(time.Hour)
	fmt.Println(w.End())
	// Output:
	// hello
	// <nil>
}
