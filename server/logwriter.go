package server

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Lines of the log are made on the loops, which must not block; but standard error may be a pipe that no program reads, or a
// terminal that is stopped. So lines go to a buffer, and a goroutine writes what has gathered, many lines at once under load.
// The goroutine lives only while there is something to write, so there is nothing to start and nothing to stop. When the
// buffer is full, lines are dropped and counted: a server goes on without its log rather than the other way round.

const (
	// maxUnwritten bounds the lines that wait, in bytes: some 5,000 of them.
	maxUnwritten = 1 << 20
	// keptLines is the largest buffer that is kept while nothing waits.
	keptLines = 64 << 10
	// flushPatience is how long the end of Run waits for a log that is stuck.
	flushPatience = time.Second
	// againAfter is how long the goroutine waits for a log that takes nothing just now and cannot be waited for.
	againAfter = 10 * time.Millisecond
)

// LogWriter writes the lines of a log in the background, so that a log that is stuck holds up no loop. It is what a Server
// without a Log writes to; give one to the loggers of your own, and call Flush at the end of the program:
//
//	out := server.NewLogWriter(os.Stderr)
//	defer out.Flush(time.Second)
//	log := server.Zerolog(zerolog.New(out).With().Timestamp().Logger())
//
// At most 1 MiB of lines wait. Beyond that lines are dropped and counted, and a line tells how many they were.
//
// On a terminal it writes for people the lines that zerolog makes: the message first, then the fields, durations with their
// units, a stack last and on lines of its own. Elsewhere lines stay the JSON that they are.
//
// Its methods may be called from any goroutine.
type LogWriter struct {
	to    io.Writer
	style textStyle

	mu      sync.Mutex
	lines   []byte
	spare   []byte
	dropped int           // not yet reported
	total   uint64        // dropped in all
	done    chan struct{} // closed when the goroutine ends; nil when there is none
}

// NewLogWriter returns a LogWriter that writes to to. A file is not closed by it. If its reader has gone, as when the other end
// of a pipe is closed, lines are dropped; the program gets no SIGPIPE.
func NewLogWriter(to io.Writer) *LogWriter {
	w := &LogWriter{to: to}
	if f, ok := to.(*os.File); ok {
		w.style = styleOf(f)
		if raw, err := f.SyscallConn(); err == nil {
			w.to = rawFile{raw}
		}
	}
	return w
}

// Write takes a copy of p, which must be one line or several whole ones, or drops it when too much waits already. It never
// blocks, and its error is always nil.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines)+len(p) > maxUnwritten {
		n := bytes.Count(p, newline)
		w.dropped += n
		w.total += uint64(n)
		return len(p), nil
	}
	if w.lines == nil {
		w.lines, w.spare = w.spare, nil
	}
	w.lines = append(w.lines, p...)
	if w.done == nil {
		w.done = make(chan struct{})
		go w.run(w.done)
	}
	return len(p), nil
}

var newline = []byte("\n")

// Dropped returns how many lines have been dropped so far.
func (w *LogWriter) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// Flush waits until all lines are written, for at most so long, and reports whether they are.
func (w *LogWriter) Flush(patience time.Duration) bool {
	w.mu.Lock()
	done := w.done
	w.mu.Unlock()
	if done == nil {
		return true
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}

// run writes what waits, until nothing does.
func (w *LogWriter) run(done chan struct{}) {
	defer close(done)
	var lines, text []byte
	failed := false
	for {
		w.mu.Lock()
		lines, w.lines = w.lines, lines[:0]
		dropped := w.dropped
		if len(lines) == 0 && (dropped == 0 || failed) {
			w.done = nil
			if w.lines = nil; cap(lines) <= keptLines {
				w.spare = lines
			}
			w.mu.Unlock()
			return
		}
		w.dropped = 0
		w.mu.Unlock()

		n := bytes.Count(lines, newline)
		if dropped > 0 {
			lines = appendDropped(lines, dropped)
		}
		out := lines
		if w.style != styleNone {
			text = appendText(text[:0], lines, w.style)
			out = text
		}
		_, err := w.to.Write(out)
		if failed = err != nil; failed {
			w.mu.Lock()
			w.dropped += n + dropped // to be told again
			w.total += uint64(n)
			w.mu.Unlock()
		}
	}
}

// appendDropped appends the line that tells how many were dropped.
func appendDropped(lines []byte, n int) []byte {
	var line bytes.Buffer
	log := zerolog.New(&line)
	log.Warn().Timestamp().Int("dropped", n).Msg("lines of this log were dropped: it was not read fast enough")
	return append(lines, line.Bytes()...)
}

// rawFile writes to a file by itself. Package os would end the program when the reader of standard error has gone.
type rawFile struct{ c syscall.RawConn }

func (f rawFile) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		m := 0
		gone := f.c.Write(func(fd uintptr) bool {
			m, err = syscall.Write(int(fd), p[n:])
			return true
		})
		switch {
		case gone != nil:
			return n, gone
		case errors.Is(err, syscall.EINTR):
			err = nil
		case errors.Is(err, syscall.EAGAIN):
			time.Sleep(againAfter)
			err = nil
		case err == nil:
			n += m
		}
	}
	return n, err
}

// stderrLog is the log on standard error that all servers and middleware without a Log share.
var stderrLog struct {
	mu  sync.Mutex
	to  *os.File
	w   *LogWriter
	log *Log
}

// defaultLog returns the Log of standard error, of level info, which blocks no loop.
func defaultLog() *Log {
	l := &stderrLog
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil || l.to != os.Stderr { // a program may have put another in its place
		l.to, l.w = os.Stderr, NewLogWriter(os.Stderr)
		l.log = Zerolog(zerolog.New(l.w).Level(zerolog.InfoLevel).With().Timestamp().Logger())
	}
	return l.log
}

// flushDefaultLog waits until the lines of the default log are written, if there are any, for a bounded time.
func flushDefaultLog() {
	l := &stderrLog
	l.mu.Lock()
	w := l.w
	l.mu.Unlock()
	if w != nil {
		w.Flush(flushPatience)
	}
}
