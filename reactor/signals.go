package reactor

// Signals arrive on a goroutine of their own and are posted to the loop like any other call.

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signalBacklog is how many signals may wait to be posted. Posting does not block, so this is only for a burst; package
// signal drops what is beyond.
const signalBacklog = 16

type signals struct {
	mu       sync.Mutex
	channels []chan os.Signal
	stopped  bool
}

// HandleSignal calls f on the loop for each of the named signals that arrives, from now until the reactor ends. It may be
// called from any goroutine.
func (r *Reactor) HandleSignal(f func(os.Signal), sigs ...os.Signal) {
	s := &r.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(sigs) == 0 { // to signal.Notify no name means all, and Go sends itself signals all the time
		return
	}
	c := make(chan os.Signal, signalBacklog)
	signal.Notify(c, sigs...)
	s.channels = append(s.channels, c)
	r.workers.Go(func() {
		for sig := range c {
			r.CallFromThread(func() { f(sig) })
		}
	})
}

// StopOnSignal stops the reactor when one of the signals arrives: SIGINT and SIGTERM if none is named. It may be called
// from any goroutine.
func (r *Reactor) StopOnSignal(sigs ...os.Signal) {
	if len(sigs) == 0 {
		sigs = []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	r.HandleSignal(func(os.Signal) { r.Stop() }, sigs...)
}

// stop gives the signals back. Nothing is sent to a channel once signal.Stop has returned, so it can be closed.
func (s *signals) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, c := range s.channels {
		signal.Stop(c)
		close(c)
	}
	s.channels = nil
}
