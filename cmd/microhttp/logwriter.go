package main

// Log lines are made on the loops, which must not block; standard error may be a pipe that
// nobody reads. So lines go to a buffer, and a goroutine writes what has gathered, many
// lines at once under load. When the buffer is full, lines are dropped, counted, and the
// count is logged: a server goes on without its log rather than the other way round.

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxUnwritten bounds the lines that wait: some 5,000 of them.
	maxUnwritten = 1 << 20
	// flushPatience is how long the end of the program waits for a log that is stuck.
	flushPatience = time.Second
)

// logWriter writes lines in the background. Write may be called from any goroutine; each
// call is one line or several whole ones.
type logWriter struct {
	to      io.Writer
	mu      sync.Mutex
	lines   []byte
	dropped int
	closed  bool
	wake    chan struct{} // holds a token when there is something to write
	done    chan struct{}
}

func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes a copy of p, or drops it when too much waits already. It never blocks and
// never fails.
func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.closed || len(w.lines)+len(p) > maxUnwritten {
		w.dropped++
	} else {
		w.lines = append(w.lines, p...)
	}
	w.mu.Unlock()
	w.signal()
	return len(p), nil
}

// Close writes what has gathered and ends the goroutine. It gives up on a writer that is
// stuck.
func (w *logWriter) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.done:
	case <-time.After(flushPatience):
	}
}

func (w *logWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (w *logWriter) run() {
	defer close(w.done)
	var lines []byte
	for range w.wake {
		w.mu.Lock()
		lines, w.lines = w.lines, lines[:0]
		dropped, closed := w.dropped, w.closed
		w.dropped = 0
		w.mu.Unlock()
		if dropped > 0 {
			lines = fmt.Appendf(lines, `{"level":"warn","dropped":%d,"message":"log lines dropped"}`+"\n", dropped)
		}
		if len(lines) > 0 {
			_, _ = w.to.Write(lines) // there is nobody to tell
		}
		if closed {
			return
		}
	}
}
