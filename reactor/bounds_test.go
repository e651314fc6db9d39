package reactor

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Large pieces leave in one system call, from where they lie and behind what was gathered; small ones with the rest.
func TestSendIsOneWrite(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", directSize/16)
	for _, tc := range []struct {
		name   string
		pieces []string
		calls  int64
	}{
		{"small", []string{"a", "", "b"}, 1},
		{"large", []string{"a", large, "", "b"}, 2}, // and what is written after it
		{"many", append(strings.Split(strings.Repeat("x", 2*piecesPerWrite), ""), large), 4},
		{"nothing", []string{"", ""}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &faultySystem{}
			l := start(t, Config{System: s})
			var pieces [][]byte
			for _, p := range tc.pieces {
				pieces = append(pieces, []byte(p))
			}
			conn, _ := l.connect(nil, func(p *recorder) {
				p.onData = func([]byte) {
					p.Write([]byte("before"))
					p.Send(lent(pieces)...)
					p.Write([]byte("after"))
					p.LoseConnection()
					p.Send(Lent([]byte("too late")))
				}
			})
			s.writes.Store(0)
			send(t, conn, "x")
			if got, want := readAll(t, conn), "before"+strings.Join(tc.pieces, "")+"after"; got != want {
				t.Errorf("got %d bytes, want %d", len(got), len(want))
			}
			if n := s.writes.Load(); n != tc.calls {
				t.Errorf("%d writes, want %d", n, tc.calls)
			}
			for i, p := range pieces {
				if string(p) != tc.pieces[i] {
					t.Errorf("piece %d was changed", i)
				}
			}
			l.do(func() {
				if len(bytes.Join(l.iovecs[:cap(l.iovecs)], nil)) > 0 {
					t.Error("the loop keeps the pieces")
				}
			})
		})
	}
}

// An empty piece is no piece, wherever the socket stops, nothing it takes included.
func TestSendHasEmptyPieces(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", directSize/16)
	all := [][]byte{nil, []byte("a"), {}, []byte(large), nil, nil, []byte("b"), nil}
	for _, inside := range []bool{true, false} {
		for _, takes := range []int{0, 1, 2, 1 + directSize, 2 + directSize} {
			s := &faultySystem{}
			s.writev = func(fd int, pieces [][]byte) (int, syscall.Errno) {
				if takes == 0 {
					return 0, syscall.EAGAIN
				}
				return s.kernel.Write(fd, bytes.Join(pieces, nil)[:takes])
			}
			l := start(t, Config{System: s})
			conn, rec := l.connect(nil, nil)
			act := func() {
				rec.Send(lent(all)...)
				rec.LoseConnection()
			}
			if inside {
				l.do(func() { rec.onData = func([]byte) { act() } })
				send(t, conn, "x")
			} else {
				l.do(act)
			}
			if got, want := readAll(t, conn), "a"+large+"b"; got != want {
				t.Errorf("got %d bytes, want %d", len(got), len(want))
			}
		}
	}
}

// Who does not read costs a bounded amount of memory, and then the connection.
func TestWriteBound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		write func(p *recorder, b []byte)
	}{
		{"Write", func(p *recorder, b []byte) { p.Write(b) }},
		{"Send", func(p *recorder, b []byte) { p.Send(Lent(b[:1000]), Lent(b[1000:])) }},
		{"Room", func(p *recorder, b []byte) { p.Commit(append(p.Room(0), b...)) }},
	} {
		for _, inside := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				eachPollerBeside(t, func(t *testing.T, c Config) {
					l := start(t, c)
					const bound = 1 << 20
					most := 0
					flood := func(p *recorder) {
						piece := make([]byte, directSize)
						for range 100 * bound / len(piece) {
							tc.write(p, piece)
							most = max(most, p.Buffered())
						}
					}
					conn, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{MaxBuffered: bound}}, func(p *recorder) {
						if inside {
							p.onData = func([]byte) { flood(p) }
						}
					})
					if inside {
						send(t, conn, "x")
					} else {
						l.do(func() { flood(rec) })
					}
					if err := rec.reason(l); err != ErrWriteBound {
						t.Errorf("lost with %v", err)
					}
					l.do(func() {
						if most > bound+gatherSize || most < bound/2 {
							t.Errorf("%d bytes were kept, the bound is %d", most, bound)
						}
					})
					if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("the peer ends with %v", err)
					}
				})
			})
		}
	}
}

// A negative bound is none.
func TestNoWriteBound(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{MaxBuffered: -1}}, nil)
	l.do(func() {
		rec.Write(make([]byte, defaultMaxBuffered+8<<20))
		if rec.Buffered() <= defaultMaxBuffered {
			t.Skip("the sockets take it all")
		}
	})
	l.do(rec.AbortConnection)
	if err := rec.reason(l); err != ErrAborted {
		t.Errorf("lost with %v", err)
	}
}

