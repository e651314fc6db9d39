package reactor

// Descriptors that are always ready. A regular file, or a directory, never blocks as a pipe does, so there is nothing to
// wait for and epoll refuses it. Twisted reads it all the time, and so do we: it is served once a tick, beside what the
// poller finds, and the loop does not sleep meanwhile. poll and select say the same of such a descriptor by themselves.

import "slices"

// alwaysPerTick bounds how many of them one tick serves, so that they do not hold up the others.
const alwaysPerTick = 32

// always lists the slots that are always ready. One that is so no more stays in the list until its turn comes.
type always struct {
	fds []int32
	at  int // whose turn is next
}

func (a *always) add(fd int) {
	if !slices.Contains(a.fds, int32(fd)) {
		a.fds = append(a.fds, int32(fd))
	}
}

func (a *always) empty() bool { return len(a.fds) == 0 }

// alwaysReady appends the events of those whose turn it is.
func (t *fdset) alwaysReady(events []Event) []Event {
	a := &t.always
	for range min(len(a.fds), alwaysPerTick) {
		if a.at >= len(a.fds) {
			a.at = 0
		}
		fd := a.fds[a.at]
		s := t.slot(int(fd))
		if !s.always {
			a.fds = slices.Delete(a.fds, a.at, a.at+1)
			continue
		}
		a.at++
		events = append(events, Event{FD: fd, Gen: s.gen, Ready: s.have})
	}
	return events
}
