package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"microhttp/parser"
	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// Handler answers requests. Serve is called on the loop of the connection: it must
// not block there (see [Blocking]). When it returns, the answer is sent, unless it
// took a [Pending] or a [Stream] from w.
type Handler interface {
	Serve(w *Response, r *Request)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(w *Response, r *Request)

// Serve calls f.
func (f HandlerFunc) Serve(w *Response, r *Request) { f(w, r) }

// Server serves HTTP/1.1. The zero value is ready: it serves 404 on ":http" with
// the defaults named below, which are safe in production. Zero means the default; a
// negative duration or MaxBodyBytes means no limit. Fields must not be changed once
// Listen, ListenAndServe or Factory was called.
type Server struct {
	// Addr is the TCP address to listen on, "host:port"; "" is ":http".
	Addr string
	// Handler answers every request; nil answers 404.
	Handler Handler
	// Loops is the number of reactors, each with a listener of its own.
	// Default: GOMAXPROCS.
	Loops int

	// MaxHeaderBytes bounds the request line and the field lines together.
	// Beyond it 431. Default 32 KiB.
	MaxHeaderBytes int
	// MaxHeaderFields bounds the number of field lines. Beyond it 431. Default 128.
	MaxHeaderFields int
	// MaxTargetBytes bounds the request target. Beyond it 414. Default 8 KiB.
	MaxTargetBytes int
	// MaxBodyBytes bounds a request body, which is buffered as it arrives. Beyond
	// it 413. Default 8 MiB.
	MaxBodyBytes int64

	// ReadHeaderTimeout is the time for a whole head, from its first byte, or from
	// the start of a new connection. Beyond it 408; a new connection that has sent
	// nothing is closed without a word. Default 10 s.
	ReadHeaderTimeout time.Duration
	// BodyTimeout is the time for a whole body, from the end of its head. Beyond
	// it 408. Default 30 s.
	BodyTimeout time.Duration
	// SendTimeout ends a connection whose peer takes nothing of the output that
	// waits for it for so long. Default 30 s.
	SendTimeout time.Duration
	// IdleTimeout ends a connection that awaits its next request for so long.
	// Default 75 s.
	IdleTimeout time.Duration

	// MaxBlocking is the number of goroutines that Blocking handlers share, over
	// all loops. Default 512. Sixteen times as many requests may wait; beyond that 503.
	MaxBlocking int

	// DetectLateUse makes the use of a Request or Response after its response is
	// done panic, where it would otherwise show the next request, or nothing. It
	// costs an allocation for each request: switch it on in tests.
	DetectLateUse bool

	// Logger is told of refused requests (info), of misuse (warn) and of panics
	// (error). nil logs warnings and worse to standard error. To be silent, use
	// zerolog.Nop.
	Logger *zerolog.Logger

	setup   sync.Once
	mu      sync.Mutex // guards what follows
	workers []*worker
	ports   []*reactor.Port
	state   lifecycle
	over    chan struct{} // closed when the last loop has ended
	limits  parser.Limits
	conf    settings
	serve   func(w *Response, r *Request)
	log     zerolog.Logger
}

// lifecycle is where a Server stands; it only ever goes up.
type lifecycle uint8

const (
	fresh lifecycle = iota
	listening
	running
	closing
	closed
)

// settings are the fields of a Server with the defaults filled in.
type settings struct {
	timeouts        [phases]time.Duration
	sendTimeout     time.Duration
	loops, blocking int
}

// blockingQueue is how many requests may wait for each goroutine of MaxBlocking:
// enough to ride out a burst, and a bound on what the waiting requests hold.
const blockingQueue = 16

func (s *Server) init() {
	s.setup.Do(func() {
		s.conf = settings{
			timeouts: [phases]time.Duration{
				phaseNew:   orDefault(s.ReadHeaderTimeout, 10*time.Second),
				phaseIdle:  orDefault(s.IdleTimeout, 75*time.Second),
				phaseHead:  orDefault(s.ReadHeaderTimeout, 10*time.Second),
				phaseBody:  orDefault(s.BodyTimeout, 30*time.Second),
				phaseDrain: lingerTime,
			},
			sendTimeout: orDefault(s.SendTimeout, 30*time.Second),
			loops:       s.Loops,
			blocking:    s.MaxBlocking,
		}
		if s.conf.loops <= 0 {
			s.conf.loops = runtime.GOMAXPROCS(0)
		}
		if s.conf.blocking <= 0 {
			s.conf.blocking = 512
		}
		s.limits = parser.Limits{
			Head:       s.MaxHeaderBytes,
			FieldLines: s.MaxHeaderFields,
			Target:     s.MaxTargetBytes,
			Body:       s.MaxBodyBytes,
		}
		s.serve = notFound
		if s.Handler != nil {
			s.serve = s.Handler.Serve
		}
		s.log = newLogger(s.Logger)
		s.over = make(chan struct{})
	})
}

// orDefault is v, or def when v is zero, or nothing (0) when v is negative.
func orDefault(v, def time.Duration) time.Duration {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}

func notFound(w *Response, _ *Request) { w.Error(404) }

// Listen binds Addr, once for each loop, without serving yet, and returns the
// address that was bound: with port 0 the real one. The error wraps the system's,
// so that errors.Is(err, syscall.EADDRINUSE) tells that somebody else listens there.
func (s *Server) Listen() (netip.AddrPort, error) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case fresh:
	case closing, closed:
		return netip.AddrPort{}, ErrServerClosed
	default:
		return netip.AddrPort{}, errors.New("server: Listen was called before")
	}
	if err := s.bind(); err != nil {
		for _, w := range s.workers {
			w.loop.Close()
		}
		s.workers, s.ports = nil, nil
		return netip.AddrPort{}, err
	}
	s.state = listening
	return s.ports[0].Addr(), nil
}

