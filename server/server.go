package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"microhttp/parser"
	"microhttp/reactor"
)

// Server serves HTTP/1.1. The zero value is ready: it serves 404 on ":http" with
// the defaults named below, which are safe in production. Zero means the default; a
// negative duration or MaxBodyBytes means no limit, where nothing else is said. Fields must not be changed once
// Listen, Serve, ListenAndServe or Factory was called.
type Server struct {
	// Addr is where to listen: "host:port" for TCP, "unix:/path" for a Unix socket
	// ("unix:@name" is one in the abstract namespace of Linux, which has no file), or
	// "systemd" for all sockets that the service manager has passed to this process
	// (sd_listen_fds(3)). "" is ":http".
	Addr string
	// SocketMode is the permissions of the file of a Unix socket: who may write to it
	// may connect. Default: what the umask makes of it, mostly 0755, and then only the
	// user that the server runs as (and root) may connect.
	SocketMode fs.FileMode
	// TLSConfig is how connections with TLS are secured: see ListenTLS. nil is crypto/tls's defaults: TLS 1.2 at least, and
	// tickets whose keys rotate. It is cloned. The protocol that is agreed on by ALPN is always http/1.1; "h2" is left out.
	// Its functions are called off the loops, and may block. To set it and to listen without TLS only is refused by Run.
	TLSConfig *tls.Config
	// Handler answers every request; nil answers 404. Unless it takes the head, as a router does, it is called when
	// the body is whole.
	Handler Handler
	// Loops is the number of reactors, each with a listener of its own.
	// Default: GOMAXPROCS.
	Loops int
	// Poller is how the loops wait, one of reactor.Pollers. Default: the system's
	// best. Listen refuses one that is not there.
	Poller string

	// MaxHeaderBytes bounds the request line and the field lines together.
	// Beyond it 431. Default 32 KiB, at most 16 MiB.
	MaxHeaderBytes int
	// MaxHeaderFields bounds the number of field lines. Beyond it 431. Default 128.
	MaxHeaderFields int
	// MaxTargetBytes bounds the request target. Beyond it 414. Default 8 KiB, at most
	// 16 MiB.
	MaxTargetBytes int
	// MaxBlankLines bounds the empty lines before a request line. Beyond it 400.
	// Default 4; negative allows none.
	MaxBlankLines int
	// MaxBodyBytes bounds a request body, which is buffered as it arrives. Beyond
	// it 413. Default 8 MiB.
	MaxBodyBytes int64
	// MaxChunkExtensionBytes bounds the chunk extensions of a whole body. Beyond it
	// 431. Default 4 KiB.
	MaxChunkExtensionBytes int
	// MaxTrailerBytes bounds the trailer section of a body. Beyond it 431. Default
	// 8 KiB, at most 16 MiB.
	MaxTrailerBytes int
	// MaxPipelinedBytes is the input at which a connection is no longer read from
	// while an answer is owed on it. Of a peer that has sent so much a reset is noticed at
	// once, but not with select(2), and an orderly end when something is sent to it. Default
	// 64 KiB. If it is negative, a connection is read from only when what comes will be used
	// at once.
	MaxPipelinedBytes int
	// MaxUnsentBytes is the output that waits for a peer at which nothing further is
	// made for it; that goes on when a quarter is left. It is what the kernel does not
	// take, which buffers much more. A Stream on the loop whose
	// handler does not ask Full gets ErrUnsentBound at 256 times as much. Default
	// 16 KiB. (A Factory leaves the first of these to the TCPOptions of its port.)
	MaxUnsentBytes int
	// MaxBufferedBytes bounds all that the server holds for its connections: input
	// that is kept, requests and answers in the hands of handlers, streamed pieces, unsent
	// output. What counts is the capacity of the buffers. All loops share the bound. Beyond it, each
	// loop that holds more than an equal part of it ends those of its connections that hold
	// the most, one that is still sending its request with 503. Those that
	// hold little go on. When what handlers own is too much by itself, new requests are
	// answered with 503 until it is not. Default 256 MiB;
	// negative is no bound.
	MaxBufferedBytes int64

	// ErrorHandler answers for an error that a function of [Try] has returned, in the goroutine of that. It fills w, which
	// it may [Response.Reset] first. Default [HandleError].
	ErrorHandler func(w *Response, r *Request, err error)

	// MaxFormMemory bounds what a multipart form takes in memory, in bytes, its fields and the heads of its parts included:
	// see [Request.FormFile]. Default 32 MiB; negative is no bound.
	MaxFormMemory int64
	// MaxFormParts bounds the parts of a multipart form. Default 1000; negative is no bound.
	MaxFormParts int
	// MaxFormFields bounds the fields of a form that is url-encoded. Default 10,000; negative is no bound.
	MaxFormFields int
	// MaxFormDisk bounds what the files of one multipart form take on disk, in bytes. Default 1 GiB; negative is no bound.
	MaxFormDisk int64
	// MaxFormDiskAll bounds what all multipart forms of the server take on disk together. A form beyond it gets 503. Default
	// 4 GiB; negative is no bound.
	MaxFormDiskAll int64

	// MaxConns bounds the connections that are open. Those beyond it are answered
	// with 503 and closed; a flood of them is closed without a word. Default 65536;
	// negative is no bound.
	MaxConns int
	// MaxConnsPerAddr does the same for those from one address, or, in IPv6, from one
	// /64. The default is no bound: behind a proxy all connections come from one. The
	// peers of a Unix socket have no address, and are not bounded by it.
	MaxConnsPerAddr int

	// MaxHandshakes bounds the TLS handshakes that are under way. Beyond it the one that has waited longest is ended.
	// Default 4096, also if it is negative.
	MaxHandshakes int
	// HandshakeTimeout is the time for a whole TLS handshake. Beyond it the connection is closed. Default 10 s, also if it is
	// negative.
	HandshakeTimeout time.Duration

	// ReadHeaderTimeout is the time for a whole head, from its first byte, or from
	// the start of a new connection. Beyond it 408; a new connection that has sent
	// nothing is closed without a word. Default 10 s.
	ReadHeaderTimeout time.Duration
	// BodyTimeout is the time for a whole body, from the end of its head. Beyond it 408.
	// Default 10 min, in which 8 MiB may come at 14 kB/s. MinDataRate ends an upload that
	// makes too little progress, long before that.
	BodyTimeout time.Duration
	// MinDataRate is the rate, in bytes a second, at which a head or a body must arrive, once DataRateGrace has passed
	// since it began. Bytes that come faster buy time, up to 30 s of it. Below the rate the answer is 408. It does not
	// count while the server is not reading. It is also the rate at which a peer must take its answers: see SendTimeout.
	// Default 240; negative is no bound.
	MinDataRate int
	// DataRateGrace is the time before MinDataRate counts for a head or a body. Default 5 s; negative is none.
	DataRateGrace time.Duration
	// SendTimeout is how long output may wait for a peer that has used up its credit. Then the connection is reset.
	// Default 30 s; negative is no bound, whatever MinDataRate says.
	//
	// The peer has credit for what its kernel has acknowledged: each byte of an answer buys 1/MinDataRate seconds, and
	// up to 5 min are saved. Time counts only while output waits that the socket does not take. SendTimeout does not run
	// while there is credit, and begins anew only when all that was overdrawn is paid. With the defaults this means:
	//
	//   - A peer that reads 300 bytes a second or more, and whose window opens within its credit, is never cut off.
	//   - A peer that reads 100 bytes a second is reset within 15 minutes.
	//   - A peer that reads nothing is reset within SendTimeout and the credit of what its own buffer took.
	//
	// When MinDataRate is off, SendTimeout begins anew with each byte that is acknowledged. On systems other than Linux,
	// and over Unix sockets, what the socket accepts counts as acknowledged.
	SendTimeout time.Duration
	// IdleTimeout ends a connection that awaits its next request for so long. It does not end a connection, nor does
	// LingerTimeout, while the peer is still taking an answer from the kernel, by the law of SendTimeout. Default 75 s.
	IdleTimeout time.Duration
	// PendingTimeout is the time for the answer that a Pending owes. Beyond it the
	// server answers 503 itself. A Stream on the loop that is neither written to nor closed
	// for so long is logged, once, as forgotten perhaps, unless it sends text/event-stream or
	// has a function of OnPeerEnd. Default 5 min.
	PendingTimeout time.Duration
	// LingerTimeout and MaxLingerBytes bound how long, and how much, a connection goes
	// on reading after its last answer, so that a peer that still sends gets to read
	// that answer instead of a reset (RFC 9112, 9.6). Default 5 s and 64 MiB, at most
	// 2 GiB; negative is not at all.
	LingerTimeout  time.Duration
	MaxLingerBytes int

	// ShutdownDelay is the time between the moment at which Ready becomes false and the closing of the listeners. In it, a
	// load balancer that asks for readiness sends its requests elsewhere. The server answers as before. The context of
	// Shutdown counts during the delay, too; Close does not wait. Default 0.
	ShutdownDelay time.Duration
	// ShutdownIdleGrace is how long a connection that is idle, or has had its last answer, stays readable once the
	// listeners are closed. A request that was under way by then is still answered. Default 250 ms; negative is none.
	ShutdownIdleGrace time.Duration

	// MaxBlocking is the number of Blocking handlers that run at a time, over all loops.
	// Default 512. Beyond it requests wait, sixteen times as many; beyond that 503. A handler
	// that waits for its peer does not count: see MaxBlockingWaiting.
	MaxBlocking int
	// MaxBlockingWaiting is the number of Blocking handlers that may wait for their peers
	// without counting for MaxBlocking: Write of a Stream waits for a peer that does not read.
	// Default 8192; negative is no bound. Beyond it a handler counts while it waits. When
	// requests then wait for longer than a second, the connections that have kept their handlers
	// waiting longest, for a second at least, are reset to make room. Each such handler holds a
	// goroutine, mostly 8 to 64 KiB.
	MaxBlockingWaiting int
	// BlockingQueueTimeout is the time that a request waits at most for a Blocking handler to
	// begin. Beyond it 503, with Retry-After. Default 10 s; negative is no bound. When a request
	// has waited for a second, the log says which routes the handlers are of that run, at most
	// every 10 s.
	BlockingQueueTimeout time.Duration

	// StallLimit is how long a handler may hold up its loop before a warning is logged,
	// while it still does, with its route, its peer and its stack; at most one a second.
	// Requests that came together and go to one route, one after the other, hold it up together.
	// Default 100 ms; negative switches it off.
	//
	// Handlers that take less are warned of, too, if they take 2 ms or more on average and
	// a tenth of the loop's time or more in all; at most once a minute for each route. See
	// RouteShares. A negative StallLimit switches this off as well.
	StallLimit time.Duration

	// DetectLateUse makes the use of a Request or Response after its response is
	// done panic, where it would otherwise show the next request, or nothing: without it
	// only a use that meets no next request is found out, and logged, once. It costs an
	// allocation for each request: switch it on in tests.
	DetectLateUse bool

	// Log gets a line for each request that the server refuses and for each connection that
	// it ends (info), for misuse, stalls and its own limits (warn), and for panics (error), from
	// any goroutine. At most ten lines of one kind are written in a second; the rest are counted,
	// and a line tells how many they were. nil is standard error, at level info: see Log.
	Log *Log

	setup   sync.Once
	lateUse sync.Once // is logged

	shareWarnings shareWarnings

	mu      sync.Mutex // guards what follows
	workers []*worker
	system  reactor.System   // of package servertest; nil is the kernel
	clock   func() time.Time // of the same; nil is time.Now
	group   *reactor.Group
	ports   []*reactor.Port // the first loop's: one for each socket
	secured []bool          // whether the ports have TLS
	handed  []net.Listener  // to Serve; ours to close
	state   lifecycle
	over    chan struct{} // closed when the last loop has ended
	endsAt  time.Time     // when ShutdownDelay is over; zero before Shutdown
	onEnd   []func()      // of OnShutdown
	limits  parser.Limits
	conf    settings
	doors   doors
	ended   [closeReasonCount]atomic.Uint64 // connections, by CloseReason
	refused refusals

	handshakes   any // a *tlslayer.Handshakes, or nil unless a listener has TLS; its type would have every program link TLS
	certificates certificates
	accepted     atomic.Uint64 // connections that were let in
	lines        lineLimits
	places       places
	formDisk     atomic.Int64              // bytes of forms on disk
	counted      atomic.Pointer[[]*worker] // the loops that MaxBufferedBytes is for
	handler      Handler                   // Handler, or notFound
	log          *Log
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

func notFound(w *Response, _ *Request, _ Handler) { w.Error(404) }

// Run serves what Listen has bound, once. It returns when Shutdown or Close has
// completed, with ErrServerClosed, and then nothing of the server is left running;
// so main may end with it.
func (s *Server) Run() error {
	if err := s.start(); err != nil {
		return err
	}
	err := s.group.Run()
	s.finish()
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return ErrServerClosed
}

// start is the part of Run that comes before the loops.
func (s *Server) start() error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case listening:
		if s.TLSConfig != nil && s.handshakes == nil {
			return fmt.Errorf("%w: TLSConfig is set, and no address is served with it: use ListenTLS, WithTLS or ServeTLS", ErrTLS)
		}
	case closing, closed:
		return ErrServerClosed
	default:
		return errors.New("server: Run needs Listen first, once")
	}
	s.state = running
	return nil
}

