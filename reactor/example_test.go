package reactor_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"microhttp/reactor"
)

// echo sends back what it receives.
type echo struct{ t reactor.Transport }

func (e *echo) ConnectionMade(t reactor.Transport)   { e.t = t }
func (e *echo) DataReceived(p []byte)                { e.t.Write(p) }
func (e *echo) ConnectionLost(reason error)          { fmt.Println("server:", reason); e.t.Reactor().Stop() }
func newEcho(remote netip.AddrPort) reactor.Protocol { return &echo{} }

func Example() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(newEcho), nil)
	if err != nil {
		panic(err)
	}
	go func() { // a client
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "hello")
		p := make([]byte, 5)
		io.ReadFull(conn, p)
		fmt.Printf("client: %s\n", p)
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// client: hello
	// server: reactor: connection done
}

func ExampleReactor_CallInThread() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	r.CallWhenRunning(func() {
		err := r.CallInThread(func() {
			sum := 0 // this may take its time, or block
			for i := range 10 {
				sum += i
			}
			r.CallFromThread(func() { // back on the loop
				fmt.Println(sum)
				r.Stop()
			})
		})
		if err != nil {
			panic(err)
		}
	})
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: 45
}

func ExampleDeferToThread() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	lookup := func() (int, error) { return net.LookupPort("tcp", "http") } // reads a file, which may take its time
	err = reactor.DeferToThread(r, lookup, func(port int, err error) {
		fmt.Println(port, err) // on the loop
		r.Stop()
	})
	if err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: 80 <nil>
}

func ExampleReactor_CallLater() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	r.CallLater(2*time.Millisecond, func() {
		fmt.Println("second")
		r.Stop()
	})
	r.CallLater(time.Millisecond, func() { fmt.Println("first") })
	never := r.CallLater(0, func() { fmt.Println("never") })
	fmt.Println(never.Cancel(), never.Active(), len(r.DelayedCalls()))
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// <nil> false 2
	// first
	// second
}

func ExampleReactor_Iterate() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	frames := 0
	r.CallLater(5*time.Millisecond, func() { fmt.Println("the reactor had its turn") })
	for len(r.DelayedCalls()) > 0 { // somebody else's loop: a game's, say
		frames++
		if err := r.Iterate(time.Millisecond); err != nil {
			panic(err)
		}
	}
	fmt.Println(frames > 0) // mostly five
	// Output:
	// the reactor had its turn
	// true
}

func ExampleReactor_HoldShutdown() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	r.AddSystemEventTrigger(reactor.Before, reactor.Shutdown, func() {
		release := r.HoldShutdown()
		fmt.Println("one thing is to be finished")
		r.CallLater(time.Millisecond, func() {
			fmt.Println("it is")
			release()
		})
	})
	r.AddSystemEventTrigger(reactor.After, reactor.Shutdown, func() { fmt.Println("bye") })
	r.CallWhenRunning(r.Stop)
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// one thing is to be finished
	// it is
	// bye
}

func ExampleDelayedCall_Reset() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	idle := r.CallLater(20*time.Millisecond, func() {
		fmt.Println("idle")
		r.Stop()
	})
	busy := 0
	var work func()
	work = func() {
		if busy++; busy < 3 {
			idle.Reset(20 * time.Millisecond) // each sign of life puts it off
			r.CallLater(time.Millisecond, work)
			return
		}
		fmt.Println("busy", busy)
	}
	r.CallLater(0, work)
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// busy 3
	// idle
}

// A source is a producer: it writes for as long as it is not told to pause.
type source struct {
	t      reactor.Transport
	left   int
	paused bool
}

func (s *source) ConnectionMade(t reactor.Transport) {
	s.t = t
	t.RegisterProducer(s)
	s.produce()
}

func (s *source) PauseProducing()  { s.paused = true }
func (s *source) ResumeProducing() { s.paused = false; s.produce() }
func (s *source) StopProducing()   {}

// produce writes one piece and comes back for the next: the loop flushes in between, and then says when to pause.
func (s *source) produce() {
	switch piece := make([]byte, 64<<10); {
	case s.paused:
	case s.left == 0:
		s.t.RegisterProducer(nil) // it has finished, which the end of the connection waits for
		s.t.LoseConnection()
	default:
		s.left--
		s.t.Write(piece)
		s.t.Reactor().CallLater(0, s.produce)
	}
}

func (s *source) DataReceived([]byte)  {}
func (s *source) ConnectionLost(error) {}

func ExampleProducer() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("localhost:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return &source{left: 200}
	}), nil)
	if err != nil {
		panic(err)
	}
	go func() {
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		n, err := io.Copy(io.Discard, conn)
		fmt.Println(n, err)
		r.Stop()
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: 13107200 <nil>
}

// hello greets and hangs up.
type hello struct{}

func (hello) ConnectionMade(t reactor.Transport) {
	t.Write([]byte("hello from one of the loops\n"))
	t.LoseConnection()
}
func (hello) DataReceived([]byte)  {}
func (hello) ConnectionLost(error) {}

func ExampleGroup() {
	g, err := reactor.NewGroup(2, reactor.Config{})
	if err != nil {
		panic(err)
	}
	ports, err := g.ListenTCP("localhost:0", func(*reactor.Reactor) reactor.Factory {
		return reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return hello{} })
	}, nil)
	if err != nil {
		panic(err)
	}
	go func() {
		defer g.Stop()
		for range 3 {
			conn, err := net.Dial("tcp", ports[0].Addr().String())
			if err != nil {
				panic(err)
			}
			p, _ := io.ReadAll(conn)
			fmt.Print(string(p))
			conn.Close()
		}
	}()
	if err := g.Run(); err != nil {
		panic(err)
	}
	fmt.Println(g.Lag().Count() > 0)
	// Output:
	// hello from one of the loops
	// hello from one of the loops
	// hello from one of the loops
	// true
}

func ExampleConfig_ReportStall() {
	told := make(chan reactor.Stall)
	r, err := reactor.New(reactor.Config{
		StallLimit:  10 * time.Millisecond,
		ReportStall: func(s reactor.Stall) { told <- s },
	})
	if err != nil {
		panic(err)
	}
	r.CallLater(0, func() {
		r.Serving("REPORT")
		s := <-told // it should not wait; but it is told of while it does
		fmt.Println(s.Work, s.Lasted >= 10*time.Millisecond, len(s.Stack) > 0)
		r.Stop()
	})
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: REPORT true true
}
