package websocket

import (
	"context"
	"errors"
	"sync"

	"microhttp/reactor"
	"microhttp/server"
)

// The blocking form: a Conn on the loop, and a queue in each direction between it and the goroutine of a Blocking handler.

const (
	// readAhead and readAheadMessages are where the connection is no longer read from, until the handler has taken what is
	// queued down to a quarter.
	readAhead         = 64 << 10
	readAheadMessages = 64
	// writeAhead is how many bytes may be on their way to the loop before Write waits.
	writeAhead = 64 << 10
)

// ErrRefused says that Accept has refused a handshake. The Response has the answer, and the handler should return.
var ErrRefused = errors.New("websocket: the handshake was refused")

// BlockingConn is a WebSocket of a Blocking handler. Read is for one goroutine at a time; Write and Close are for any. The
// connection answers and sends pings by itself.
//
// When the handler returns, a connection that is still open is closed with 1000, or with 1011 after a panic. Shutdown closes it
// with 1001: Read then returns an error, and the handler should return.
type BlockingConn struct {
	c *Conn
	w *server.Response

	writing chan struct{} // has a token while no Write is under way
	context []byte        // what the next message refers to; for the owner of the token

	mu     sync.Mutex
	moved  sync.Cond // something below has changed
	queue  []received
	bytes  int  // in queue
	taken  bool // the reader has a message, and has not come for the next
	ends   bool // the peer's close frame has come, and is answered when the reader comes
	paused bool
	full   bool // the peer does not keep up
	posted int  // bytes on their way to the loop
	state  state
	shook  bool // the close handshake is complete
	how    CloseError
	told   int // what the server was told last of the queue
}

type received struct {
	kind Kind
	p    []byte
}

// Accept takes the handshake in a Blocking handler, or in one of OwnGoroutine, and answers with 101. The fields of h mean what
// they mean for Serve; OnOpen and OnMessage are not called. The error is [ErrRefused] when the answer is another one. Otherwise
// it is a server.CloseReason, or server.ErrServerClosed: there is no connection any more.
//
//	server.BlockingFunc(func(w *server.Response, r *server.Request) {
//		c, err := h.Accept(w, r)
//		if err != nil {
//			return
//		}
//		…
//	})
//
// While Read and Write wait for the peer, the handler takes no place of Server.MaxBlocking. Accept panics on the loop.
func (h *Handler) Accept(w *server.Response, r *server.Request) (*BlockingConn, error) {
	c := h.open(w, r)
	if c == nil {
		return nil, ErrRefused
	}
	b := &BlockingConn{c: c, w: w, writing: make(chan struct{}, 1)}
	b.moved.L = &b.mu
	b.writing <- struct{}{}
	c.blocking = b
	if err := w.Upgrade("websocket", c); errors.Is(err, server.ErrNoUpgrade) {
		w.Reset()
		w.Error(400)
		return nil, ErrRefused
	} else if err != nil {
		return nil, err
	}
	if c.t == nil {
		panic("websocket: Accept on the loop: it is for Blocking handlers")
	}
	w.OnDone(b.returned)
	return b, nil
}

// returned is called on the loop when the handler has.
func (b *BlockingConn) returned(w *server.Response, _ *server.Request) {
	b.answerClose()
	if w.Err() != nil {
		b.c.Close(CloseInternal, "")
		return
	}
	b.c.Close(CloseNormal, "")
}

// Subprotocol returns what was agreed on, or "".
func (b *BlockingConn) Subprotocol() string { return b.c.Subprotocol() }

// Read returns the next message, which is the caller's. Text is valid UTF-8. It waits until there is one, or until ctx ends;
// then the error is that of ctx, and a later Read goes on. When the connection is closed, what came before that is returned
// first, and then a *CloseError: the code of the peer, or ours, or CloseAbnormal.
//
// A handler that does not call Read slows its peer: the connection is read ahead by 64 KiB or 64 messages, and then no longer.
func (b *BlockingConn) Read(ctx context.Context) (kind Kind, p []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = false
	if b.ends && len(b.queue) == 0 {
		b.ends = false
		b.post(b.answerClose)
	}
	b.wait(ctx, func() bool { return len(b.queue) > 0 || b.state != open })
	switch {
	case ctx.Err() != nil:
		return 0, nil, ctx.Err()
	case len(b.queue) == 0:
		how := b.how
		return 0, nil, &how
	}
	m := b.queue[0]
	b.queue[0] = received{}
	if b.queue = b.queue[1:]; len(b.queue) == 0 {
		b.queue = nil
	}
	b.bytes -= len(m.p)
	b.taken = true
	switch {
	case b.paused && b.bytes <= readAhead/4 && len(b.queue) <= readAheadMessages/4:
		b.paused = false
		b.post(b.resume)
	case b.queue == nil && b.told > readAhead/4:
		b.post(b.c.count)
	}
	return m.kind, m.p, nil
}

