package reactor

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pipeEnd is a descriptor that is none of the reactor's own.
type pipeEnd struct {
	fd    int
	read  func() error
	write func() error
	lost  chan error
}

func (p *pipeEnd) FD() int                     { return p.fd }
func (p *pipeEnd) DoRead() error               { return p.read() }
func (p *pipeEnd) DoWrite() error              { return p.write() }
func (p *pipeEnd) ConnectionLost(reason error) { p.lost <- reason }

// newPipe makes a pipe whose ends do nothing.
func newPipe(t *testing.T) (r, w *pipeEnd) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	ends := [2]*pipeEnd{}
	for i, fd := range fds {
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		nothing := func() error { return nil }
		ends[i] = &pipeEnd{fd: fd, read: nothing, write: nothing, lost: make(chan error, 4)}
	}
	return ends[0], ends[1]
}

func TestFDSet(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		r, w := newPipe(t)
		check := func(readers, writers int) {
			t.Helper()
			if len(l.Readers()) != readers || len(l.Writers()) != writers {
				t.Errorf("%d readers and %d writers, want %d and %d", len(l.Readers()), len(l.Writers()), readers, writers)
			}
		}
		l.do(func() {
			check(0, 0)
			for range 2 { // adding twice is adding once
				if err := errors.Join(l.AddReader(r), l.AddWriter(w)); err != nil {
					t.Error(err)
				}
				check(1, 1)
			}
			if l.Readers()[0] != Reader(r) || l.Writers()[0] != Writer(w) {
				t.Error("others are in the set")
			}
			l.RemoveReader(w) // is not in it
			l.RemoveWriter(r)
			check(1, 1)
			l.RemoveReader(r)
			check(0, 1)
			l.RemoveReader(r)
			l.RemoveWriter(w)
			check(0, 0)
			if err := errors.Join(l.AddReader(r), l.AddWriter(w)); err != nil {
				t.Error(err)
			}
			if all := l.RemoveAll(); len(all) != 2 {
				t.Errorf("RemoveAll returned %d", len(all))
			}
			check(0, 0)
		})
		if len(r.lost)+len(w.lost) != 0 {
			t.Error("somebody was told ConnectionLost")
		}
	})
}

// Readiness reaches whoever asked for it, for as long as it is asked for.
func TestReadersAndWriters(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		r, w := newPipe(t)
		got := make(chan string, 10)
		r.read = func() error {
			p := make([]byte, 100)
			n, err := unix.Read(r.fd, p)
			got <- string(p[:max(n, 0)])
			return err
		}
		left := 3
		w.write = func() error {
			if left--; left == 0 {
				l.RemoveWriter(w)
			}
			_, err := unix.Write(w.fd, []byte("x"))
			return err
		}
		l.do(func() {
			if err := errors.Join(l.AddReader(r), l.AddWriter(w)); err != nil {
				t.Error(err)
			}
		})
		n := 0
		for n < 3 {
			n += len(receive(t, got, "bytes"))
		}
		l.do(func() {
			if left != 0 || n != 3 || len(l.Writers()) != 0 {
				t.Errorf("%d writes left, %d bytes, %d writers", left, n, len(l.Writers()))
			}
			l.RemoveAll()
		})
	})
}

// Whatever ends a descriptor ends it once: an error, a panic, the end of the reactor.
func TestDescriptorLost(t *testing.T) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		name string
		read func() error
		want error
	}{
		{"error", func() error { return boom }, boom},
		{"panic", func() error { panic(boom) }, boom},
		{"error of one that has removed itself", nil, boom},
		{"shutdown", func() error { return nil }, ErrShutdown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				l := start(t, c)
				r, w := newPipe(t)
				r.read = tc.read
				if tc.read == nil {
					r.read = func() error { l.RemoveReader(r); return boom }
				}
				l.do(func() {
					if err := l.AddReader(r); err != nil {
						t.Error(err)
					}
				})
				if tc.want != ErrShutdown {
					unix.Write(w.fd, []byte("x"))
					if err := receive(t, r.lost, "ConnectionLost"); !errors.Is(err, tc.want) {
						t.Errorf("lost with %v", err)
					}
					l.do(func() {
						if len(l.Readers()) != 0 {
							t.Error("still a reader")
						}
					})
				}
				l.stop()
				if tc.want == ErrShutdown {
					if err := receive(t, r.lost, "ConnectionLost"); err != ErrShutdown {
						t.Errorf("lost with %v", err)
					}
				}
				if len(r.lost) != 0 {
					t.Error("ConnectionLost twice")
				}
			})
		})
	}
}

// The hang-up of the other end reaches a reader, and a writer if there is no reader.
func TestHangUp(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		gone := errors.New("gone")
		for _, end := range []string{"read", "write"} {
			r, w := newPipe(t)
			r.read = func() error { return gone }
			w.write = func() error {
				if _, err := unix.Write(w.fd, []byte("x")); err == syscall.EPIPE {
					return gone
				}
				return nil
			}
			mine, other := r, w
			if end == "write" {
				mine, other = w, r
			}
			l.do(func() {
				var err error
				if end == "read" {
					err = l.AddReader(r)
				} else {
					err = l.AddWriter(w)
				}
				if err != nil {
					t.Error(err)
				}
			})
			unix.Dup2(0, other.fd) // closes it, and the number is closed once more at the end
			if err := receive(t, mine.lost, end+" end to be lost"); err != gone {
				t.Errorf("lost with %v", err)
			}
		}
	})
}

