//go:build unix

package reactor

// What poll, select and kqueue share: the pipe that ends a wait, and a timeout's rounding.

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// longestWait bounds a timeout, which the kernel takes as a small number. Waking up once a day costs nothing.
const longestWait = 24 * time.Hour

// timeout is how long to wait until then, in whole units and rounded up: a wait that is a little short would find the
// timer not yet due, and the loop spin until it is. It is -1 for the zero time, which never comes.
func timeout(until time.Time, unit time.Duration) time.Duration {
	if until.IsZero() {
		return -1
	}
	d := min(max(time.Until(until), 0), longestWait)
	return (d + unit - 1) / unit
}

// A wakePipe is readable once it was woken, until it is drained.
type wakePipe struct {
	r, w int
	junk [64]byte // what is drained
}

func (p *wakePipe) open() error {
	var ends [2]int
	syscall.ForkLock.RLock() // no child may be forked before the pipe is closed on exec
	err := unix.Pipe(ends[:])
	if err == nil {
		unix.CloseOnExec(ends[0])
		unix.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("pipe", err)
	}
	p.r, p.w = ends[0], ends[1]
	for _, fd := range ends {
		if err := unix.SetNonblock(fd, true); err != nil {
			_ = p.close() // the first error is the one to tell
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}

func (p *wakePipe) wake() {
	_, _ = syscall.Write(p.w, []byte{1}) // a full pipe wakes as well
}

// drain empties the pipe. What does not fit makes the next wait end at once, which drains it too.
func (p *wakePipe) drain() {
	_, _ = syscall.Read(p.r, p.junk[:])
}

func (p *wakePipe) close() error {
	return errors.Join(unix.Close(p.r), unix.Close(p.w))
}
