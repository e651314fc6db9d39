package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	release chan struct{}
	entered chan struct{}
	once    sync.Once
	got     bytes.Buffer
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.entered) })
	<-w.release
	return w.got.Write(p)
}

func TestLogLinesAreWrittenInOrder(t *testing.T) {
	var got bytes.Buffer
	w := newLogWriter(&got)
	var want strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(w, "line %d\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
	}
	w.Close()
	if got.String() != want.String() {
		t.Errorf("%d bytes written, want %d", got.Len(), want.Len())
	}
}

// A log that nobody reads costs its lines, and they are counted; it does not hold up
// whoever writes them.
func TestAStuckLogDropsLines(t *testing.T) {
	stuck := &stuckWriter{release: make(chan struct{}), entered: make(chan struct{})}
	w := newLogWriter(stuck)
	fmt.Fprintln(w, "first")
	<-stuck.entered
	line := strings.Repeat("x", 1023) + "\n"
	for range maxUnwritten/len(line) + 5 {
		fmt.Fprint(w, line)
	}
	close(stuck.release)
	w.Close()
	if lines := strings.Count(stuck.got.String(), "x\n"); lines != maxUnwritten/len(line) {
		t.Errorf("%d lines kept, want %d", lines, maxUnwritten/len(line))
	}
	if !strings.Contains(stuck.got.String(), `"dropped":5,`) {
		t.Errorf("the end is %q", stuck.got.String()[max(0, stuck.got.Len()-200):])
	}
}
