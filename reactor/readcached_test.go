package reactor

import (
	"errors"
	"io"
	"testing"
)

// What was just written is in memory, and the end of a file is told from pages that are not there.
func TestReadCached(t *testing.T) {
	f := temporary(t, "content")
	p := make([]byte, 10)
	n, err := ReadCached(f, p, 3)
	if err != nil && !errors.Is(err, ErrNotCached) || err == nil && string(p[:n]) != "tent" {
		t.Errorf("%q, %v", p[:n], err)
	}
	if _, end := ReadCached(f, p, 7); err == nil && end != io.EOF {
		t.Errorf("at the end: %v", end)
	}
	if _, err := ReadCached(memoryFile{}, p, 0); !errors.Is(err, ErrNotCached) {
		t.Errorf("without a descriptor: %v", err)
	}
}

// A read off the loop comes back on it, and one that finds the pool full says so after a while.
func TestReadInThread(t *testing.T) {
	l := start(t, Config{ThreadPoolSize: 1, ThreadQueue: 1})
	f := temporary(t, "content")
	type read struct {
		p   string
		err error
	}
	came := make(chan read, 1)
	done := func(p []byte, err error) {
		if !l.InLoop() {
			t.Error("done is called off the loop")
		}
		came <- read{string(p), err}
	}
	l.do(func() { l.ReadInThread(f, 4, 3, done) })
	if got := receive(t, came, "what was read"); got != (read{"tent", nil}) {
		t.Errorf("%q, %v", got.p, got.err)
	}
	l.do(func() { l.ReadInThread(f, 5, 3, done) })
	if got := receive(t, came, "the end"); got != (read{"tent", io.EOF}) {
		t.Errorf("at the end: %q, %v", got.p, got.err)
	}
	release := make(chan struct{})
	l.do(func() {
		for l.CallInThread(func() { <-release }) == nil {
			continue
		}
		l.ReadInThread(f, 4, 3, done)
	})
	if got := receive(t, came, "the refusal"); got != (read{"", ErrPoolFull}) {
		t.Errorf("with a full pool: %q, %v", got.p, got.err)
	}
	close(release)
}
