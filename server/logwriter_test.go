package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	release chan struct{}
	entered chan struct{}
	once    sync.Once
	mu      sync.Mutex
	got     bytes.Buffer
}

func newStuckWriter() *stuckWriter {
	return &stuckWriter{release: make(chan struct{}), entered: make(chan struct{})}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.entered) })
	<-w.release
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(p)
}

func TestLogLinesAreWrittenInOrder(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	var got bytes.Buffer
	w := NewLogWriter(&got)
	var want strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(w, "line %d\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
		if i%1000 == 0 && !w.Flush(patience) {
			t.Fatal("not flushed")
		}
	}
	if !w.Flush(patience) || got.String() != want.String() {
		t.Errorf("%d bytes written, want %d", got.Len(), want.Len())
	}
	await(t, "the goroutine to end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if cap(w.spare) > keptLines || w.lines != nil {
		t.Errorf("%d and %d bytes are kept", cap(w.spare), cap(w.lines))
	}
}

// A log that is stuck costs its lines, and they are counted; it does not hold up what writes them.
func TestAStuckLogDropsLines(t *testing.T) {
	stuck := newStuckWriter()
	w := NewLogWriter(stuck)
	fmt.Fprintln(w, "first")
	<-stuck.entered
	line := strings.Repeat("x", 1023) + "\n"
	for range maxUnwritten/len(line) + 5 {
		fmt.Fprint(w, line)
	}
	if w.Flush(time.Millisecond) {
		t.Error("flushed what is stuck")
	}
	close(stuck.release)
	if !w.Flush(patience) {
		t.Error("not flushed")
	}
	got := stuck.got.String()
	if lines := strings.Count(got, "x\n"); lines != maxUnwritten/len(line) {
		t.Errorf("%d lines kept, want %d", lines, maxUnwritten/len(line))
	}
	last := lineOf(t, got[strings.LastIndex(got[:len(got)-1], "\n")+1:])
	if last["dropped"] != 5.0 || last["level"] != "warn" || last["time"] == nil || w.Dropped() != 5 {
		t.Errorf("the end is %v, dropped %d", last, w.Dropped())
	}
}

// fickleWriter fails as long as it is told to.
type fickleWriter struct {
	fails bool
	got   bytes.Buffer
}

func (w *fickleWriter) Write(p []byte) (int, error) {
	if w.fails {
		return 0, syscall.ENOSPC
	}
	return w.got.Write(p)
}

// Lines that a full disk does not take are counted, and told of when it takes some again.
func TestALogThatFails(t *testing.T) {
	fickle := &fickleWriter{fails: true}
	w := NewLogWriter(fickle)
	for range 3 {
		fmt.Fprintln(w, "lost")
		if !w.Flush(patience) {
			t.Fatal("it tries for ever")
		}
	}
	fickle.fails = false
	fmt.Fprintln(w, "kept")
	w.Flush(patience)
	wantContains(t, "log", fickle.got.String(), "kept\n", `"dropped":3,`)
	if n := strings.Count(fickle.got.String(), "\n"); n != 2 || w.Dropped() != 3 {
		t.Errorf("%d lines, dropped %d: %q", n, w.Dropped(), fickle.got.String())
	}
}

// Several goroutines may write at once: no line is torn and none is lost.
func TestLogWriterOfMany(t *testing.T) {
	var got bytes.Buffer
	w := NewLogWriter(&got)
	var writers sync.WaitGroup
	const each = 200
	for i := range 8 {
		writers.Go(func() {
			for j := range each {
				fmt.Fprintf(w, "%d %d\n", i, j)
				if j%50 == 0 {
					w.Flush(patience)
				}
			}
		})
	}
	writers.Wait()
	w.Flush(patience)
	next := [8]int{}
	for line := range strings.Lines(got.String()) {
		var i, j int
		if _, err := fmt.Sscanf(line, "%d %d\n", &i, &j); err != nil || next[i] != j {
			t.Fatalf("%q, want %d", line, next[i])
		}
		next[i]++
	}
	if next != [8]int{each, each, each, each, each, each, each, each} {
		t.Errorf("lines of each: %v", next)
	}
}

// fullPipe is a pipe that blocks whoever writes to it.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 4096); ; {
		if _, err := syscall.Write(fds[1], piece); err == syscall.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.SetNonblock(fds[1], false); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "read end"), os.NewFile(uintptr(fds[1]), "write end")
}

// The default log is standard error. A pipe there that no program reads holds up neither the loops nor, for long, the end.
func TestTheDefaultLogHoldsUpNothing(t *testing.T) {
	goroutines, stderr := runtime.NumGoroutine(), os.Stderr
	r, w := fullPipe(t)
	os.Stderr = w
	restore := sync.OnceFunc(func() { os.Stderr = stderr })
	defer restore()
	s := &Server{Addr: "127.0.0.1:0", Loops: 1, Handler: HandlerFunc(hello)}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	for range 100 {
		p := dial(t, addr)
		p.send("bad\r\n")
		p.answer("GET")
		p.Close()
		good := dial(t, addr)
		good.get("/")
		good.Close()
	}
	begin := time.Now()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
	if d := time.Since(begin); d > flushPatience+5*time.Second {
		t.Errorf("the end took %v", d)
	}
	defaultLog()
	log := stderrLog.w
	restore()
	said := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(r)
		said <- string(b)
	}()
	if !log.Flush(patience) {
		t.Error("the log is stuck though it is read")
	}
	w.Close()
	all := strings.Trim(<-said, "\x00")
	r.Close()
	if n := len(linesWith(all, errMethodText)); n < linesPerWindow || !strings.Contains(all, "left_out") {
		t.Errorf("the log is %q", all)
	}
	await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// The end of Run writes what is left of the default log.
func TestTheDefaultLogIsFlushed(t *testing.T) {
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	os.Stderr = f
	s, addr := start(t, hello, func(s *Server) { s.Log = nil })
	p := dial(t, addr)
	p.send("bad\r\n")
	p.rest()
	p.Close()
	s.Shutdown(t.Context())
	b, err := os.ReadFile(f.Name())
	if err != nil || len(linesWith(string(b), errMethodText)) != 1 {
		t.Errorf("%q, %v", b, err)
	}
}

// A reader that has gone costs lines, and neither the program nor a loop that tries again.
func TestALogWithoutReader(t *testing.T) {
	r, f, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer f.Close()
	w := NewLogWriter(f)
	for range 3 {
		fmt.Fprintln(w, "lost")
		if !w.Flush(patience) {
			t.Fatal("not flushed")
		}
	}
	if w.Dropped() != 3 {
		t.Errorf("dropped %d", w.Dropped())
	}
}
