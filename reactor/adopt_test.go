package reactor

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// netPair is both ends of a connection of package net.
func netPair(t testing.TB, network, address string) (a, b net.Conn) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if a, err = net.Dial(network, listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// socketpair is both ends of a connection, for AdoptFD and as one of package net.
func socketpair(t testing.TB) (fd int, conn net.Conn) {
	t.Helper()
	a, b := netPair(t, "unix", filepath.Join(t.TempDir(), "s"))
	fd, err := duplicate(a)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	return fd, b
}

func duplicateFD(fd uintptr) (int, error) { return unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }

// adopt takes over a descriptor for rec, on the loop.
func (l *loop) adopt(fd int, rec *recorder) {
	l.t.Helper()
	l.do(func() {
		if err := l.AdoptFD(fd, FactoryFunc(rec.factory), nil); err != nil {
			l.t.Error(err)
		}
		if len(rec.made) != 1 {
			l.t.Error("ConnectionMade was not called by AdoptFD")
		}
	})
}

// A connection of package net becomes one of the loop, as any other.
func TestAdoptConn(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
			t.Run(network, func(t *testing.T) {
				l := start(t, c)
				ours, theirs := netPair(t, network, address)
				rec := newRecorder()
				rec.onData = func(b []byte) { rec.Write(b) }
				var remote netip.AddrPort
				l.do(func() {
					err := l.AdoptConn(ours, FactoryFunc(func(r netip.AddrPort) Protocol { remote = r; return rec }), nil)
					if err != nil {
						t.Error(err)
					}
				})
				if _, err := ours.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("package net still has it: %v", err)
				}
				if network == "tcp" && remote.String() != theirs.LocalAddr().String() {
					t.Errorf("the peer is %v, not %v", remote, theirs.LocalAddr())
				}
				send(t, theirs, "hello")
				if got := readN(t, theirs, 5); got != "hello" {
					t.Errorf("got %q", got)
				}
				theirs.Close()
				if err := rec.reason(l); err != ErrConnectionDone {
					t.Errorf("lost with %v", err)
				}
			})
		}
	})
}

// A connection moves from one loop to another, with what it has not sent, and back.
func TestAdoptWhatIsDetached(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		loops := [2]*loop{start(t, c)}
		conn, rec := loops[0].connect(nil, nil)
		loops[1] = start(t, c)
		long := strings.Repeat("0123456789", 1<<16) // more than the sockets take
		for i := range 4 {
			here, there := loops[i%2], loops[(i+1)%2]
			var d Detached
			here.do(func() {
				rec.Write([]byte(long))
				var err error
				if d, err = rec.Detach(); err != nil {
					t.Error(err)
				}
			})
			if err := rec.reason(here); err != ErrDetached {
				t.Errorf("lost with %v", err)
			}
			rec = newRecorder()
			rec.onMade = func() { rec.Write(d.Unsent) }
			there.adopt(d.FD, rec)
		}
		loops[0].do(func() { rec.LoseConnection() })
		if got := readAll(t, conn); got != strings.Repeat(long, 4) {
			t.Errorf("%d bytes arrived, want %d", len(got), 4*len(long))
		}
	})
}

// Before Run, on the loop, and in the callback of another connection, which goes on.
func TestAdoptAtAnyTime(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := prepare(t, c)
		early, late := newRecorder(), newRecorder()
		early.onMade = func() { early.Write([]byte("early")) }
		late.onMade = func() { late.Write([]byte("late")) }
		fd, earlyPeer := socketpair(t)
		if err := l.AdoptFD(fd, FactoryFunc(early.factory), nil); err != nil {
			t.Fatal(err)
		}
		l.start()
		if got := readN(t, earlyPeer, 5); got != "early" {
			t.Errorf("got %q", got)
		}
		fd, latePeer := socketpair(t)
		early.onData = func([]byte) {
			l.Serving("outer")
			early.Write([]byte("before "))
			if err := l.AdoptFD(fd, FactoryFunc(late.factory), nil); err != nil {
				t.Error(err)
			}
			early.Write([]byte("after"))
			if s := l.watch.place(); s.work == nil || s.work.name != "outer" || s.fd == int32(fd) {
				t.Error("the watch has lost sight of the outer callback")
			}
		}
		send(t, earlyPeer, "?")
		if got := readN(t, earlyPeer, 12); got != "before after" {
			t.Errorf("got %q", got)
		}
		if got := readN(t, latePeer, 4); got != "late" {
			t.Errorf("got %q", got)
		}
	})
}

// One that is refused, or whose protocol panics, is closed, and costs nobody else anything.
func TestAdoptRefusedAndPanics(t *testing.T) {
	l := start(t, Config{})
	for name, f := range map[string]FactoryFunc{
		"refused":                   func(netip.AddrPort) Protocol { return nil },
		"a panic in BuildProtocol":  func(netip.AddrPort) Protocol { panic("in BuildProtocol") },
		"a panic in ConnectionMade": (&recorder{made: make(chan struct{}, 1), lost: make(chan error, 1), onMade: func() { panic("in ConnectionMade") }}).factory,
	} {
		fd, peer := socketpair(t)
		l.do(func() {
			if err := l.AdoptFD(fd, f, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		if p, err := io.ReadAll(peer); len(p) > 0 {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
	if n := len(l.reported()); n != 2 {
		t.Errorf("%d reports", n)
	}
}

// What cannot be adopted is left to the caller.
func TestAdoptErrors(t *testing.T) {
	l := prepare(t, Config{})
	none := FactoryFunc(func(netip.AddrPort) Protocol { t.Error("BuildProtocol was called"); return nil })
	open := func(fd int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	file, err := listening.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pipe, w := newPipe(t)
	defer unix.Close(pipe.fd)
	defer unix.Close(w.fd)
	for _, tc := range []struct {
		name string
		fd   int
		want error
	}{
		{"listens", open(duplicateFD(file.Fd())), syscall.EINVAL},
		{"is not connected", open(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)), syscall.ENOTCONN},
		{"is not connected, of Unix", open(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)), syscall.ENOTCONN},
		{"is for datagrams", open(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)), syscall.EPROTOTYPE},
		{"is a pipe", open(duplicateFD(uintptr(pipe.fd))), syscall.ENOTSOCK},
	} {
		if err := l.AdoptFD(tc.fd, none, nil); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if err := unix.Close(tc.fd); err != nil {
			t.Errorf("%s: it was closed: %v", tc.name, err)
		}
	}
	if err := l.AdoptFD(-1, none, nil); !errors.Is(err, syscall.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}

	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := l.AdoptConn(a, none, nil); !errors.Is(err, syscall.EPROTOTYPE) {
		t.Errorf("a pipe of package net: %v", err)
	}
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if err := l.AdoptConn(udp, none, nil); !errors.Is(err, syscall.EPROTOTYPE) {
		t.Errorf("UDP: %v", err)
	}
	closed, _ := netPair(t, "tcp", "127.0.0.1:0")
	closed.Close()
	if err := l.AdoptConn(closed, none, nil); err == nil {
		t.Error("a closed connection was adopted")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fd, _ := socketpair(t)
	if err := l.AdoptFD(fd, none, nil); err != ErrStopped {
		t.Errorf("at the end: %v", err)
	}
	if err := unix.Close(fd); err != nil {
		t.Errorf("at the end it was closed: %v", err)
	}
}
