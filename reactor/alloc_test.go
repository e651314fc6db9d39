package reactor

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/bytebufferpool"
)

// Once it is warm, the loop allocates nothing to serve: not for a tick, a read, a callback, an answer, a timeout.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	eachPoller(t, func(t *testing.T, c Config) {
		var f File = kept{temporary(t, "0123"+strings.Repeat("x", 100))} // an interface from the start: making one allocates
		answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		for _, tc := range []struct {
			name   string
			onData func(p *recorder) func([]byte)
		}{
			{"Write", func(p *recorder) func([]byte) { return func([]byte) { p.Write(answer) } }},
			{"Room", func(p *recorder) func([]byte) {
				return func([]byte) { p.Commit(append(p.Room(0), answer...)) }
			}},
			{"Send", func(p *recorder) func([]byte) {
				pieces := []Piece{Lent(answer[:10]), Given(answer[10:])}
				return func([]byte) { p.Send(pieces...) }
			}},
			{"Send, vectored", func(p *recorder) func([]byte) {
				pieces := []Piece{Lent(answer[:10]), Lent(nil), Given(make([]byte, directSize))}
				return func([]byte) { p.Send(pieces...); p.Write(answer) }
			}},
			{"Send, of a file", func(p *recorder) func([]byte) {
				pieces := []Piece{FileRange(f, 4, int64(len(answer)-4)).OnFree(func(bool) {})}
				return func([]byte) { p.Write(answer[:4]); p.Send(pieces...) }
			}},
			{"SetTimeout", func(p *recorder) func([]byte) {
				return func([]byte) { p.SetTimeout(time.Minute); p.Write(answer) }
			}},
			{"outside DataReceived", func(p *recorder) func([]byte) {
				post := func() { p.Write(answer) }
				return func([]byte) { p.Reactor().CallFromThread(post) }
			}},
			{"pause and resume", func(p *recorder) func([]byte) {
				resume := func() { p.ResumeReading() }
				return func([]byte) { p.PauseReading(); p.Write(answer); p.Reactor().CallFromThread(resume) }
			}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				l := start(t, c)
				conn, rec := l.connect(nil, func(p *recorder) {
					f := tc.onData(p)
					p.onData = func(b []byte) { p.data = p.data[:0]; f(b) }
				})
				in := make([]byte, len(answer))
				if tc.name == "Send, vectored" {
					in = make([]byte, 10+directSize+len(answer))
				}
				if n := testing.AllocsPerRun(100, func() { exchange(t, conn, in) }); n > 0 {
					t.Errorf("%v allocations for a request", n)
				}
				l.do(func() {
					if n := rec.Buffered(); n != 0 {
						t.Errorf("%d bytes are left", n)
					}
				})
			})
		}
	})
}

// exchange sends a byte and reads an answer of len(in).
func exchange(t testing.TB, conn net.Conn, in []byte) {
	if _, err := conn.Write(in[:1]); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(in); {
		m, err := conn.Read(in[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

// Buffers that are larger than what lies in them go back to the pool, however often it measures what it is given.
func TestBuffersStayInThePool(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a pool forgets at random")
	}
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	t.Cleanup(func() { outputs = bytebufferpool.Pool{} }) // as other tests expect it: without a size
	answer := make([]byte, 100)
	cycle := func() {
		b := r.takeBuffer(4 << 10)
		b.B = append(b.B, answer...)
		r.giveBuffer(b)
	}
	const calibration = 42_000 // so many calls of Put, and bytebufferpool measures
	for range 2 * calibration {
		cycle()
	}
	if n := testing.AllocsPerRun(1000, cycle); n > 0 {
		t.Errorf("%v allocations for a buffer", n)
	}
}