// bind makes the loops and their ports; the first port is bound alone and the
// others join it, so that a second process gets "address in use".
func (s *Server) bind() error {
	addr := s.Addr
	if addr == "" {
		addr = ":http"
	}
	for i := range s.conf.loops {
		loop, err := reactor.New(reactor.Config{
			ThreadPoolSize: max(1, s.conf.blocking/s.conf.loops),
			ThreadQueue:    max(1, s.conf.blocking/s.conf.loops) * blockingQueue,
			ReportError:    s.reportError,
		})
		if err != nil {
			return err
		}
		w := newWorker(s, loop)
		s.workers = append(s.workers, w)
		var port *reactor.Port
		if i == 0 {
			port, err = loop.ListenTCP(addr, w, &reactor.TCPOptions{
				Shared: s.conf.loops > 1,
				TransportOptions: reactor.TransportOptions{
					WriteTimeout: s.conf.sendTimeout, HighWater: highWater, LowWater: lowWater,
					LingerTimeout: -1, // SendTimeout is for both
					MaxBuffered:   -1, // an answer is in memory already; how many there are is bounded by highWater
				},
			})
		} else {
			port, err = s.ports[0].Share(loop, w)
		}
		if err != nil {
			return err
		}
		w.port = port
		s.ports = append(s.ports, port)
	}
	return nil
}

// Run serves what Listen has bound. It returns when Shutdown or Close has
// completed, with ErrServerClosed, and then nothing of the server is left running;
// so main may end with it.
func (s *Server) Run() error {
	s.init()
	s.mu.Lock()
	switch s.state {
	case listening:
	case closing, closed:
		s.mu.Unlock()
		return ErrServerClosed
	default:
		s.mu.Unlock()
		return errors.New("server: Run needs Listen first, once")
	}
	s.state = running
	workers := s.workers
	s.mu.Unlock()

	failed := make(chan error, len(workers))
	for _, w := range workers {
		go func() { failed <- w.loop.Run() }()
	}
	var err error
	for range workers {
		if e := <-failed; e != nil && err == nil {
			err = fmt.Errorf("server: a loop ended: %w", e)
			for _, w := range workers {
				w.loop.Stop()
			}
		}
	}
	s.mu.Lock()
	s.state = closed
	s.mu.Unlock()
	close(s.over)
	if err != nil {
		return err
	}
	return ErrServerClosed
}

// ListenAndServe is Listen and then Run.
func (s *Server) ListenAndServe() error {
	if _, err := s.Listen(); err != nil {
		return err
	}
	return s.Run()
}

// Shutdown ends the server gracefully, from any goroutine: listeners accept what is
// queued and close; requests in progress are answered, with Connection: close; an idle
// connection stays readable for a short grace, and a request that comes then is still
// answered. When ctx ends first, the connections that are left are aborted and the
// error of ctx is returned; a Blocking handler that goes on regardless then holds up
// Run, but not Shutdown.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	if !s.begin() {
		return nil
	}
	for _, w := range s.workers {
		w.loop.CallFromThread(w.beginShutdown)
	}
	for _, w := range s.workers {
		select {
		case <-w.drained:
		case <-s.over:
		case <-ctx.Done():
			s.stopNow()
			return ctx.Err()
		}
	}
	for _, w := range s.workers {
		w.loop.Stop()
	}
	select {
	case <-s.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the server at once, from any goroutine: connections are aborted, and
// answers that were still awaited get ErrServerClosed. A Blocking handler that goes on
// regardless holds up Run, but not Close.
func (s *Server) Close() error {
	s.init()
	s.mu.Lock()
	if s.state == closing {
		s.state = running // Close cuts a Shutdown short
	}
	s.mu.Unlock()
	if s.begin() {
		s.stopNow()
	}
	return nil
}

// stopPatience is how long an end that is not graceful waits for the loops: they abort
// their connections at once, but a Blocking handler may not look at its context.
const stopPatience = time.Second

func (s *Server) stopNow() {
	for _, w := range s.workers {
		w.loop.CallFromThread(w.abortAll)
	}
	select {
	case <-s.over:
	case <-time.After(stopPatience):
	}
}

// begin moves the server to closing and reports whether there is anything running
// to be ended.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case fresh, closed:
		s.state = closed
		return false
	case listening:
		for _, w := range s.workers {
			w.loop.Close()
		}
		s.state = closed
		close(s.over)
		return false
	}
	s.state = closing
	return true
}

// Factory returns a factory of this server's protocol for a reactor of yours, so
// that HTTP is one service among others on it. The server neither runs nor stops
// that reactor, and Shutdown does not wait for its connections: stop the port
// that you gave the factory to. Call it before the reactor runs, or on its loop.
func (s *Server) Factory(loop *reactor.Reactor) reactor.Factory {
	s.init()
	return newWorker(s, loop)
}
