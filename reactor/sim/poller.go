package sim

// The poller. It is level triggered, as all of the kernel's are: what is ready is found out when it is asked, and it is
// asked only when the reactor's turn has come again. Poll gives up the turn too, so that a loop that never sleeps
// starves no other task.

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"microhttp/reactor"
)

// Poison is what lent bytes are overwritten with.
const Poison = 0xDD

// staleKept is how many events a poller remembers, to report one of them again when it is out of date.
const staleKept = 16

type poller struct {
	w       *World
	watched []watch // by descriptor
	woken   atomic.Bool
	poke    chan struct{} // ends a wait in real time
	lent    [][]byte      // bytes that callbacks were lent
	found   []reactor.Event
	old     []reactor.Event // reported once
}

type watch struct {
	s    *socket
	gen  uint32
	want reactor.Interest
}

func (p *poller) Update(fd int, gen uint32, old, now reactor.Interest) error {
	w := (&system{p.w}).enter()
	defer w.leaveQuietly()
	s := w.lookUp(fd, "watch")
	for fd >= len(p.watched) {
		p.watched = append(p.watched, watch{})
	}
	at := &p.watched[fd]
	switch {
	case s == nil:
		return os.NewSyscallError("epoll_ctl", syscall.EBADF)
	case at.want != old:
		w.Errorf("descriptor %d is said to be watched for %d before; it was for %d", fd, old, at.want)
	}
	s.poller = p
	*at = watch{s, gen, now}
	w.note("", "watch", fd, int(now), 0, 0)
	return nil
}

func (p *poller) Forget(fd int, _ reactor.Interest) {
	if fd < len(p.watched) {
		p.watched[fd] = watch{}
	}
}

// closes is called for each descriptor that p has watched when that is closed. epoll would find out by itself; poll and
// select would go on watching the next socket with that number.
func (p *poller) closes(s *socket) {
	if s.fd >= len(p.watched) || p.watched[s.fd].s != s {
		return
	}
	if p.watched[s.fd].want != 0 {
		p.w.Errorf("descriptor %d is closed, and the poller was not told", s.fd)
	}
	p.watched[s.fd] = watch{}
}

func (p *poller) Poll(events []reactor.Event) (int, error) {
	w := p.w
	p.poison()
	if w.c.RealTime {
		return p.look(events), nil
	}
	if w.current != nil { // else a reactor ends that never ran
		w.park("its turn", w.now, nil)
	}
	return p.look(events), nil
}

func (p *poller) Wait(events []reactor.Event, until time.Time) (int, error) {
	w := p.w
	p.poison()
	if w.c.RealTime || w.current == nil {
		return p.waitReally(events, until), nil
	}
	t := never
	if !until.IsZero() {
		t = until.Sub(w.genesis)
	}
	switch {
	case w.chance(w.c.Early):
		t = min(t, w.now+w.upTo(min(t-w.now, time.Second)))
	case t != never && w.chance(w.c.Late):
		t += w.upTo(w.c.Oversleep)
	}
	what := "events"
	if t != never {
		what = "events or the time " + t.String()
	}
	w.park(what, t, func() bool { return p.woken.Load() || p.any() })
	return p.look(events), nil
}

// waitReally is Wait in real time.
func (p *poller) waitReally(events []reactor.Event, until time.Time) int {
	s := &system{p.w}
	for {
		w := s.enter()
		next := never
		if !until.IsZero() {
			next = until.Sub(w.genesis)
		}
		over := p.woken.Load() || next <= w.now || p.any()
		if n := len(w.due); n > 0 {
			next = min(next, w.due[n-1].at)
		}
		d := next - w.now
		w.leaveQuietly()
		if over {
			return p.look(events)
		}
		timer := time.NewTimer(d)
		select {
		case <-p.poke:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// any reports whether something is ready.
func (p *poller) any() bool {
	for i := range p.watched {
		if p.watched[i].ready() != 0 {
			return true
		}
	}
	return false
}

// ready is what is to be reported. Trouble is for both interests, and so it is reported for either.
func (at watch) ready() reactor.Interest {
	if at.want == 0 {
		return 0
	}
	ready := at.s.ready()
	if ready&reactor.Fault != 0 {
		return ready
	}
	return ready & at.want
}

// look reports what is ready, not quite as it is.
func (p *poller) look(events []reactor.Event) int {
	w := (&system{p.w}).enter()
	defer w.leaveQuietly()
	p.woken.Store(false)
	p.found = p.found[:0]
	for fd := range p.watched {
		if ready := p.watched[fd].ready(); ready != 0 {
			p.found = append(p.found, reactor.Event{FD: int32(fd), Gen: p.watched[fd].gen, Ready: ready})
		}
	}
	if n := len(p.found); n > 1 && w.chance(w.c.Withhold) {
		w.shuffle(p.found)
		p.found = p.found[:1+w.rng.IntN(n-1)]
	}
	p.invent()
	if len(p.found) > 1 && w.chance(w.c.Reorder) {
		w.shuffle(p.found)
	}
	n := copy(events, p.found)
	for _, ev := range events[:n] {
		p.remember(ev)
		w.note("", "ready", int(ev.FD), int(ev.Ready), 0, 0)
	}
	return n
}

// invent adds events that nothing is behind.
func (p *poller) invent() {
	w := p.w
	if w.chance(w.c.Spurious) && len(p.watched) > 0 {
		fd := w.rng.IntN(len(p.watched))
		if at := p.watched[fd]; at.want&^reactor.Fault != 0 { // no kernel makes up a fault
			p.found = append(p.found, reactor.Event{FD: int32(fd), Gen: at.gen, Ready: at.want})
		}
	}
	if w.chance(w.c.Stale) && len(p.old) > 0 {
		ev := p.old[w.rng.IntN(len(p.old))]
		if int(ev.FD) >= len(p.watched) || p.watched[ev.FD].gen != ev.Gen { // else it is only spurious
			p.found = append(p.found, ev)
			w.note("", "stale event for", int(ev.FD), 0, 0, 0)
		}
	}
}

func (w *World) shuffle(events []reactor.Event) {
	w.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
}

func (p *poller) remember(ev reactor.Event) {
	if p.w.c.Stale <= 0 {
		return
	}
	if len(p.old) == staleKept {
		copy(p.old, p.old[1:])
		p.old = p.old[:staleKept-1]
	}
	p.old = append(p.old, ev)
}

func (p *poller) Wake() {
	p.woken.Store(true)
	p.rouse()
	p.w.rouse()
}

// rouse ends a wait in real time.
func (p *poller) rouse() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

func (p *poller) Close() error {
	w := (&system{p.w}).enter()
	defer w.leaveQuietly()
	p.poison()
	for i := range w.pollers {
		if w.pollers[i] == p {
			w.pollers = append(w.pollers[:i], w.pollers[i+1:]...)
			break
		}
	}
	return nil
}

// lends notes bytes that a callback is about to be lent. p is nil if no poller watches the descriptor.
func (p *poller) lends(b []byte) {
	if p != nil && len(b) > 0 {
		p.lent = append(p.lent, b)
	}
}

// poison overwrites what callbacks were lent. It is called when the loop is in none of them.
func (p *poller) poison() {
	if p == nil {
		return
	}
	for i, b := range p.lent {
		for j := range b {
			b[j] = Poison
		}
		p.lent[i] = nil
	}
	p.lent = p.lent[:0]
}
