package sim_test

import (
	"errors"
	"io"
	"net/netip"
	"reflect"
	"syscall"
	"time"

	"microhttp/reactor"
)

// chaos is the value of a panic that an actor means.
const chaos = "chaos"

// An actor is a protocol that does what comes to its mind and checks everything that it is told.
type actor struct {
	s        *stage
	l        *loop
	link     *link
	attempt  *attempt // that it came of; nil if it was accepted
	t        reactor.Transport
	made     bool
	lost     bool
	inside   bool // one of its callbacks
	writing  bool // what it writes now does not count yet
	lasting  bool // it outlives its peer's end
	eof      bool
	received int
	written  int
	sure     int  // of written, while the peer had not half-closed: accepted in any case
	promised int  // written when the orderly end was asked for, and no producer registered; -1 before
	waiting  bool // an orderly end was asked for, and waits for the producer
	halving  bool // CloseWrite was asked for
	halved   bool // and is done
	losing   bool
	late     bool // when the peer's end may have been read already, in the same tick
	aborted  bool
	panicked bool
	detached bool
	paused   bool // reading
	slowed   bool // told by PauseProducing
	producer bool // is told of the marks
	unsold   bool // it was slowed when it was stopped, or when it gave up after its peer's end
	over     bool // it may have ended with its peer
	writes   int
	timeouts int // that were set
	expired  int
	reason   error
}

// A halfCloser is an actor that goes on when its peer has half-closed, and a patient one decides about timeouts.
type (
	halfCloser struct{ *actor }
	patient    struct{ *actor }
)

func (s *stage) build(loop *loop, remote netip.AddrPort) reactor.Protocol {
	l := s.links[remote]
	if l == nil {
		s.w.Errorf("a connection from %v, who has not called", remote)
		return nil
	}
	if l.a != nil {
		s.w.Errorf("the connection from %v is accepted twice", remote)
	}
	l.a = &actor{s: s, l: loop, link: l, promised: -1}
	return s.cast(l.a)
}

// cast gives an actor its part.
func (s *stage) cast(a *actor) reactor.Protocol {
	switch s.w.Rand().IntN(8) {
	case 0:
		a.lost, a.aborted = true, true // refused
		return nil
	case 1:
		if s.chaos {
			a.lost, a.aborted = true, true
			panic(chaos)
		}
	}
	s.actors = append(s.actors, a)
	return a.part()
}

// part is one of those that an actor may play.
func (a *actor) part() reactor.Protocol {
	a.lasting = false
	switch a.s.w.Rand().IntN(3) {
	case 0:
		return a
	case 1:
		return patient{a}
	}
	a.lasting = true
	return halfCloser{a}
}

// turn has the actor play another part.
func (a *actor) turn(rest []byte) {
	inside := a.inside
	a.made, a.inside = false, false
	a.over = a.endsWithPeer()
	a.t.SetProtocol(a.part(), rest)
	a.made, a.inside = true, inside
}

// enter is called first by each callback, and what it returns last.
func (a *actor) enter(what string) (leave func()) {
	w := a.s.w
	switch {
	case a.lost:
		w.Errorf("%s after ConnectionLost", what)
	case a.inside:
		w.Errorf("%s inside another callback", what)
	case what == "ConnectionMade" && a.made:
		w.Errorf("ConnectionMade twice")
	case what != "ConnectionMade" && !a.made:
		w.Errorf("%s before ConnectionMade", what)
	}
	a.inside = true
	return func() { a.inside = false }
}

func (a *actor) ConnectionMade(t reactor.Transport) {
	defer a.enter("ConnectionMade")()
	first := a.t == nil
	a.made, a.t = true, t
	if first && a.attempt != nil {
		a.attempt.outcomes++
		a.link = a.s.link(t.Info().LocalAddr())
		a.link.a = a
	}
	if first && a.s.w.Rand().IntN(2) == 0 {
		a.register()
	}
	a.act()
}