// finish is the part of Run that comes when all loops have ended.
func (s *Server) finish() {
	s.mu.Lock()
	s.state = closed
	s.closeHanded()
	s.mu.Unlock()
	s.endLines()
	flushDefaultLog()
	close(s.over)
}

// ListenAndServe is Listen and then Run.
func (s *Server) ListenAndServe() error {
	if _, err := s.Listen(); err != nil {
		return err
	}
	return s.Run()
}

// Shutdown ends the server gracefully, from any goroutine. Ready becomes false, and
// ShutdownDelay passes. Then the functions of OnShutdown are called, and after them those of
// each Stream.OnShutdown, on the loops; listeners accept what is queued and close; requests in progress are answered, with Connection: close; an idle
// connection stays readable for a short grace, and a request that comes then is still
// answered. When ctx ends first, the connections that are left are aborted and the
// error of ctx is returned; a Blocking handler that goes on regardless then holds up
// Run, but not Shutdown. A second call waits as the first one does; it may come before
// the server has begun, which then never does.
//
// A handler that ends its server does so in a goroutine of its own, go s.Shutdown(ctx),
// for Shutdown waits for that handler's answer too. On a loop of the server it would wait
// for itself, and panics.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	if s.onLoop() {
		panic("server: Shutdown on a loop of the server, which it would wait for: call it in a goroutine")
	}
	s.awaitDelay(ctx)
	if !s.drain() {
		return nil
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
	s.group.Stop()
	select {
	case <-s.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the server at once, from any goroutine: connections are aborted, and all answers that
// are owed end with ErrServerClosed. A Blocking handler that goes on regardless holds up Run, but
// not Close. The error is always nil.
func (s *Server) Close() error {
	s.init()
	if s.begin() { // also when a Shutdown is under way, which it cuts short
		s.callOnShutdown()
		s.stopNow()
	}
	return nil
}

// stopPatience is how long an end that is not graceful waits for the loops: they abort
// their connections at once, but a Blocking handler may not look at its context.
const stopPatience = time.Second

func (s *Server) stopNow() {
	s.abort()
	if s.onLoop() {
		return // it cannot end before this
	}
	select {
	case <-s.over:
	case <-time.After(stopPatience):
	}
}

// abort has the loops abort their connections and end.
func (s *Server) abort() {
	for _, w := range s.workers {
		w.loop.CallFromThread(w.abortAll)
	}
}

// onLoop reports whether the caller is a loop of this server, which cannot wait for itself.
func (s *Server) onLoop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.workers, func(w *worker) bool { return w.loop.InLoop() })
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
		s.closeHanded()
		_ = s.group.Close() // none of its loops has run
		s.state = closed
		close(s.over)
		return false
	}
	s.closeHanded()
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