func (b *BlockingConn) answerClose() {
	if b.c.closes {
		b.c.answerClose()
	}
}

func (b *BlockingConn) resume() {
	b.c.count()
	b.c.Resume()
}

// Write sends a message; p is free on return. It waits while the peer does not keep up, or until ctx ends; then nothing was
// sent. It returns when the message is queued, and messages leave in that order. When the connection is closed or closing the
// error is a *CloseError. It is server.ErrServerClosed when the loop has ended.
func (b *BlockingConn) Write(ctx context.Context, kind Kind, p []byte) error {
	select {
	case <-b.writing:
	default:
		select {
		case <-b.writing:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { b.writing <- struct{}{} }()
	if err := b.awaitRoom(ctx); err != nil {
		return err
	}
	frame := b.encode(opcode(kind), p)
	b.mu.Lock()
	b.posted += len(frame)
	b.mu.Unlock()
	if !b.post(func() { b.send(frame) }) {
		return server.ErrServerClosed
	}
	return nil
}

func (b *BlockingConn) awaitRoom(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wait(ctx, func() bool { return b.state != open || !b.full && b.posted < writeAhead })
	switch {
	case b.state != open:
		how := b.how
		return &how
	default:
		return ctx.Err()
	}
}

// encode makes a frame of its own, in the goroutine that writes.
func (b *BlockingConn) encode(op opcode, p []byte) []byte {
	a := &b.c.agreed
	if !a.on || len(p) == 0 {
		return append(appendHead(make([]byte, 0, len(p)+10), op, false, len(p)), p...)
	}
	content := p
	p = deflate(nil, p, a.serverWindow, b.context)
	if a.serverTakes {
		b.context = keepWindow(b.context, content, sentWindow)
	}
	return append(appendHead(make([]byte, 0, len(p)+10), op, true, len(p)), p...)
}

// send sends a frame, on the loop.
func (b *BlockingConn) send(frame []byte) {
	if c := b.c; c.state == open {
		c.t.Send(reactor.Given(frame))
		c.sent()
	}
	b.mu.Lock()
	b.posted -= len(frame)
	b.moved.Broadcast()
	b.mu.Unlock()
}

// Close begins the close handshake, after what was written, and waits until the peer has done its part, for at most
// Handler.CloseTimeout. It returns nil if the peer has, and else a *CloseError with CloseAbnormal. When the peer has begun, or
// Close is called again, it only waits. It panics for a code that may not be sent. The reason may have 123 bytes.
func (b *BlockingConn) Close(code int, reason string) error {
	mustBeCode(code)
	b.post(func() { b.c.Close(code, reason) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wait(context.Background(), func() bool { return b.state >= over })
	if !b.shook {
		return &CloseError{Code: CloseAbnormal}
	}
	return nil
}

// wait waits until ready, or until ctx ends, without a place of MaxBlocking. The caller has b.mu.
func (b *BlockingConn) wait(ctx context.Context, ready func() bool) {
	if ready() || ctx.Err() != nil {
		return
	}
	defer context.AfterFunc(ctx, b.wake)()
	for !ready() && ctx.Err() == nil {
		b.w.AwaitPeer(func() {
			for !ready() && ctx.Err() == nil {
				b.moved.Wait()
			}
			b.mu.Unlock() // a place may be long in coming: the loop must not wait for it
		})
		b.mu.Lock()
	}
}

func (b *BlockingConn) wake() {
	b.mu.Lock()
	b.moved.Broadcast()
	b.mu.Unlock()
}

func (b *BlockingConn) post(f func()) bool { return b.c.t.Reactor().CallFromThread(f) }

// deliver takes a message from the loop, and stops the input when too much is queued.
func (b *BlockingConn) deliver(c *Conn, kind Kind, p []byte) {
	b.mu.Lock()
	b.queue = append(b.queue, received{kind, p})
	b.bytes += len(p)
	stop := b.bytes >= readAhead || len(b.queue) >= readAheadMessages
	b.paused = b.paused || stop
	b.moved.Broadcast()
	b.mu.Unlock()
	if stop {
		c.Pause()
	}
}

// closes takes the peer's close frame from the loop. It reports whether the answer waits, since the handler has messages that it
// may want to answer before: until the reader has come for more, the handler returns, or Handler.CloseTimeout is over.
func (b *BlockingConn) closes() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = b.taken || len(b.queue) > 0
	if !b.ends && b.posted > 0 {
		b.post(b.answerClose) // which comes after what was written
		return true
	}
	return b.ends
}

// observe takes the state of the connection from the loop.
func (b *BlockingConn) observe(c *Conn) {
	b.mu.Lock()
	b.full, b.state, b.shook, b.how = c.full, c.state, c.shook, c.outcome
	b.moved.Broadcast()
	b.mu.Unlock()
}

// holds is the memory that is queued for the reader.
func (b *BlockingConn) holds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = b.bytes
	return b.bytes
}