// register has the actor told of the marks from now on, or no more.
func (a *actor) register() {
	a.writes++ // it is told anew of what is queued
	a.unsold = a.unsold || a.slowed && a.link.shut
	a.producer, a.slowed = !a.producer, false
	if a.producer {
		a.t.RegisterProducer(a)
		return
	}
	if a.waiting {
		a.promise()
	}
	a.t.RegisterProducer(nil)
}

// endsWithPeer reports whether the peer's end may have been the end of the connection.
func (a *actor) endsWithPeer() bool { return a.over || !a.lasting && a.link.shut }

func (a *actor) DataReceived(p []byte) {
	defer a.enter("DataReceived")()
	if len(p) == 0 {
		a.s.w.Errorf("DataReceived of nothing")
	}
	if a.eof || a.losing || a.aborted || a.paused {
		a.s.w.Errorf("DataReceived with eof %v, losing %v, aborted %v, paused %v", a.eof, a.losing, a.aborted, a.paused)
	}
	if i := matches(p, a.link.key+fromPeer, a.received); i >= 0 {
		a.s.w.Errorf("byte %d of connection %d is wrong", a.received+i, a.link.key)
	}
	used := len(p)
	turns := a.s.w.Rand().IntN(32) == 0
	if turns {
		used = a.s.w.Rand().IntN(len(p) + 1)
	}
	if a.received += used; a.received > a.link.sent {
		a.s.w.Errorf("received %d bytes of %d", a.received, a.link.sent)
	}
	if turns {
		a.turn(p[used:])
		return
	}
	a.act()
}

// ReadConnectionLost is a halfCloser's.
func (a halfCloser) ReadConnectionLost() {
	defer a.enter("ReadConnectionLost")()
	if a.eof {
		a.s.w.Errorf("ReadConnectionLost twice")
	}
	a.eof = true
	a.checkWhole()
	a.act()
	if !a.eof {
		return
	}
	switch a.s.w.Rand().IntN(3) {
	case 0:
		a.lose()
	case 1:
		a.abort()
	default:
		a.closeWrite()
	}
}

// checkWhole is called when the peer's end has arrived: then everything before it has too.
func (a *actor) checkWhole() {
	if !a.link.shut {
		a.s.w.Errorf("the end of connection %d, whose peer has not ended", a.link.key)
	}
	if a.received != a.link.sent {
		a.s.w.Errorf("the end after %d bytes of %d", a.received, a.link.sent)
	}
}

// TimeoutConnection is a patient actor's.
func (a patient) TimeoutConnection() {
	defer a.enter("TimeoutConnection")()
	if a.expired++; a.expired > a.timeouts {
		a.s.w.Errorf("%d timeouts expired of %d", a.expired, a.timeouts)
	}
	a.act()
}

func (a *actor) PauseProducing() {
	defer a.enter("PauseProducing")()
	if a.slowed {
		a.s.w.Errorf("PauseProducing twice")
	}
	a.slowed = true
	a.act()
}

func (a *actor) ResumeProducing() {
	defer a.enter("ResumeProducing")()
	if !a.slowed {
		a.s.w.Errorf("ResumeProducing without a pause")
	}
	a.slowed = false
	if n := a.t.Buffered(); n > a.s.opts.LowWater {
		a.s.w.Errorf("resumed with %d bytes above the low mark of %d", n, a.s.opts.LowWater)
	}
	a.act()
}

// StopProducing may come inside another callback, when that registers too late.
func (a *actor) StopProducing() {
	if !a.producer || a.lost {
		a.s.w.Errorf("StopProducing with a producer %v, lost %v", a.producer, a.lost)
	}
	a.producer, a.slowed, a.unsold = false, false, a.unsold || a.slowed
}

// WriteConnectionLost is told to every actor, whatever part it plays.
func (a *actor) WriteConnectionLost() {
	defer a.enter("WriteConnectionLost")()
	if n := a.t.Buffered(); n > 0 || a.halved || !a.halving || a.promised < 0 {
		a.s.w.Errorf("WriteConnectionLost with %d bytes unsent; twice: %v, asked for: %v, producer: %v", n, a.halved, a.halving, a.producer)
	}
	a.halved = true
	a.act()
}

