package reactor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Each reason has a name of its own, and keeps it when it is wrapped.
func TestReasonName(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range []struct {
		reason error
		want   string
	}{
		{nil, ""},
		{ErrConnectionDone, "done"},
		{lost(syscall.ECONNRESET), "lost"},
		{&lostError{errShortFile}, "lost"},
		{ErrAborted, "aborted"},
		{ErrTimeout, "timeout"},
		{ErrSlowReader, "slow-reader"},
		{ErrWriteBound, "write-bound"},
		{ErrRefused, "refused"},
		{ErrDetached, "detached"},
		{&connectError{[]error{syscall.ECONNREFUSED}}, "connect-failed"},
		{ErrCancelled, "cancelled"},
		{ErrShutdown, "shutdown"},
		{&PanicError{Value: ErrAborted}, "panic"},
		{io.EOF, "other"},
	} {
		if got := ReasonName(tc.reason); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.reason, got, tc.want)
		}
		if tc.reason != nil {
			if got := ReasonName(fmt.Errorf("wrapped: %w", tc.reason)); got != tc.want {
				t.Errorf("%v, wrapped: %q, want %q", tc.reason, got, tc.want)
			}
		}
		seen[tc.want] = true
	}
	for i, r := range reasons {
		if !seen[r.name] {
			t.Errorf("%q is not tested", r.name)
		}
		for _, other := range reasons[i+1:] {
			if errors.Is(r.err, other.err) || errors.Is(other.err, r.err) || r.name == other.name {
				t.Errorf("%q and %q are not told apart", r.name, other.name)
			}
		}
	}
}

// An upgrade: the second protocol gets what the first has left of the bytes, and everything after.
func TestSetProtocol(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		second := newRecorder()
		conn, first := l.connect(nil, func(p *recorder) {
			p.onData = func(b []byte) {
				head, rest, _ := strings.Cut(string(b), "\n")
				p.Write([]byte("switching from " + head + "\n"))
				p.SetProtocol(second, []byte(rest))
				if second.Transport != p.Transport {
					t.Error("ConnectionMade was not called by SetProtocol")
				}
			}
			second.onData = func(b []byte) { second.Write(b) }
		})
		send(t, conn, "first\nsecond")
		if got := readN(t, conn, 27); got != "switching from first\nsecond" {
			t.Errorf("got %q", got)
		}
		send(t, conn, "third")
		if got := readN(t, conn, 5); got != "third" {
			t.Errorf("got %q", got)
		}
		conn.Close()
		if err := second.reason(l); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		l.do(func() {
			second.SetProtocol(first, []byte("x")) // too late
			if len(first.made) > 0 || len(first.lost) > 0 {
				t.Error("the first protocol was told something")
			}
		})
	})
}

// What a connection has, and nothing else, goes away with its descriptor.
func TestDetach(t *testing.T) {
	for _, inside := range []bool{true, false} {
		eachPollerBeside(t, func(t *testing.T, c Config) {
			l := start(t, c)
			var d Detached
			detached := make(chan struct{})
			long := strings.Repeat("0123456789", 1<<20)
			detach := func(p *recorder) {
				p.SetTimeout(time.Nanosecond)
				p.Write([]byte(long)) // much more than the sockets take
				p.Write([]byte("gathered"))
				var err error
				if d, err = p.Detach(); err != nil {
					t.Error(err)
				}
				p.Write([]byte("never seen"))
				p.LoseConnection()
				p.AbortConnection()
				p.SetTimeout(time.Nanosecond)
				if err := p.Info().Socket().SetNoDelay(true); err != net.ErrClosed {
					t.Errorf("SetNoDelay of what is detached: %v", err)
				}
				p.SetProtocol(nil, nil)
				if _, err := p.Detach(); err != net.ErrClosed {
					t.Errorf("a second Detach: %v", err)
				}
				if p.Buffered() != 0 {
					t.Error("output is left")
				}
				if len(p.lost) > 0 {
					t.Error("ConnectionLost from inside Detach")
				}
				close(detached)
			}
			conn, rec := l.connect(nil, func(p *recorder) {
				if inside {
					p.onData = func([]byte) { detach(p) }
				}
			})
			if inside {
				send(t, conn, "x")
			} else {
				l.do(func() { detach(rec) })
			}
			receive(t, detached, "Detach")
			if err := rec.reason(l); err != ErrDetached {
				t.Errorf("lost with %v", err)
			}
			if !strings.HasSuffix(string(d.Unsent), "9gathered") || !strings.HasSuffix(long+"gathered", string(d.Unsent)) {
				t.Errorf("%d bytes were not sent", len(d.Unsent))
			}
			if flags, err := unix.FcntlInt(uintptr(d.FD), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("flags %x, %v", flags, err)
			}
			send(t, conn, "unread") // by us, until it is ours

			f := os.NewFile(uintptr(d.FD), "detached")
			mine, err := net.FileConn(f)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			defer mine.Close()
			if got := readN(t, mine, 6); got != "unread" {
				t.Errorf("got %q", got)
			}
			go func() { mine.Write(d.Unsent); mine.Close() }()
			if got := readAll(t, conn); got != long+"gathered" {
				t.Errorf("the peer got %d bytes, want %d", len(got), len(long)+8)
			}
		})
	}
}

