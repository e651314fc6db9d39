package reactor

// What a port makes of the errors of accept(2). A port lives on whatever the kernel says, unless its socket is none. It
// reports every trouble with its errno, and at most once a second for each errno. Where trying again at once cannot help,
// the port rests, and each rest is twice as long as the one before, until an accept succeeds.

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

const (
	// acceptRestMin and acceptRestMax bound how long a port rests. A rest costs newcomers that much, and without one the
	// loop would spin on a port that stays readable.
	acceptRestMin = 10 * time.Millisecond
	acceptRestMax = time.Second

	// acceptFailures is how many accepts may fail in a row with errors that may leave the newcomer in the queue. Then the
	// port rests.
	acceptFailures = 16

	// acceptReportInterval is the least time between two reports of the same errno.
	acceptReportInterval = time.Second
)

// acceptResult is what one accept comes to.
type acceptResult uint8

const (
	acceptFailed acceptResult = iota // go on, a bounded number of times: the newcomer may still be in the queue
	acceptNext                       // go on with the next newcomer: this one is in, turned away, or gone
	acceptNobody                     // no newcomer is waiting
	acceptShed                       // there is no descriptor: turn the newcomer away
	acceptRest                       // there is no room in the system: rest
	acceptBroken                     // the socket is none: the port ends
)

// acceptErrors says what the errors of accept(2) mean. With an errno that is not listed, the newcomer may be gone, or a
// security module keeps the port from taking it (EACCES, EPERM), and then it stays in the queue.
var acceptErrors = map[syscall.Errno]acceptResult{
	syscall.EAGAIN: acceptNobody,
	syscall.EINTR:  acceptNext,

	// The newcomer is gone, and accept has taken it out of the queue. A flood of these must not slow the port down.
	syscall.ECONNABORTED: acceptNext,
	syscall.ECONNRESET:   acceptNext,
	syscall.EPROTO:       acceptNext,
	syscall.ETIMEDOUT:    acceptNext,
	syscall.ENETDOWN:     acceptNext, // this and the rest are errors of the network, which Linux hands on
	syscall.ENETUNREACH:  acceptNext,
	syscall.EHOSTDOWN:    acceptNext,
	syscall.EHOSTUNREACH: acceptNext,
	syscall.ENOPROTOOPT:  acceptNext,

	syscall.EMFILE:  acceptShed,
	syscall.ENFILE:  acceptShed,
	syscall.ENOBUFS: acceptRest,
	syscall.ENOMEM:  acceptRest,
	syscall.ENOSPC:  acceptRest, // of epoll_ctl(2), which watches the port again after a rest

	syscall.EBADF:    acceptBroken,
	syscall.ENOTSOCK: acceptBroken,
	syscall.EINVAL:   acceptBroken, // it does not listen any more
	syscall.EFAULT:   acceptBroken,
}

// accept takes one newcomer. The errno is that of an accept that failed.
func (p *Port) accept() (acceptResult, syscall.Errno) {
	fd, remote, errno := p.r.sys.Accept(p.fd)
	if errno == 0 {
		p.failures, p.rested = 0, 0
		p.adopt(fd, remote)
		return acceptNext, 0
	}
	result := acceptErrors[errno]
	switch {
	case result == acceptNobody || result == acceptBroken || errno == syscall.EINTR:
		return result, errno
	case !p.reportAccept(errno):
		return acceptNobody, errno // the reporter has closed the port
	case result == acceptShed:
		return p.shed()
	case result != acceptFailed:
		return result, errno
	}
	if p.failures++; p.failures >= acceptFailures {
		return acceptRest, errno
	}
	return acceptNext, errno
}

// shed turns one newcomer away when there is no descriptor for it: the reserve is given up, the newcomer accepted and
// closed, and the reserve taken back. Left in the queue it would wait without end, and the port be readable all the while.
func (p *Port) shed() (acceptResult, syscall.Errno) {
	r := p.r
	if r.reserve < 0 {
		r.openReserve()
	}
	if r.reserve < 0 {
		return acceptRest, 0
	}
	r.sys.Close(r.reserve)
	fd, _, errno := r.sys.Accept(p.fd)
	if errno == 0 {
		r.sys.Close(fd)
	}
	r.openReserve()
	if errno == 0 {
		return acceptNext, 0
	}
	switch result := acceptErrors[errno]; result {
	case acceptNext, acceptNobody, acceptBroken:
		return result, errno
	}
	return acceptRest, errno // another goroutine took the descriptor first, for one
}

// openReserve opens the descriptor to give up; without one, shedding waits until there is.
func (r *Reactor) openReserve() {
	fd, errno := r.sys.Reserve()
	if errno != 0 {
		fd = -1
	}
	r.reserve = fd
}

// pause stops accepting for a while.
func (p *Port) pause() {
	p.rested = min(max(2*p.rested, acceptRestMin), acceptRestMax)
	p.r.RemoveReader(p)
	p.rest = p.r.CallLater(p.rested, p.resume)
}

// resume ends the rest. The poller may have no memory either: then the port rests again.
func (p *Port) resume() {
	err := p.r.AddReader(p)
	if err == nil {
		return
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && acceptErrors[errno] == acceptRest {
		if p.reportAccept(errno) {
			p.pause()
		}
		return
	}
	p.ConnectionLost(err)
}

// reportAccept reports trouble with accepting, unless it has just reported the same. It returns false when the port is
// closed, as the reporter may do.
func (p *Port) reportAccept(errno syscall.Errno) (open bool) {
	n, due := p.trouble.count(errno, p.r.Now())
	if due {
		err := fmt.Errorf("reactor: port %v cannot accept: %w", p.at, errno)
		if n > 1 {
			err = fmt.Errorf("%w (%d times since the last report)", err, n)
		}
		p.r.report(err)
	}
	return !p.closed
}

// acceptTrouble bounds the reports of a port and of all that share it, which may live on other loops.
type acceptTrouble struct {
	mu   sync.Mutex
	seen map[syscall.Errno]*acceptCount
}

// acceptCount is what is known of one errno.
type acceptCount struct {
	next time.Time // when it may be reported again
	n    int       // how often it has come since the last report
}

// count counts an errno. When it is due to be reported, n is how often it has come since the last report.
func (a *acceptTrouble) count(errno syscall.Errno, now time.Time) (n int, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.seen[errno]
	if c == nil {
		if a.seen == nil {
			a.seen = map[syscall.Errno]*acceptCount{}
		}
		c = &acceptCount{}
		a.seen[errno] = c
	}
	c.n++
	if now.Before(c.next) {
		return 0, false
	}
	n = c.n
	*c = acceptCount{next: now.Add(acceptReportInterval)}
	return n, true
}