func (a *actor) ConnectionLost(reason error) {
	defer a.enter("ConnectionLost")()
	a.lost, a.reason = true, reason
	if a.producer {
		a.s.w.Errorf("the producer of a lost connection was not stopped")
	}
	if !a.field("out").IsNil() {
		a.s.w.Errorf("a lost connection holds a buffer")
	}
	var p *reactor.PanicError
	ok := false
	switch {
	case errors.Is(reason, reactor.ErrConnectionDone):
		if ok = a.losing || a.eof || a.link.shut; ok && !a.losing && !a.eof {
			a.checkWhole()
		}
		if a.waiting && a.promised < 0 && !a.late && !a.endsWithPeer() {
			a.s.w.Errorf("an orderly end with a producer registered")
		}
	case errors.Is(reason, reactor.ErrAborted):
		ok = a.aborted || a.s.over
	case errors.Is(reason, reactor.ErrTimeout):
		ok = a.timeouts > 0 || a.losing || a.s.opts.WriteTimeout > 0 || a.endsWithPeer()
	case errors.Is(reason, reactor.ErrSlowReader):
		ok = a.s.opts.MinWriteRate > 0
	case errors.Is(reason, reactor.ErrShutdown):
		ok = true
	case errors.Is(reason, reactor.ErrDetached):
		ok = a.detached
	case errors.As(reason, &p):
		ok = a.panicked
	case errors.Is(reason, reactor.ErrConnectionLost):
		ok = a.s.faulty || a.link.harsh || a.link.shut
		ok = ok && (errors.Is(reason, syscall.ECONNRESET) || errors.Is(reason, syscall.EPIPE) ||
			errors.Is(reason, syscall.ENOTCONN) || // of a half-close
			a.cutShort() && a.endsWithPeer() && a.unsold)
	}
	if !ok {
		a.s.w.Errorf("lost for no reason with %v", reason)
	}
	a.t.Write([]byte("too late"))
	a.t.LoseConnection()
	a.t.AbortConnection()
	a.t.SetTimeout(time.Second)
}

// cutShort reports whether it was reset because it could not produce all that it wanted to.
func (a *actor) cutShort() bool { return errors.Is(a.reason, io.ErrShortWrite) }

// field is one of the transport's own.
func (a *actor) field(name string) reflect.Value {
	return reflect.ValueOf(a.t).Elem().FieldByName(name)
}

// A timer is a DelayedCall and what is known of it.
type timer struct {
	call      *reactor.DelayedCall
	due       time.Time
	done      bool
	cancelled bool
}

func (s *stage) timer(l *loop, d time.Duration, f func()) {
	c := &timer{due: s.w.Now().Add(d)}
	l.timers = append(l.timers, c)
	c.call = l.CallLater(d, func() {
		switch {
		case c.done:
			s.w.Errorf("a timer is called twice")
		case c.cancelled:
			s.w.Errorf("a cancelled timer is called")
		case s.w.Now().Before(c.due):
			s.w.Errorf("a timer is called %v early", c.due.Sub(s.w.Now()))
		}
		c.done = true
		f()
	})
	if !c.call.Active() {
		c.cancelled = true // the reactor has stopped
	}
}

// disturbTimers changes one of the timers.
func (s *stage) disturbTimers(l *loop) {
	rnd := s.w.Rand()
	c := l.timers[rnd.IntN(max(len(l.timers), 1)):]
	if len(c) == 0 {
		return
	}
	d := time.Duration(rnd.Int64N(int64(time.Second)))
	var err error
	switch t := c[0]; rnd.IntN(3) {
	case 0:
		err = t.call.Cancel()
		if err == nil {
			t.cancelled = true
		}
	case 1:
		now := s.w.Now()
		if err = t.call.Reset(d); err == nil {
			t.due = now.Add(d)
		}
	case 2:
		if err = t.call.Delay(d - time.Second/2); err == nil {
			t.due = t.due.Add(d - time.Second/2)
		}
	}
	if want := c[0].done || c[0].cancelled; err != nil && !want {
		s.w.Errorf("an active timer cannot be changed: %v", err)
	}
}