// A descriptor that was given away may be closed, and its number used again, in the same tick.
func TestDetachedNumberIsReused(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		taken := make(chan *net.TCPConn)
		var p *Port // on the loop
		first := l.listen(func(netip.AddrPort) Protocol {
			rec := newRecorder()
			rec.onData = func(b []byte) {
				if string(b) != "go" {
					rec.Write(b)
					return
				}
				d, err := rec.Detach()
				if err != nil {
					t.Error(err)
				}
				next := dial(t, p)
				unix.Close(d.FD)
				if err := p.DoRead(); err != nil { // gets the number
					t.Error(err)
				}
				if s := l.fds.lookup(d.FD); s == nil || s.conn == nil || s.conn == rec.Transport {
					t.Error("the number was not used again")
				}
				l.CallFromThread(func() { taken <- next })
			}
			return rec
		}, nil)
		l.do(func() { p = first })
		conn := dial(t, first)
		send(t, conn, "go")
		next := receive(t, taken, "the next connection")
		send(t, next, "hello")
		if got := readN(t, next, 5); got != "hello" {
			t.Errorf("got %q", got)
		}
	})
}

func TestDetachErrors(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(nil, nil)
	f := temporary(t, "0123456789")
	l.do(func() {
		rec.Send(FileRange(f, 0, 10))
		if _, err := rec.Detach(); err != ErrFilesQueued {
			t.Errorf("with a file queued: %v", err)
		}
		rec.LoseConnection()
		if _, err := rec.Detach(); err != net.ErrClosed {
			t.Errorf("when ending: %v", err)
		}
	})
	if err := rec.reason(l); err != ErrConnectionDone {
		t.Errorf("lost with %v", err)
	}
}

// A panic behind Detach ends nothing that is not ours any more, and is told once.
func TestPanicAfterDetach(t *testing.T) {
	l := start(t, Config{})
	var d Detached
	conn, rec := l.connect(nil, func(p *recorder) {
		p.onData = func([]byte) { d, _ = p.Detach(); panic("after") }
	})
	send(t, conn, "x")
	if err := rec.reason(l); err != ErrDetached {
		t.Errorf("lost with %v", err)
	}
	if _, err := unix.Write(d.FD, []byte("alive")); err != nil {
		t.Error(err)
	}
	if got := readN(t, conn, 5); got != "alive" {
		t.Errorf("got %q", got)
	}
	unix.Close(d.FD)
}

// A producer that is told of a mark may take that for its cue to detach the connection.
func TestDetachInProducer(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{HighWater: 1 << 10}}, nil)
		detached := false
		l.do(func() {
			rec.RegisterProducer(&detacher{rec.Transport, &detached})
			rec.Write(make([]byte, 16<<20)) // more than a kernel takes
		})
		if err := rec.reason(l); err != ErrDetached {
			t.Errorf("lost with %v", err)
		}
		if !detached || len(l.reported()) > 0 {
			t.Errorf("detached: %v; reported %v", detached, l.reported())
		}
		conn.Close()
	})
}

type detacher struct {
	t        Transport
	detached *bool
}

func (d *detacher) ResumeProducing() {}
func (d *detacher) StopProducing()   {}

func (d *detacher) PauseProducing() {
	if got, err := d.t.Detach(); err == nil {
		*d.detached = kernel{}.Close(got.FD) == 0
	}
}
