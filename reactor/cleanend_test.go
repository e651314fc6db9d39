package reactor

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A peer takes a clean end for the end of all that was written. So it never sees one in front of output that was accepted
// and not sent: that is sent first, or the connection is reset.

// unsent is more than the kernel takes by itself, and content that many bytes.
const unsent = 4 << 20

var content = sync.OnceValue(func() []byte { return pattern(unsent) })

// queues are the ways in which output may wait for the socket.
var queues = map[string]func(t *testing.T, p *recorder){
	"Write": func(_ *testing.T, p *recorder) { p.Write(content()) },
	"Give":  func(_ *testing.T, p *recorder) { p.Send(Given(content())) },
	"SendFile": func(t *testing.T, p *recorder) {
		f := temporary(t, string(content()))
		p.Send(FileRange(f, 0, unsent))
	},
	"DataReceived": func(_ *testing.T, p *recorder) {
		p.Write(content()[:unsent/2])
		p.onData = func([]byte) { p.Write(content()[unsent/2:]) }
	},
}

// A protocol that ends with its peer has its output sent first.
func TestHalfCloseSendsWhatIsQueued(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		for name, queue := range queues {
			t.Run(name, func(t *testing.T) {
				l := start(t, c)
				conn, rec := l.connect(nil, nil)
				l.do(func() { queue(t, rec) })
				send(t, conn, "x")
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the half-close to be read", func() (read bool) {
					l.do(func() { read = rec.Transport.(*transport).flags&eof != 0 })
					return read
				})
				l.do(func() {
					if len(rec.lost) > 0 {
						t.Error("lost with output that waits")
					}
					rec.Write([]byte("too late"))
				})
				if got := readAll(t, conn); got != string(content()) {
					t.Errorf("the peer got %d of %d bytes and a clean end", len(got), unsent)
				}
				if err := rec.reason(l); err != ErrConnectionDone {
					t.Errorf("lost with %v", err)
				}
			})
		}
	})
}

// What is not taken within the LingerTimeout is not waited for, and the peer gets a reset.
func TestHalfCloseLingers(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{LingerTimeout: 50 * time.Millisecond}}, nil)
	l.do(func() { rec.Write(content()) })
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := rec.reason(l); err != ErrTimeout {
		t.Errorf("lost with %v", err)
	}
	wantCut(t, conn)
}

// wantCut reads what there is, and a reset.
func wantCut(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, err := io.Copy(io.Discard, conn); n >= unsent || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer got %d of %d bytes, and then %v", n, unsent, err)
	}
}

// A producer that was told to pause has more than what is queued, and the end does not wait for it. One that was not is no
// reason for a reset.
func TestHalfCloseWithAProducer(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		for _, slowed := range []bool{true, false} {
			l := start(t, c)
			o := TransportOptions{HighWater: 1 << 10}
			if !slowed {
				o.HighWater = 2 * unsent
			}
			conn, rec := l.connect(&TCPOptions{TransportOptions: o}, nil)
			f := &feeder{p: rec, t: t}
			l.do(func() { rec.RegisterProducer(f); rec.Write(content()) })
			l.do(func() {
				if f.paused != slowed {
					t.Errorf("the producer is paused: %v", f.paused)
				}
				f.paused = true // it writes nothing of its own
			})
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if slowed {
				if err := rec.reason(l); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, io.ErrShortWrite) {
					t.Errorf("lost with %v", err)
				}
				wantCut(t, conn)
			} else {
				if got := readAll(t, conn); got != string(content()) {
					t.Errorf("the peer got %d of %d bytes and a clean end", len(got), unsent)
				}
				if err := rec.reason(l); err != ErrConnectionDone {
					t.Errorf("lost with %v", err)
				}
			}
			if !f.stopped {
				t.Error("the producer was not stopped")
			}
		}
	})
}

// A reactor that ends resets the connections whose output is not sent, however it ends. The others end cleanly.
func TestStopResetsWhatIsUnsent(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		for how, end := range map[string]func(l *loop){
			"Stop":   func(l *loop) { l.Stop() },
			"Crash":  func(l *loop) { l.Crash() },
			"Goexit": func(l *loop) { l.CallFromThread(runtime.Goexit) },
		} {
			for name, queue := range queues {
				t.Run(how+", "+name, func(t *testing.T) {
					l := start(t, c)
					conn, rec := l.connect(nil, nil)
					whole, other := l.connect(nil, nil)
					l.do(func() { queue(t, rec); other.Write([]byte("whole")) })
					end(l)
					receive(t, l.done, "the end")
					wantCut(t, conn)
					if got := readAll(t, whole); got != "whole" {
						t.Errorf("got %q", got)
					}
					for _, p := range []*recorder{rec, other} {
						if err := receive(t, p.lost, "ConnectionLost"); err != ErrShutdown {
							t.Errorf("lost with %v", err)
						}
					}
				})
			}
		}
	})
}

// What a callback has written that ends the goroutine is not sent, and its peer gets a reset.
func TestGoexitBehindWrite(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, func(p *recorder) {
		p.onData = func([]byte) { p.Write([]byte("half of it")); runtime.Goexit() }
	})
	send(t, conn, "x")
	receive(t, l.done, "the end")
	wantCut(t, conn)
	if err := receive(t, rec.lost, "ConnectionLost"); err != ErrShutdown {
		t.Errorf("lost with %v", err)
	}
}
