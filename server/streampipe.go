package server

import (
	"os"
	"sync"
	"time"
)

const (
	// streamPiece is how much of a large Write off the loop is handed over at once.
	streamPiece = 16 << 10
	// streamSpare is the largest buffer that a stream off the loop keeps for its next piece.
	streamSpare = 64 << 10
)

// pipe carries the content of a Stream from a Blocking handler to the loop. Write waits while the peer does not keep
// up; the loop fetches what has gathered.
type pipe struct {
	s *Stream

	mu     sync.Mutex
	room   sync.Cond
	buf    []byte
	spare  []byte
	posted bool // fetch is on its way
	taken  bool // the answer has begun already
	paused bool // the peer does not keep up
	rest   rest // of a writer that waits for the peer
	by     deadline
	missed bool // and Write or the end has met it
	err    error

	counted int // what buf and spare were last counted to hold
}

func newPipe(s *Stream) *pipe {
	p := &pipe{s: s}
	p.room.L = &p.mu
	return p
}

// begin begins the answer before there is content. The caller owns it already.
func (p *pipe) begin() {
	p.taken = true
	_ = p.post(nil, nil, false)
}

// admits lets everything pass: put looks.
func (p *pipe) admits() error { return nil }

// put hands b over in pieces, waiting for room before each.
func (p *pipe) put(b []byte, _ bool) (int, error) {
	done := 0
	for {
		piece := b[done:min(len(b), done+streamPiece)]
		if err := p.post(piece, nil, false); err != nil {
			return done, err
		}
		if done += len(piece); done == len(b) {
			return done, nil
		}
	}
}

// post adds a piece to what the loop will fetch, or the end of the content.
func (p *pipe) post(piece, end []byte, last bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !last {
		p.awaitRoom()
	}
	if p.by.passed && p.err == nil {
		p.err, p.missed = os.ErrDeadlineExceeded, true
	}
	if p.err != nil {
		return p.err
	}
	switch {
	case p.s.framing.mute:
	case len(piece) > 0:
		p.s.x.res.sent += int64(len(piece))
		p.buf = p.s.appendFramed(p.buf, piece)
	default:
		p.buf = append(p.buf, end...)
	}
	p.recount()
	if !p.posted {
		p.posted = true
		if !p.s.x.req.conn.w.loop.CallFromThread(p.fetch) {
			p.err = ErrServerClosed
			return p.err
		}
	}
	return nil
}

// awaitRoom waits until the loop takes more. The wait for a peer that does not keep up is without a place; see
// places.go. The caller has p.mu.
func (p *pipe) awaitRoom() {
	x := p.s.x
	for p.err == nil && !p.by.passed && (p.paused || len(p.buf) > x.req.conn.w.srv.conf.unsent) {
		if !p.paused {
			p.room.Wait() // for the loop, which is about to fetch
			continue
		}
		x.job.giveBack()
		for p.err == nil && !p.by.passed && p.paused {
			p.rest.begin(x, &p.by)
			p.room.Wait()
		}
		p.mu.Unlock()
		x.job.takeAgain() // which may take its time: the loop must not wait for it
		p.mu.Lock()
	}
}

// fetch takes over, on the loop, what the handler has written. The first time it begins the answer, unless the server
// has answered in the handler's place. It does so also for a handler that has panicked since: what was written goes out.
func (p *pipe) fetch() {
	p.mu.Lock()
	b := p.buf
	p.buf, p.spare, p.posted = p.spare[:0], nil, false
	p.recount()
	p.room.Broadcast()
	p.mu.Unlock()
	x := p.s.x
	c := x.req.conn
	if x.live == nil && c.cur == x && c.output != outputEnded && (p.taken || x.take() == nil || x.fate.Load() == fateAborted) {
		p.s.begin()
	}
	switch {
	case p.taken && c.cur != x:
		p.lost(x.reason)
		return
	case c.cur != x || x.live == nil:
		p.lost(x.lostTo())
		return
	case c.output == outputEnded:
		p.lost(c.over())
		return
	}
	c.t.Write(b)
	c.w.checkHeld()
	if cap(b) <= streamSpare {
		p.mu.Lock()
		p.spare = b
		p.recount()
		p.mu.Unlock()
	}
}

func (p *pipe) close(end []byte, broken bool) error {
	if broken {
		return nil
	}
	err := p.post(nil, end, true) // the end of the handler gives the exchange back
	p.mu.Lock()
	missed := p.missed
	p.mu.Unlock()
	if missed {
		p.s.x.req.conn.w.loop.CallFromThread(p.breakOff) // after what Write has taken
	}
	return err
}

// breakOff is called on the loop when a deadline was missed. What Write has taken before is sent, if the peer can tell that it
// is not the whole.
func (p *pipe) breakOff() {
	switch x := p.s.x; {
	case x.req.conn.cur != x:
	case x.live == nil, p.s.framing.kind == framedClose:
		p.s.breakOff(ErrSendTimeout)
	default:
		x.short, x.res.err = true, ErrSendTimeout
	}
}

func (p *pipe) setDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.by.set(t, p.change)
		p.rest.end(p.s.x)
		p.room.Broadcast()
	}
}

// change changes the state and wakes a writer that waits.
func (p *pipe) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.rest.end(p.s.x)
	p.room.Broadcast()
}

func (p *pipe) full() bool { return false }

func (p *pipe) onDrain(func()) {}

func (p *pipe) pause() {
	p.mu.Lock()
	p.paused = true
	p.spare = nil // it may be long before it is of use
	p.recount()
	p.mu.Unlock()
}

func (p *pipe) resume() {
	p.mu.Lock()
	p.paused = false
	p.rest.end(p.s.x)
	p.room.Broadcast()
	p.mu.Unlock()
}

// lost ends the wait of a writer.
func (p *pipe) lost(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.rest.end(p.s.x)
	p.room.Broadcast()
	p.mu.Unlock()
}

// recount counts what waits for the loop to fetch it. The caller has p.mu.
func (p *pipe) recount() {
	p.s.x.req.conn.w.recountMade(&p.counted, cap(p.buf)+cap(p.spare))
}

func (p *pipe) uncount() {
	p.mu.Lock()
	p.by.stop()
	p.s.x.req.conn.w.recountMade(&p.counted, 0)
	p.mu.Unlock()
}