// A descriptor that is none is refused, and leaves no trace.
func TestAddReaderError(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		l.do(func() {
			for _, fd := range []int{-1, math.MinInt, math.MaxInt} {
				closed := &pipeEnd{fd: fd}
				if err := errors.Join(l.AddReader(closed), l.AddWriter(closed)); !errors.Is(err, syscall.EBADF) {
					t.Errorf("descriptor %d: %v", fd, err)
				}
				l.RemoveReader(closed)
				l.RemoveWriter(closed)
			}
			if len(l.RemoveAll()) != 0 {
				t.Error("in the set all the same")
			}
		})
	})
}

// An event that was found for an earlier owner of a number does not reach the next one, even if the number changed hands
// twice since.
func TestStaleEventsAreDropped(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		c.System = s
		var replay []Event
		s.wait = func(p Poller, events []Event, until time.Time) (int, error) {
			n, err := p.Wait(events, until)
			n += copy(events[n:], replay)
			replay = nil
			return n, err
		}
		l := start(t, c)
		r, _ := newPipe(t)
		called := 0
		r.read = func() error { called++; return nil }
		l.do(func() {
			for range 3 {
				old := l.fds.slot(r.fd).gen
				if err := l.AddReader(r); err != nil {
					t.Error(err)
				}
				replay = append(replay, Event{FD: int32(r.fd), Gen: old, Ready: Readable})
				l.RemoveReader(r)
			}
			if err := l.AddReader(r); err != nil {
				t.Error(err)
			}
			replay = append(replay,
				Event{FD: int32(r.fd), Gen: l.fds.slot(r.fd).gen + 1, Ready: Readable},
				Event{FD: 1 << 20, Ready: Readable | Writable}, // beyond the table
			)
		})
		replayed := func() {
			t.Helper()
			eventually(t, "the events to be replayed", func() (yes bool) {
				l.do(func() { yes = len(replay) == 0 })
				return yes
			})
		}
		replayed()
		l.do(func() {
			if called != 0 {
				t.Errorf("%d stale events arrived", called)
			}
			replay = []Event{{FD: int32(r.fd), Gen: l.fds.slot(r.fd).gen, Ready: Readable}}
		})
		replayed()
		l.do(func() {
			if called != 1 {
				t.Errorf("an event of the owner was delivered %d times", called)
			}
			l.RemoveAll()
		})
	})
}

// Two descriptors are ready, the first closes the second and opens another that gets its number: the newcomer hears
// nothing of what its predecessor was ready for.
func TestNumberChangesHandsWithinATick(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		a, aw := newPipe(t)
		b, bw := newPipe(t)
		fresh, _ := newPipe(t)
		served := 0
		closeOther := func(me, other *pipeEnd) func() error {
			return func() error {
				served++
				l.RemoveReader(other)
				unix.Dup2(fresh.fd, other.fd) // closes it and takes its number
				l.RemoveReader(me)
				return l.AddReader(&pipeEnd{fd: other.fd, read: func() error {
					t.Error("the newcomer was told it is readable")
					l.RemoveAll()
					return nil
				}, lost: make(chan error, 1)})
			}
		}
		a.read, b.read = closeOther(a, b), closeOther(b, a)
		l.do(func() {
			if err := errors.Join(l.AddReader(a), l.AddReader(b)); err != nil {
				t.Error(err)
			}
			unix.Write(aw.fd, []byte("x"))
			unix.Write(bw.fd, []byte("x"))
		})
		for range 3 {
			l.do(func() {})
		}
		l.do(func() {
			if served != 1 {
				t.Error(fmt.Sprint("served ", served))
			}
			l.RemoveAll()
		})
	})
}

// A descriptor whose FD becomes negative is lost once, and is not called again: found before its callback or after it, as a
// reader, as a writer, and as both.
func TestNegativeFD(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for _, as := range []string{"reader", "writer", "both"} {
			for _, when := range []string{"in the callback", "before"} {
				t.Run(as+", "+when, func(t *testing.T) {
					l := start(t, c)
					p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
					if err != nil {
						t.Fatal(err)
					}
					defer unix.Close(p[0])
					defer unix.Close(p[1])
					if _, err := unix.Write(p[1], []byte("x")); err != nil {
						t.Fatal(err)
					}
					calls := 0 // on the loop
					d := &pipeEnd{fd: p[0], lost: make(chan error, 4)}
					d.read = func() error { calls++; d.fd = -1; return nil }
					d.write = d.read
					l.do(func() {
						if as != "writer" {
							err = l.AddReader(d)
						}
						if as != "reader" {
							err = errors.Join(err, l.AddWriter(d))
						}
						if err != nil {
							t.Error(err)
						}
						if when == "before" {
							d.fd = -1
						}
					})
					if err := receive(t, d.lost, "ConnectionLost"); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, syscall.EBADF) {
						t.Errorf("lost with %v", err)
					}
					l.do(func() {})
					l.do(func() {
						if len(d.lost) > 0 || len(l.Readers())+len(l.Writers()) > 0 {
							t.Errorf("lost %d times more; %d readers and %d writers", len(d.lost), len(l.Readers()), len(l.Writers()))
						}
						if want := map[string]int{"in the callback": 1}[when]; calls != want {
							t.Errorf("called %d times, want %d", calls, want)
						}
					})
				})
			}
		}
	})
}
