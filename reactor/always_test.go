package reactor

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openFile makes a regular file of that content, open for reading and writing.
func openFile(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A regular file is always ready: it is read to its end and beyond, until it is removed. Meanwhile everybody else is
// served, and afterwards the loop is at rest.
func TestRegularFile(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		l := start(t, c)
		f := openFile(t, "hello")
		var got []byte
		ends := 0
		d := &pipeEnd{fd: int(f.Fd()), lost: make(chan error, 4)}
		d.read = func() error {
			p := make([]byte, 1)
			n, err := f.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				ends++
				return nil
			}
			return err
		}
		r, w := newPipe(t)
		piped := make(chan struct{}, 100)
		r.read = func() error {
			piped <- struct{}{}
			_, err := unix.Read(r.fd, make([]byte, 1))
			return err
		}
		timer := make(chan struct{})
		l.do(func() {
			if err := errors.Join(l.AddReader(d), l.AddReader(r)); err != nil {
				t.Error(err)
			}
			if got := l.Readers(); len(got) != 2 {
				t.Errorf("%d readers", len(got))
			}
			l.CallLater(time.Millisecond, func() { close(timer) })
		})
		receive(t, timer, "a timer")
		unix.Write(w.fd, []byte("x"))
		receive(t, piped, "the pipe")
		eventually(t, "the end of the file, again and again", func() (seen bool) {
			l.do(func() { seen = ends > 2 })
			return seen
		})
		l.do(func() {
			if string(got) != "hello" {
				t.Errorf("read %q", got)
			}
			l.RemoveReader(d)
			ends = 0
		})
		rests(t, l, s)
		l.do(func() {
			if ends != 0 {
				t.Error("read after it was removed")
			}
			wrote := 0
			d.write = func() error {
				if wrote++; wrote == 3 {
					l.RemoveWriter(d)
				}
				_, err := f.WriteString("!")
				return err
			}
			if err := l.AddWriter(d); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "the writer to remove itself", func() (removed bool) {
			l.do(func() { removed = len(l.Writers()) == 0 })
			return removed
		})
		if p, err := os.ReadFile(f.Name()); string(p) != "hello!!!" || err != nil {
			t.Errorf("the file is %q, %v", p, err)
		}
		l.do(func() { l.AddReader(d); l.AddWriter(d); l.RemoveAll() })
		rests(t, l, s)
		// Read to its end as streams are: the error ends it.
		l.do(func() {
			d.read = func() error { return io.EOF }
			if err := l.AddReader(d); err != nil {
				t.Error(err)
			}
		})
		if err := receive(t, d.lost, "ConnectionLost"); err != io.EOF {
			t.Errorf("lost with %v", err)
		}
		rests(t, l, s)
		if len(d.lost) != 0 {
			t.Error("ConnectionLost twice")
		}
	})
}

// rests has the test fail if the loop does not sleep when nothing is asked of it.
func rests(t *testing.T, l *loop, s *faultySystem) {
	t.Helper()
	l.do(func() {})
	before := s.waits.Load() + s.polls.Load()
	<-time.After(20 * time.Millisecond) // there is nothing to wait for: that is what is tested
	l.do(func() {})
	if n := s.waits.Load() + s.polls.Load() - before; n > 4 {
		t.Errorf("%d ticks at rest", n)
	}
}

// More of them than a tick serves all have their turn.
func TestManyRegularFiles(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		const n = 2*alwaysPerTick + 5
		served := make([]int, n)
		f := openFile(t, "")
		l.do(func() {
			for i := range n {
				fd, err := unix.Dup(int(f.Fd()))
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { unix.Close(fd) })
				d := &pipeEnd{fd: fd, lost: make(chan error, 1)}
				d.read = func() error { served[i]++; return nil }
				if err := l.AddReader(d); err != nil {
					t.Error(err)
				}
			}
		})
		eventually(t, "each to be served three times", func() (done bool) {
			l.do(func() { done = slices.Min(served) >= 3 })
			return done
		})
		l.do(func() {
			if most, least := slices.Max(served), slices.Min(served); most > 2*least+2 {
				t.Errorf("one was served %d times, another %d times", most, least)
			}
			if n := len(l.RemoveAll()); n != len(served) {
				t.Errorf("%d removed", n)
			}
		})
		eventually(t, "the list to be empty", func() (empty bool) {
			l.do(func() { empty = l.fds.always.empty() })
			return empty
		})
	})
}
