package reactor

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/bytebufferpool"
)

// However output is written and however little of it the socket takes at a time, the peer gets the same bytes.
func TestPartialWrites(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		const seed = 7
		rnd := rand.New(rand.NewPCG(seed, seed))
		s := &faultySystem{}
		s.write = func(fd int, p []byte) (int, syscall.Errno) {
			switch rnd.IntN(4) {
			case 0:
				return 0, syscall.EAGAIN
			case 1:
				return 0, syscall.EINTR
			case 2:
				return s.kernel.Write(fd, p[:1+rnd.IntN(len(p))])
			}
			return s.kernel.Write(fd, p)
		}
		c.System = s
		l := start(t, c)
		want := pattern(3 << 20)
		rest := want
		conn, rec := l.connect(nil, nil)
		written := 0
		piece := func() {
			n := min(len(rest), 1+rnd.IntN(1<<(1+rnd.IntN(18))))
			p := rest[:n]
			rest = rest[n:]
			if rnd.IntN(2) == 0 {
				rec.Commit(append(rec.Room(rnd.IntN(2*n)), p...))
			} else {
				rec.Write(p)
			}
			written += n
			if rec.Buffered() > written {
				t.Errorf("%d bytes buffered of %d", rec.Buffered(), written)
			}
		}
		l.do(func() {
			rec.onData = func([]byte) {
				for range rnd.IntN(20) {
					if len(rest) > 0 {
						piece()
					}
				}
			}
		})
		got := make(chan []byte)
		go func() {
			p, _ := io.ReadAll(conn) // what an error cuts short differs
			got <- p
		}()
		for more := true; more; { // output from its own callback and from others', in turns
			send(t, conn, "go on")
			l.do(func() {
				if more = len(rest) > 0; more {
					piece()
				}
				if n := l.Unsent(); n != rec.Buffered() {
					t.Errorf("%d bytes unsent in all, and %d of the one connection", n, rec.Buffered())
				}
			})
		}
		l.do(rec.CloseWrite)
		if p := receive(t, got, "the end"); !bytes.Equal(p, want) {
			t.Errorf("the peer got other bytes than were written: %d of %d (seed %d)", len(p), len(want), seed)
		}
		conn.Close()
		rec.reason(l)
		l.do(func() {
			if n := l.Unsent(); n != 0 {
				t.Errorf("%d bytes unsent and no connection", n)
			}
		})
	})
}

// What was sent makes room for what is added.
func TestBufferMakesRoom(t *testing.T) {
	s := &faultySystem{}
	taken := 0
	s.write = func(fd int, p []byte) (int, syscall.Errno) {
		switch {
		case taken < 0: // all
			return s.kernel.Write(fd, p)
		case taken == 0:
			n, errno := s.kernel.Write(fd, p[:len(p)*3/4])
			taken += n
			return n, errno
		}
		return 0, syscall.EAGAIN
	}
	l := start(t, Config{System: s})
	conn, rec := l.connect(nil, nil)
	want := pattern(64 << 10)
	l.do(func() {
		for i := range 4 { // small enough to be gathered
			rec.Write(want[i*8<<10 : (i+1)*8<<10])
		}
	})
	l.do(func() {
		if n := rec.Buffered(); n != 8<<10 {
			t.Errorf("%d bytes are left, want a quarter of 32 KiB", n)
		}
		before := rec.Transport.(*transport).room()
		rec.Write(want[32<<10 : 40<<10])
		rec.Write(want[40<<10 : 48<<10])
		rec.Commit(append(rec.Room(0), want[48<<10:]...))
		if n := rec.Transport.(*transport).room(); n > before*2 {
			t.Errorf("the buffer grew from %d to %d for 40 KiB", before, n)
		}
		taken = -1
	})
	if got := readN(t, conn, len(want)); got != string(want) {
		t.Error("the bytes differ")
	}
}