// LoseConnection does not wait for ever for a peer that does not read.
func TestLingerTimeout(t *testing.T) {
	const linger = 20 * time.Millisecond
	for _, tc := range []struct {
		name  string
		o     TransportOptions
		ends  bool
		limit time.Duration
	}{
		{"alone", TransportOptions{LingerTimeout: linger}, true, linger},
		{"before WriteTimeout", TransportOptions{LingerTimeout: linger, WriteTimeout: time.Hour}, true, linger},
		{"after WriteTimeout", TransportOptions{LingerTimeout: time.Hour, WriteTimeout: linger}, true, linger},
		{"off", TransportOptions{LingerTimeout: -1}, false, 0},
		{"off, with WriteTimeout", TransportOptions{LingerTimeout: -1, WriteTimeout: linger}, true, linger},
		{"by default", TransportOptions{}, false, defaultLinger},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachPollerBeside(t, func(t *testing.T, c Config) {
				l := start(t, c)
				_, rec := l.connect(&TCPOptions{TransportOptions: tc.o}, nil)
				l.do(func() {
					rec.Write(make([]byte, 32<<20)) // more than the sockets take
				})
				var begun time.Time
				l.do(func() {
					begun = l.Now() // the tick's clock, from which time-outs count
					rec.LoseConnection()
					if got := rec.Transport.(*transport).writeLimit(); got != tc.limit {
						t.Errorf("the limit is %v, want %v", got, tc.limit)
					}
				})
				if !tc.ends {
					l.do(func() {
						if armed := rec.Transport.(*transport).flags&waiting != 0; armed != (tc.limit > 0) {
							t.Errorf("the time runs: %v", armed)
						}
						rec.AbortConnection()
					})
					if err := rec.reason(l); err != ErrAborted {
						t.Errorf("lost with %v", err)
					}
					return
				}
				if err := rec.reason(l); err != ErrTimeout {
					t.Errorf("lost with %v", err)
				}
				if d := time.Since(begun); tc.o.WriteTimeout != linger && d < linger {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

// Writing to a peer that is gone raises SIGPIPE, which package runtime swallows for all descriptors but 1 and 2. We rely
// on it: each of these would otherwise end the process.
func TestNoSIGPIPE(t *testing.T) {
	for _, write := range []func(fd int, f File) syscall.Errno{
		func(fd int, _ File) syscall.Errno { _, errno := kernel{}.Write(fd, []byte("x")); return errno },
		func(fd int, _ File) syscall.Errno {
			_, errno := kernel{}.Writev(fd, [][]byte{[]byte("x")})
			return errno
		},
		func(fd int, f File) syscall.Errno { _, errno := kernel{}.SendFile(fd, f, 0, 1); return errno },
	} {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(ends[1])
		if errno := write(ends[0], temporary(t, "x")); errno != syscall.EPIPE {
			t.Errorf("writing to nobody: %v", errno)
		}
		unix.Close(ends[0])
	}
}

// A peer that resets before it is accepted is a connection like any other, and ends at once.
func TestResetBeforeAccept(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		rec := newRecorder()
		p := l.listen(rec.factory, nil)
		l.do(func() { // so that nobody accepts
			conn, err := net.Dial("tcp", p.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		})
		if err := rec.reason(l); !errors.Is(err, syscall.ECONNRESET) || ReasonName(err) != "lost" {
			t.Errorf("lost with %v", err)
		}
		if n := countPorts(l); n != 1 {
			t.Error("the port is gone")
		}
	})
}

// While reading is paused the peer's bytes and its end wait; both come when it resumes.
func TestEndWhilePaused(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, nil)
		l.do(rec.PauseReading)
		send(t, conn, "the last words")
		conn.Close()
		l.do(func() {})
		l.do(func() {
			if rec.received() != "" || len(rec.lost) > 0 {
				t.Error("a paused protocol was told something")
			}
			rec.ResumeReading()
		})
		if err := rec.reason(l); err != ErrConnectionDone || rec.received() != "the last words" {
			t.Errorf("received %q, lost with %v", rec.received(), err)
		}
	})
}

// A peer that has half-closed and then goes away is found out by writing to it.
func TestWriteToHalfClosed(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		rec := newRecorder()
		eof := make(chan struct{})
		p := l.listen(func(netip.AddrPort) Protocol { return &halfCloser{rec, func() { close(eof) }} }, nil)
		conn := dial(t, p)
		conn.Close()
		receive(t, eof, "ReadConnectionLost")
		var write func()
		write = func() {
			if rec.Write([]byte("anybody?")); len(rec.lost) == 0 {
				l.CallLater(time.Millisecond, write)
			}
		}
		l.do(write)
		if err := rec.reason(l); ReasonName(err) != "lost" {
			t.Errorf("lost with %v", err)
		}
	})
}
