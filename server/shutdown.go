package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The end of a server announces itself. First Ready becomes false, so that a load balancer looks elsewhere. When
// ShutdownDelay is over, the program and each open stream are notified. Only then do the listeners close.

// Ready reports whether the server runs and its end has not begun: what a readiness probe answers. It may be called from any
// goroutine. The handler of middleware.Readiness asks for it.
func (s *Server) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == running && s.endsAt.IsZero()
}

// OnShutdown adds a function that is called once when Shutdown or Close ends a server that runs: after ShutdownDelay, and
// before the listeners close.
//
//   - Functions are called in the order of their registration, in the goroutine of that Shutdown or Close. The end waits
//     for them, so they must be short.
//   - A function that is added after that is called at once.
//   - If the server never ran, none is called.
//
// OnShutdown may be called from any goroutine. It panics for nil.
func (s *Server) OnShutdown(f func()) {
	if f == nil {
		panic("server: OnShutdown of a nil function")
	}
	s.mu.Lock()
	ending := s.state >= closing
	if !ending {
		s.onEnd = append(s.onEnd, f)
	}
	s.mu.Unlock()
	if ending {
		f()
	}
}

// callOnShutdown calls the functions of OnShutdown, at the first end only.
func (s *Server) callOnShutdown() {
	s.mu.Lock()
	all := s.onEnd
	s.onEnd = nil
	s.mu.Unlock()
	for _, f := range all {
		f()
	}
}

// announce makes Ready false, and returns how much of ShutdownDelay is left.
func (s *Server) announce() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != running {
		return 0
	}
	if s.endsAt.IsZero() {
		s.endsAt = time.Now().Add(max(s.ShutdownDelay, 0))
	}
	return time.Until(s.endsAt)
}

// drain has the loops end their connections in order, after the functions of OnShutdown. It returns false if nothing runs.
func (s *Server) drain() bool {
	if !s.begin() {
		return false
	}
	s.callOnShutdown()
	for _, w := range s.workers {
		w.loop.CallFromThread(w.beginShutdown)
	}
	return true
}

// awaitDelay makes Ready false and waits until ShutdownDelay is over, the server has ended, or ctx has.
func (s *Server) awaitDelay(ctx context.Context) {
	left := s.announce()
	if left <= 0 {
		return
	}
	delay := time.NewTimer(left)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-s.over:
	case <-ctx.Done():
	}
}

// RunUntil serves until ctx ends, and then shuts down gracefully. It is what main calls:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	log.Fatal(s.RunUntil(ctx, 10*time.Second))
//
// It calls Listen first, or ListenTLS if TLSConfig is set, unless the server listens already. The answers under way have
// grace to end, after ShutdownDelay. [Server.RunUntilSignal] brings the context and log lines along. RunUntil returns:
//
//   - nil when the server has ended in order, also when another goroutine has called Shutdown or Close;
//   - an error that wraps context.DeadlineExceeded when grace was over and connections were cut off;
//   - the error of Listen or Run.
func (s *Server) RunUntil(ctx context.Context, grace time.Duration) error {
	if err := s.listenOnce(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	select {
	case err := <-ended:
		return inOrder(err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.Background(), max(s.ShutdownDelay, 0)+max(grace, 0))
	defer cancel()
	if err := s.Shutdown(deadline); err != nil {
		return fmt.Errorf("server: what was open after %v was cut off: %w", grace, err)
	}
	return inOrder(<-ended)
}

func inOrder(err error) error {
	if errors.Is(err, ErrServerClosed) {
		return nil
	}
	return err
}

// OnShutdown sets a function that is called once, on the loop, when [Server.Shutdown] closes the listeners, so that the
// stream can say farewell and Close. Shutdown waits for the stream until its context ends.
//
//   - It is called for a Stream of a Blocking handler, too, on the loop: have it close a channel that the handler waits for.
//   - If the shutdown has begun already, it is called soon.
//   - It is not called after Close, nor when the peer is gone.
//   - A second call replaces the first function; nil removes it.
func (s *Stream) OnShutdown(f func()) {
	x := s.x
	if _, onLoop := s.sink.(*loopSink); !onLoop {
		x.req.conn.w.loop.CallFromThread(func() { x.watchShutdown(f) })
		return
	}
	if !s.closed {
		x.watchShutdown(f)
	}
}

// watchShutdown notes what learns of the shutdown. Loop only.
func (x *exchange) watchShutdown(f func()) {
	c := x.req.conn
	if c.cur != x || c.output == outputEnded {
		return // the answer is complete, or the peer is gone
	}
	x.onShutdown = f
	if f != nil && c.w.closing {
		c.w.loop.CallFromThread(x.shutDown) // not within OnShutdown: the caller may hold a lock that f takes
	}
}

// tellStreams calls the functions of Stream.OnShutdown. They may end their connections, so all are gathered first.
func (w *worker) tellStreams() {
	var all []*exchange
	for c := w.conns.next; c != &w.conns; c = c.next {
		if c.cur != nil && c.cur.onShutdown != nil {
			all = append(all, c.cur)
		}
	}
	for _, x := range all {
		x.shutDown()
	}
}

// shutDown calls the function of Stream.OnShutdown, if there is one.
func (x *exchange) shutDown() {
	f := x.onShutdown
	if x.onShutdown = nil; f != nil && x.req.conn.cur == x {
		x.callLeft(f)
	}
}

// listenOnce is Listen, or ListenTLS if TLSConfig is set, unless the server listens already.
func (s *Server) listenOnce() (err error) {
	s.init()
	s.mu.Lock()
	unbound := s.state == fresh
	s.mu.Unlock()
	switch {
	case !unbound:
	case s.TLSConfig != nil:
		_, err = s.ListenTLS("", "")
	default:
		_, err = s.Listen()
	}
	return err
}

// ShuttingDown reports whether the end of the server that has received r has begun: see [Server.Ready].
func (r *Request) ShuttingDown() bool {
	r.lent()
	s := r.conn.w.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state >= closing || !s.endsAt.IsZero()
}