// A batch of small answers is one write.
func TestAnswersAreGathered(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	conn, _ := l.connect(nil, func(p *recorder) {
		p.onData = func([]byte) {
			for i := range 100 {
				if i%2 == 0 {
					fmt.Fprintf(writer{p}, "answer %d\n", i)
				} else {
					p.Commit(fmt.Appendf(p.Room(0), "answer %d\n", i))
				}
			}
		}
	})
	send(t, conn, "x")
	var want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&want, "answer %d\n", i)
	}
	if got := readN(t, conn, want.Len()); got != want.String() {
		t.Errorf("peer got %q", got)
	}
	l.do(func() {})
	if n := s.writes.Load(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

// So is what posted calls and timers write in one tick.
func TestPostedOutputIsGathered(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	conn, rec := l.connect(nil, nil)
	l.do(func() {
		for range 100 {
			rec.Write([]byte("0123456789"))
		}
	})
	readN(t, conn, 1000)
	l.do(func() {})
	if n := s.writes.Load(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

// Large output is written from where it is, together with what was gathered before it.
func TestLargeWriteGoesDirectly(t *testing.T) {
	s := &faultySystem{}
	var sizes [][]int
	note := func(pieces ...[]byte) {
		var all []int
		for _, p := range pieces {
			all = append(all, len(p))
		}
		sizes = append(sizes, all)
	}
	s.write = func(fd int, p []byte) (int, syscall.Errno) { note(p); return s.kernel.Write(fd, p) }
	s.writev = func(fd int, pieces [][]byte) (int, syscall.Errno) {
		note(pieces...)
		return s.kernel.Writev(fd, pieces)
	}
	l := start(t, Config{System: s})
	body := strings.Repeat("b", directSize)
	conn, _ := l.connect(nil, func(p *recorder) {
		p.onData = func([]byte) {
			p.Write([]byte("head"))
			p.Write([]byte(body))
			p.Write([]byte("tail"))
		}
	})
	send(t, conn, "x")
	if got, want := readN(t, conn, 8+directSize), "head"+body+"tail"; got != want {
		t.Error("the bytes are out of order")
	}
	l.do(func() {
		if want := fmt.Sprint([][]int{{4, directSize}, {4}}); fmt.Sprint(sizes) != want {
			t.Errorf("writes of %v, want %s", sizes, want)
		}
	})
}

// What Room lends and Commit gets back is not copied, in the loop's buffer and in the connection's own.
func TestRoomIsNotCopied(t *testing.T) {
	l := start(t, Config{})
	check := func(p *recorder, where string) {
		p.Write([]byte("first "))
		for _, n := range []int{0, roomMin, 10_000, gatherSize, 3 * gatherSize, 1} {
			if b := p.Room(n); len(b) != 0 || cap(b) < max(n, roomMin) {
				t.Errorf("%s: len %d, cap %d of %d", where, len(b), cap(b), n)
			}
		}
		b := append(p.Room(0), "secand"...)
		p.Commit(b)
		b[3] = 'o' // seen, for it is the same memory
	}
	conn, rec := l.connect(nil, func(p *recorder) { p.onData = func([]byte) { check(p, "in DataReceived") } })
	send(t, conn, "x")
	if got := readN(t, conn, 12); got != "first second" {
		t.Errorf("peer got %q", got)
	}
	l.do(func() { check(rec, "elsewhere") })
	if got := readN(t, conn, 12); got != "first second" {
		t.Errorf("peer got %q", got)
	}
	// A buffer that is not used goes back, and nothing is sent.
	l.do(func() { rec.Room(0) })
	l.do(func() {
		if rec.Transport.(*transport).out != nil {
			t.Error("an idle connection holds a buffer")
		}
	})
}

// An answer that outgrows Room is sent all the same.
func TestRoomOutgrown(t *testing.T) {
	l := start(t, Config{})
	want := string(pattern(3 * gatherSize))
	conn, rec := l.connect(nil, func(p *recorder) {
		p.onData = func([]byte) {
			p.Commit(append(p.Room(0), want[:gatherSize-1]...))
			p.Commit(append(p.Room(0), want[gatherSize-1:]...))
		}
	})
	send(t, conn, "x")
	if got := readN(t, conn, len(want)); got != want {
		t.Error("the bytes differ")
	}
	l.do(func() { rec.Commit(append(rec.Room(0), want...)) })
	if got := readN(t, conn, len(want)); got != want {
		t.Error("the bytes differ")
	}
}

// Room is lent for the next call, and what is not it is refused before anything of it is queued.
func TestCommitOfSomethingElse(t *testing.T) {
	for name, act := range map[string]func(p *recorder){
		"no Room":              func(p *recorder) { p.Commit([]byte("x")) },
		"twice":                func(p *recorder) { b := append(p.Room(1), 'x'); p.Commit(b); p.Commit(b) },
		"Write between":        func(p *recorder) { b := append(p.Room(1), 'x'); p.Write([]byte("y")); p.Commit(b) },
		"Send between":         func(p *recorder) { b := append(p.Room(1), 'x'); p.Send(Lent([]byte("y"))); p.Commit(b) },
		"a part":               func(p *recorder) { p.Commit(append(p.Room(2), "xy"...)[1:]) },
		"another of that size": func(p *recorder) { p.Commit(append(make([]byte, 0, cap(p.Room(1))), 'x')) },
	} {
		for _, inside := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				l := start(t, Config{})
				conn, rec := l.connect(nil, nil)
				panicked := false
				try := func() {
					defer func() { panicked = recover() != nil }()
					act(rec)
				}
				if inside {
					l.do(func() { rec.onData = func([]byte) { try(); rec.LoseConnection() } })
					send(t, conn, "x")
				} else {
					l.do(func() { try(); rec.LoseConnection() })
				}
				got := readAll(t, conn)
				rec.reason(l)
				l.do(func() {
					if !panicked {
						t.Error("no panic")
					}
				})
				if strings.Trim(got, "xy") != "" || len(got) > 1 {
					t.Errorf("the peer got %q", got)
				}
			})
		}
	}
}

