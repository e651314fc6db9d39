package sim

// How connections come about: a listening socket has a queue, a connection joins it, and accept takes the first.

import (
	"net/netip"
	"syscall"
	"time"

	"microhttp/reactor"
)

// retryTime is when a connection that found the queue full is tried again; and then after twice that, and so on.
const retryTime = time.Second

// listen binds s and has it listen.
func (w *World) listen(s *socket, at reactor.Address, o reactor.ListenOptions) syscall.Errno {
	s.options = o
	s.options.Backlog = max(o.Backlog, 1)
	return w.bind(s, at)
}

// connect begins to connect c.
func (w *World) connect(c *socket, to reactor.Address, from netip.AddrPort) syscall.Errno {
	if to.Path != "" {
		return w.connectUnix(c, to)
	}
	to.IP = reachable(to.IP)
	c.local.IP, c.remote = from, to.IP
	switch {
	case !from.IsValid():
		c.local.IP = w.ephemeral(to.IP)
	case from.Port() == 0:
		c.local.IP = netip.AddrPortFrom(from.Addr(), w.ephemeral(to.IP).Port())
	}
	c.connecting = true
	switch there := w.upTo(w.c.Latency); {
	case w.chance(w.c.Unanswered):
		w.later(w.c.ConnectTime, func() { c.fail(syscall.ETIMEDOUT) })
	case w.chance(w.c.Refused):
		w.later(2*there, func() { c.fail(syscall.ECONNREFUSED) })
	default:
		w.later(there, func() { w.knock(c, to, there, w.now, retryTime) })
	}
	return syscall.EINPROGRESS
}

// connectUnix connects at once, or not at all.
func (w *World) connectUnix(c *socket, to reactor.Address) syscall.Errno {
	all := w.receivers(listener, to)
	switch {
	case len(all) == 0 && to.Path[0] != '@':
		return syscall.ENOENT
	case len(all) == 0 || w.chance(w.c.Refused):
		return syscall.ECONNREFUSED
	}
	l := all[w.rng.IntN(len(all))]
	if len(l.queue) >= l.options.Backlog {
		return syscall.EAGAIN
	}
	w.enqueue(c, l)
	return 0
}

// knock is the arrival of c at where it wants to connect to.
func (w *World) knock(c *socket, to reactor.Address, there, since, wait time.Duration) {
	if c.closed {
		return
	}
	all := w.receivers(listener, to)
	if len(all) == 0 {
		w.later(there, func() { c.fail(syscall.ECONNREFUSED) })
		return
	}
	l := all[w.rng.IntN(len(all))]
	if len(l.queue) >= l.options.Backlog {
		if w.now-since > w.c.ConnectTime {
			c.fail(syscall.ETIMEDOUT)
			return
		}
		w.later(wait, func() { w.knock(c, to, there, since, 2*wait) })
		return
	}
	w.enqueue(c, l)
	c.lastAt = w.now + there // nothing arrives before the answer does
	w.later(there, func() { c.connecting = false })
}

// enqueue has c's other end wait in l's queue.
func (w *World) enqueue(c, l *socket) {
	s := w.newSocket(stream)
	s.local, s.remote = l.local, c.local.IP
	if l.local.Path == "" {
		s.local.IP = c.remote
	}
	w.pair(s, c)
	l.queue = append(l.queue, s)
}

// fail ends an attempt to connect.
func (s *socket) fail(errno syscall.Errno) {
	if !s.closed {
		s.connecting, s.broken, s.err = false, true, errno
	}
}

// accept takes the first of the queue.
func (l *socket) accept() *socket {
	if len(l.queue) == 0 {
		return nil
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return c
}
