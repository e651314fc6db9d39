package server

import (
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Many lines of the log are written because of what a peer does, so a peer could fill the log with them. They are
// therefore limited: of each kind of line so many are written in a window of a second, and the rest are counted. At the end
// of the window one line tells the count, and is the first of the next window. A kind is what the line says, without what
// it says of one request, so that a flood of one kind hides no line of another.
//
// The windows are timed by the runtime and not by a loop: lines come from any goroutine, and a loop in simulation must not
// see other timers when it logs.

const (
	lineWindow     = time.Second
	linesPerWindow = 10
	// maxLineKinds bounds the kinds in one window, since some contain names from a handler. Beyond it all further kinds
	// count as one.
	maxLineKinds = 256
)

// lineLimits counts the lines of each kind in its present window. The zero value is ready.
type lineLimits struct {
	mu    sync.Mutex
	kinds map[lineKind]*lineCount
}

// lineKind is what the lines of a kind begin with, and what follows.
type lineKind struct{ what, about string }

func (k lineKind) String() string { return k.what + k.about }

// lineCount is one kind of line in its window. It is guarded by lineLimits.mu.
type lineCount struct {
	level   slog.Level
	most    int
	written int
	leftOut int
	last    string      // the latest message that was left out, if its text is worth more than a count
	window  *time.Timer // ends it
}

// mayLog reports whether a line of a kind may be written now: at most so many in a second. A line that may not is counted.
// It is false too if the logger would drop the line.
func (s *Server) mayLog(level slog.Level, what, about string, most int) bool {
	return s.mayLogLast(level, lineKind{what, about}, most, "")
}

// mayLogLast is mayLog for a line whose message is written at the end of the window, with the count, if it was the last to be
// left out.
func (s *Server) mayLogLast(level slog.Level, kind lineKind, most int, message string) bool {
	if !s.log.Enabled(level) {
		return false
	}
	l := &s.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.kinds[kind]
	if n == nil && len(l.kinds) >= maxLineKinds {
		kind = lineKind{what: "lines of other kinds"}
		n = l.kinds[kind]
	}
	if n == nil {
		if l.kinds == nil {
			l.kinds = map[lineKind]*lineCount{}
		}
		n = &lineCount{level: level, most: most}
		n.window = time.AfterFunc(lineWindow, func() { s.endWindow(kind) })
		l.kinds[kind] = n
	}
	if n.written < n.most {
		n.written++
		return true
	}
	n.leftOut++
	n.last = message
	return false
}

// endWindow ends the window of a kind, and begins another if lines were left out.
func (s *Server) endWindow(kind lineKind) {
	l := &s.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.kinds[kind]
	if n == nil {
		return // the server has ended
	}
	if n.leftOut == 0 {
		delete(l.kinds, kind)
		return
	}
	s.logLeftOut(kind, n)
	n.written, n.leftOut, n.last = 1, 0, ""
	n.window.Reset(lineWindow)
}

// endLines ends all windows, when the server has ended.
func (s *Server) endLines() {
	l := &s.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	for kind, n := range l.kinds {
		n.window.Stop()
		if n.leftOut > 0 {
			s.logLeftOut(kind, n)
		}
	}
	l.kinds = nil
}

func (s *Server) logLeftOut(kind lineKind, n *lineCount) {
	e := s.log.Line(n.level)
	if n.last != "" {
		if n.leftOut > 1 {
			e = e.Int("left_out", n.leftOut-1)
		}
		e.Msg(n.last)
		return
	}
	e.Int("left_out", n.leftOut).
		Msg(strconv.Itoa(n.leftOut) + " more in the last second: " + kind.String())
}
