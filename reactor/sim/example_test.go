package sim_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// upper is a protocol: it answers each line in upper case.
type upper struct {
	t    reactor.Transport
	line []byte // that is not complete yet
}

func (u *upper) ConnectionMade(t reactor.Transport) { u.t = t }
func (u *upper) ConnectionLost(error)               {}
func (u *upper) DataReceived(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			u.line = append(u.line, p...)
			return
		}
		u.t.Write(bytes.ToUpper(append(u.line, p[:i+1]...)))
		u.line, p = nil, p[i+1:]
	}
}

// hasty is the same protocol, of somebody who has tried it on an idle machine only.
type hasty struct{ t reactor.Transport }

func (h *hasty) ConnectionMade(t reactor.Transport) { h.t = t }
func (h *hasty) ConnectionLost(error)               {}
func (h *hasty) DataReceived(p []byte)              { h.t.Write(bytes.ToUpper(p[:bytes.IndexByte(p, '\n')+1])) }

// converse is a world in which a client sends lines and wants them back.
func converse(w *sim.World, build func() reactor.Protocol) {
	r := w.Reactor("server", reactor.Config{})
	port, err := r.ListenTCP("127.0.0.1:7", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return build()
	}), nil)
	if err != nil {
		w.Errorf("listen: %v", err)
		return
	}
	w.Go("client", func() {
		conn, err := w.Dial(port.Addr())
		if err != nil {
			return // the network's fault
		}
		defer conn.Close()
		if err := talk(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			w.Errorf("%v", err)
		}
	})
}

// talk is an ordinary client. It would do the same on any connection.
func talk(conn net.Conn) error {
	if _, err := fmt.Fprint(conn, "hello\nworld\n"); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	for _, want := range []string{"HELLO\n", "WORLD\n"} {
		got, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
	}
	return nil
}

// A protocol is tested in a thousand worlds, each of which has other troubles. In a test, Check does the same.
func Example() {
	calm := sim.Config{NoDescriptor: sim.Never} // no connection is turned away for want of a descriptor
	for seed := range uint64(1000) {
		w := sim.New(seed, calm)
		converse(w, func() reactor.Protocol { return &upper{} })
		if err := w.Run(); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("a thousand worlds, and all is well")
	// Output: a thousand worlds, and all is well
}

// The same worlds find out who takes one DataReceived for one line. The failure has the seed and what had happened.
func ExampleFailure() {
	for seed := range uint64(1000) {
		w := sim.New(seed, sim.Config{NoDescriptor: sim.Never})
		converse(w, func() reactor.Protocol { return &hasty{} })
		var failure *sim.Failure
		if errors.As(w.Run(), &failure) {
			fmt.Println("found, with the seed", failure.Seed == seed)
			return
		}
	}
	fmt.Println("not found")
	// Output: found, with the seed true
}

// An hour passes at once when nobody has anything to do.
func ExampleWorld_Sleep() {
	w := sim.New(1, sim.Calm())
	r := w.Reactor("clock", reactor.Config{})
	r.CallLater(time.Hour, func() { fmt.Println("the timer, at", w.Now().Format(time.TimeOnly)) })
	w.Go("sleeper", func() {
		w.Sleep(30 * time.Minute)
		fmt.Println("the script, at", w.Now().Format(time.TimeOnly))
		w.Sleep(time.Hour)
	})
	if err := w.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// the script, at 00:30:00
	// the timer, at 01:00:00
}
