//go:build unix

package reactor

// poll(2), for the systems without epoll and as a second opinion on Linux. It blocks in the ordinary way, and costs what
// there is to watch and not what is ready. A pipe wakes it.

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

type pollPoller struct {
	watched []unix.PollFd // [0] is the pipe
	gens    []uint32      // beside watched
	place   []int32       // of a descriptor in watched; 0 is none
	first   int           // where the next report begins, so that the last in line is not always the last served
	pipe    wakePipe
}

func newPollPoller() (Poller, error) {
	p := &pollPoller{}
	if err := p.pipe.open(); err != nil {
		return nil, err
	}
	p.watched = []unix.PollFd{{Fd: int32(p.pipe.r), Events: unix.POLLIN}}
	p.gens = []uint32{0}
	return p, nil
}

func (p *pollPoller) Update(fd int, gen uint32, _, now Interest) error {
	if now == 0 {
		p.remove(fd)
		return nil
	}
	for fd >= len(p.place) {
		p.place = append(p.place, 0)
	}
	i := p.place[fd]
	if i == 0 {
		i = int32(len(p.watched))
		p.place[fd] = i
		p.watched = append(p.watched, unix.PollFd{Fd: int32(fd)})
		p.gens = append(p.gens, gen)
	}
	p.watched[i].Events = 0
	if now&Readable != 0 {
		p.watched[i].Events |= unix.POLLIN
	}
	if now&Writable != 0 {
		p.watched[i].Events |= unix.POLLOUT
	}
	return nil
}

// remove fills the gap with the last one.
func (p *pollPoller) remove(fd int) {
	if fd >= len(p.place) || p.place[fd] == 0 {
		return
	}
	i, last := p.place[fd], len(p.watched)-1
	p.place[p.watched[last].Fd] = i
	p.place[fd] = 0
	p.watched[i], p.gens[i] = p.watched[last], p.gens[last]
	p.watched, p.gens = p.watched[:last], p.gens[:last]
}

func (p *pollPoller) Forget(fd int, _ Interest) { p.remove(fd) }

func (p *pollPoller) Poll(events []Event) (int, error) { return p.poll(events, 0) }

func (p *pollPoller) Wait(events []Event, until time.Time) (int, error) {
	return p.poll(events, int(timeout(until, time.Millisecond)))
}

func (p *pollPoller) poll(events []Event, timeout int) (int, error) {
	found, err := unix.Poll(p.watched, timeout)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, os.NewSyscallError("poll", err)
	}
	if found > 0 && p.watched[0].Revents != 0 {
		p.pipe.drain()
		found--
	}
	return p.report(events, found), nil
}

// report passes on what was found, going round.
func (p *pollPoller) report(events []Event, found int) int {
	n := 0
	count := len(p.watched) - 1
	for i := 0; i < count && n < min(found, len(events)); i++ {
		at := 1 + (p.first+i)%count
		w := &p.watched[at]
		if w.Revents == 0 {
			continue
		}
		events[n] = Event{FD: w.Fd, Gen: p.gens[at], Ready: pollReady(w.Revents)}
		n++
		if n == len(events) {
			p.first = at
		}
	}
	return n
}

// pollReady is what poll's bits mean; trouble is for everybody, and told also to who asks for nothing.
func pollReady(bits int16) Interest {
	switch {
	case bits == unix.POLLIN:
		return Readable
	case bits == unix.POLLOUT:
		return Writable
	case bits&unix.POLLNVAL != 0:
		return Invalid
	case bits&(unix.POLLERR|unix.POLLHUP) != 0:
		return Readable | Writable | Fault
	}
	return Readable | Writable
}

func (p *pollPoller) Wake() { p.pipe.wake() }

func (p *pollPoller) Close() error {
	p.watched = nil
	return p.pipe.close()
}
