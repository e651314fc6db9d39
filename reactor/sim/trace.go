package sim

// The trace: everything that happens is noted, in a form that costs little, and only the last of it is kept. It is put
// into words when it is to be read.

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
)

type trace struct {
	last []entry // a ring once it is full
	at   int     // where the next goes then
	live io.Writer
}

// An entry is one system call, or something else that happened.
type entry struct {
	at    time.Duration
	who   string
	what  string
	fd    int // -1 if there is none
	n, of int // how much, of how much; 0 if that says nothing
	errno syscall.Errno
}

func (e entry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12.6f  %-10s %s", e.at.Seconds(), e.who, e.what)
	if e.fd >= 0 {
		fmt.Fprintf(&b, " fd %d", e.fd)
	}
	switch {
	case e.of != 0:
		fmt.Fprintf(&b, ": %d of %d", e.n, e.of)
	case e.n != 0:
		fmt.Fprintf(&b, ": %d", e.n)
	}
	if e.errno != 0 {
		fmt.Fprintf(&b, ": %v", e.errno)
	}
	return b.String()
}

// note notes what happens; who is the task that has the turn, unless it is given.
func (w *World) note(who, what string, fd, n, of int, errno syscall.Errno) {
	if who == "" && w.current != nil {
		who = w.current.name
	}
	e := entry{w.now, who, what, fd, n, of, errno}
	t := &w.trace
	if t.live != nil {
		fmt.Fprintln(t.live, e)
	}
	if len(t.last) < cap(t.last) {
		t.last = append(t.last, e)
		return
	}
	t.last[t.at] = e
	t.at = (t.at + 1) % len(t.last)
}

// Logf adds a line of yours to the trace.
func (w *World) Logf(format string, args ...any) {
	w.note("", firstLine(fmt.Sprintf(format, args...)), -1, 0, 0, 0)
}

// Trace is the last that has happened, as a failure shows it: the time in seconds, who did it, what, with which
// descriptor, and what came of it.
func (w *World) Trace() string { return w.trace.String() }

func (t *trace) String() string {
	var b strings.Builder
	for i := range t.last {
		fmt.Fprintln(&b, t.last[(t.at+i)%len(t.last)])
	}
	return b.String()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