// Room is void when the callback returns: the buffer may be another connection's by then.
func TestRoomIsVoidLater(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
	var b []byte
	l.do(func() { rec.onData = func([]byte) { b = append(rec.Room(1), 'x') } })
	for _, inside := range []bool{true, false} {
		if inside {
			send(t, conn, "x")
			eventually(t, "the data", func() (yes bool) { l.do(func() { yes = b != nil }); return yes })
		} else {
			l.do(func() { b = append(rec.Room(1), 'x') })
		}
		l.do(func() {
			defer func() {
				if recover() == nil {
					t.Error("Commit in a later callback did not panic")
				}
			}()
			rec.Commit(b)
		})
	}
}

// A large piece in Room is sent before the buffer goes back to the pool, and what the socket does not take of it is kept.
func TestRoomIsNotPooledEarly(t *testing.T) {
	const size = directSize + 1000
	for _, inside := range []bool{true, false} {
		s := &faultySystem{}
		first := true
		s.write = func(fd int, p []byte) (int, syscall.Errno) {
			other := outputs.Get() // as another loop may at any time
			for b := other.B[:cap(other.B)]; len(b) > 0; b = b[1:] {
				b[0] = '!'
			}
			outputs.Put(other)
			if first {
				first = false
				return s.kernel.Write(fd, p[:10])
			}
			return s.kernel.Write(fd, p)
		}
		l := prepare(t, Config{System: s})
		l.real = true // the pool is the process's
		l.start()
		act := func(p *recorder) {
			for cap(outputs.Get().B) > 0 {
			} // or one that is too small may come first
			outputs.Put(&bytebufferpool.ByteBuffer{B: make([]byte, 0, outputKeep)})
			b := p.Room(size)
			for range size {
				b = append(b, 'x')
			}
			p.Commit(b)
		}
		conn, rec := l.connect(nil, func(p *recorder) {
			p.onData = func([]byte) {
				act(p)
				l.CallFromThread(func() { // as another connection that answers
					for b := l.out.buf[:cap(l.out.buf)]; len(b) > 0; b = b[1:] {
						b[0] = '!'
					}
				})
			}
		})
		if inside {
			send(t, conn, "x")
		} else {
			l.do(func() { act(rec) })
		}
		if got := readN(t, conn, size); got != strings.Repeat("x", size) {
			t.Errorf("inside %v: the peer got what another connection has written", inside)
		}
	}
}

// Output that makes no progress ends the connection; output that does, however slowly, does not.
func TestWriteTimeout(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		clock := newFakeClock()
		c.System = clock.system()
		l := start(t, c)
		conn, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{WriteTimeout: time.Minute}}, nil)
		l.do(func() { rec.Write(make([]byte, 32<<20)) })
		buf := make([]byte, 1<<20)
		for range 3 {
			clock.advance(l, 45*time.Second)
			for !progressed(l, rec) {
				if _, err := io.ReadFull(conn, buf); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(rec.lost) != 0 {
			t.Fatal("lost although it made progress")
		}
		clock.advance(l, 15*time.Second) // what was acknowledged since the last look counts from here
		clock.advance(l, time.Minute)
		if err := rec.reason(l); err != ErrTimeout {
			t.Errorf("lost with %v", err)
		}
	})
}

// A socket that is said to be writable and takes nothing makes no progress.
func TestWriteTimeoutOfSpuriousWritability(t *testing.T) {
	clock := newFakeClock()
	s := clock.system()
	s.write = func(int, []byte) (int, syscall.Errno) { return 0, syscall.EAGAIN }
	l := start(t, Config{System: s})
	_, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{WriteTimeout: time.Minute}}, nil)
	l.do(func() { rec.Write([]byte("x")) })
	for range 3 {
		clock.advance(l, 30*time.Second)
	}
	if err := rec.reason(l); err != ErrTimeout {
		t.Errorf("lost with %v", err)
	}
}

// progressed reports whether the socket has taken something since the clock last moved.
func progressed(l *loop, p *recorder) (yes bool) {
	l.do(func() { yes = p.Transport.(*transport).paid == l.clock() })
	return yes
}

// writer makes an io.Writer of a transport.
type writer struct{ t Transport }

func (w writer) Write(p []byte) (int, error) {
	w.t.Write(p)
	return len(p), nil
}
