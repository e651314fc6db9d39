package reactor

// Several loops as one: a program that wants all cores runs a loop on each. Connections stay where they were accepted, so
// the loops share nothing but the address that they listen on.

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// A Group is a number of reactors that are started and stopped together.
type Group struct {
	reactors []*Reactor

	mu      sync.Mutex
	failed  []error
	running bool
}

// errGoexit is how a loop has failed whose goroutine a callback has ended.
var errGoexit = errors.New("reactor: a callback has ended the loop's goroutine")

// NewGroup makes n reactors with the same Config, whose functions are called by all of them, at the same time too; n of 0
// or less is one for each core that Go uses (GOMAXPROCS). They hold descriptors from now on: Run frees them when it returns,
// Close if it never runs.
func NewGroup(n int, c Config) (*Group, error) {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	g := &Group{}
	for range n {
		r, err := New(c)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.reactors = append(g.reactors, r)
	}
	return g, nil
}

// Reactors returns the loops, always the same in the same order. What is to happen on one while the group runs comes in
// through its CallFromThread.
func (g *Group) Reactors() []*Reactor { return append([]*Reactor(nil), g.reactors...) }

// ListenTCP listens on addr with all loops: each has a port of its own, in the order of Reactors, and a factory of its own,
// made by f, so that factories need no locks. Where the system can, the kernel spreads connections over the ports. Another
// process that listens on addr gets EADDRINUSE, as with a single port. It must come before Run.
//
// The error is ErrRunning, or Reactor.ListenTCP's; then no port is left open. Each port's StopListening is for its own loop.
func (g *Group) ListenTCP(addr string, f func(*Reactor) Factory, o *TCPOptions) ([]*Port, error) {
	var own TCPOptions
	if o != nil {
		own = *o
	}
	own.Shared = own.Shared || len(g.reactors) > 1
	return g.listen(f, func(r *Reactor, f Factory) (*Port, error) { return r.ListenTCP(addr, f, &own) })
}

// ListenUnix is ListenTCP for a Unix socket, which all loops watch: the first to be ready accepts.
func (g *Group) ListenUnix(path string, f func(*Reactor) Factory, o *UnixOptions) ([]*Port, error) {
	var own UnixOptions
	if o != nil {
		own = *o
	}
	own.Shared = own.Shared || len(g.reactors) > 1
	return g.listen(f, func(r *Reactor, f Factory) (*Port, error) { return r.ListenUnix(path, f, &own) })
}

// ListenFD is ListenTCP for a socket that was handed in, which all loops watch: the first to be ready accepts. The group owns fd from
// now on, and closes it if there is an error, but for ErrRunning.
func (g *Group) ListenFD(fd int, f func(*Reactor) Factory, o *TCPOptions) ([]*Port, error) {
	var own TCPOptions
	if o != nil {
		own = *o
	}
	own.Shared = own.Shared || len(g.reactors) > 1
	return g.listen(f, func(r *Reactor, f Factory) (p *Port, err error) {
		defer func() {
			if p == nil { // there was an error, or StartFactory has panicked
				r.sys.Close(fd) // later loops close it with the first one's port
			}
		}()
		return r.ListenFD(fd, f, &own)
	})
}

// listen has the first loop listen and the others share its port.
func (g *Group) listen(f func(*Reactor) Factory, first func(*Reactor, Factory) (*Port, error)) ([]*Port, error) {
	if g.isRunning() {
		return nil, ErrRunning
	}
	var ports []*Port
	defer func() {
		if len(ports) < len(g.reactors) { // there was an error, or a StartFactory has panicked
			for _, p := range ports {
				p.close()
			}
		}
	}()
	for _, r := range g.reactors {
		var p *Port
		var err error
		if len(ports) == 0 {
			p, err = first(r, f(r))
		} else {
			p, err = ports[0].Share(r, f(r))
		}
		if err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// Run runs each loop on a goroutine of its own and returns when all have ended: after Stop, or when one has failed, which
// stops the others. The error is nil after Stop; else it joins what the loops have returned, each with its number. It
// returns ErrRunning or ErrStopped when the group runs or has run.
func (g *Group) Run() error {
	g.mu.Lock()
	if g.running {
		g.mu.Unlock()
		return ErrRunning
	}
	g.running = true
	g.failed = nil
	g.mu.Unlock()
	var loops sync.WaitGroup
	for i, r := range g.reactors {
		loops.Go(func() {
			err := errGoexit // unless Run returns
			defer func() { g.ended(i, err) }()
			err = r.Run()
		})
	}
	loops.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = false
	if len(g.failed) == len(g.reactors) && g.all(ErrStopped) {
		return ErrStopped
	}
	return errors.Join(g.failed...)
}

func (g *Group) isRunning() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// ended is called when a loop has ended.
func (g *Group) ended(i int, err error) {
	if err != nil {
		g.mu.Lock()
		g.failed = append(g.failed, fmt.Errorf("reactor: loop %d of %d: %w", i, len(g.reactors), err))
		g.mu.Unlock()
	}
	g.Stop()
}

// all reports whether every loop has failed with err.
func (g *Group) all(err error) bool {
	for _, e := range g.failed {
		if !errors.Is(e, err) {
			return false
		}
	}
	return true
}

// Stop stops all loops, as Reactor.Stop does. It may be called from any goroutine and any number of times.
func (g *Group) Stop() {
	for _, r := range g.reactors {
		r.Stop()
	}
}

// StopOnSignal stops the group when one of the signals arrives: SIGINT and SIGTERM if none is named. It may be called from
// any goroutine.
func (g *Group) StopOnSignal(sigs ...os.Signal) {
	if len(sigs) == 0 {
		sigs = []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	if len(g.reactors) > 0 {
		g.reactors[0].HandleSignal(func(os.Signal) { g.Stop() }, sigs...)
	}
}

// Close frees a group that is not running. It returns ErrRunning while it runs.
func (g *Group) Close() error {
	var errs []error
	for _, r := range g.reactors {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// Lag is the lag of all loops together. It may be called from any goroutine at any time.
func (g *Group) Lag() Histogram {
	var h Histogram
	for _, r := range g.reactors {
		h = h.Plus(r.Lag())
	}
	return h
}
