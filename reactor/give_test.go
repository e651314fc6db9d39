package reactor

import (
	"bytes"
	"io"
	"syscall"
	"testing"
)

// What was given is kept where it lies, counts as unsent, and is let go of when it is sent or the connection is lost.
func TestGive(t *testing.T) {
	const size = 1 << 20
	for _, lost := range []bool{false, true} {
		s := &faultySystem{}
		full := true // on the loop
		s.write = func(fd int, p []byte) (int, syscall.Errno) {
			if full {
				return 0, syscall.EAGAIN
			}
			return s.kernel.Write(fd, p)
		}
		s.writev = func(fd int, pieces [][]byte) (int, syscall.Errno) {
			if full {
				return 0, syscall.EAGAIN
			}
			return s.kernel.Writev(fd, pieces)
		}
		l := start(t, Config{System: s})
		conn, rec := l.connect(nil, nil)
		want := pattern(size)
		l.do(func() {
			rec.Write([]byte("<"))
			rec.Send(Given(want))
			rec.Write([]byte(">"))
			rec.Send(Given([]byte("!")))
		})
		l.do(func() {
			tr := rec.Transport.(*transport)
			if n := l.Unsent(); n != size+3 || rec.Buffered() != n {
				t.Errorf("%d bytes unsent, %d buffered", n, rec.Buffered())
			}
			if n := tr.room(); n > outputKeep {
				t.Errorf("a copy: %d bytes", n)
			}
			if lost {
				rec.AbortConnection()
			} else {
				full = false
				rec.LoseConnection()
			}
		})
		if lost {
			rec.reason(l)
		} else if got := readAll(t, conn); got != "<"+string(want)+">!" {
			t.Errorf("got %d bytes", len(got))
		}
		eventually(t, "nothing to be unsent", func() (yes bool) { l.do(func() { yes = l.Unsent() == 0 }); return yes })
	}
}

// Given bytes count towards MaxBuffered.
func TestGiveIsBounded(t *testing.T) {
	s := &faultySystem{write: func(int, []byte) (int, syscall.Errno) { return 0, syscall.EAGAIN }}
	l := start(t, Config{System: s})
	_, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{MaxBuffered: 100_000}}, nil)
	l.do(func() {
		rec.Send(Given(make([]byte, 50_000)))
		rec.Send(Given(make([]byte, 50_000)))
		rec.Send(Given(make([]byte, 50_000)))
	})
	if err := rec.reason(l); err != ErrWriteBound {
		t.Errorf("lost with %v", err)
	}
}

// What there is no place for in the queue does not count as unsent for ever.
func TestGiveTooOften(t *testing.T) {
	s := &faultySystem{write: func(int, []byte) (int, syscall.Errno) { return 0, syscall.EAGAIN }}
	l := start(t, Config{System: s})
	_, rec := l.connect(nil, nil)
	page := make([]byte, directSize)
	l.do(func() {
		for range heldMost + 1 {
			rec.Send(Given(page))
		}
	})
	if err := rec.reason(l); err != ErrWriteBound {
		t.Errorf("lost with %v", err)
	}
	l.do(func() {
		if n := l.Unsent(); n != 0 {
			t.Errorf("%d bytes are unsent, and there is no connection", n)
		}
	})
}

// A buffer is no larger than what is in it calls for, and none that is large goes to who needs little.
func TestBuffersFit(t *testing.T) {
	s := &faultySystem{}
	take := 0 // on the loop: what the socket takes
	s.write = func(fd int, p []byte) (int, syscall.Errno) {
		if take == 0 {
			return 0, syscall.EAGAIN
		}
		n, errno := s.kernel.Write(fd, p[:min(take, len(p))])
		take -= max(n, 0)
		return n, errno
	}
	l := start(t, Config{System: s})
	conn, rec := l.connect(nil, nil)
	const size = 1 << 20
	want := pattern(size)
	got := make(chan string, 1)
	go func() {
		b := make([]byte, size)
		n, _ := io.ReadFull(conn, b)
		got <- string(b[:n])
	}()
	l.do(func() { take = 1; rec.Write(want) })
	left := size - 1
	for _, n := range []int{size / 2, size / 4, size / 8, size / 16, size / 32} {
		l.do(func() {
			tr := rec.Transport.(*transport)
			if c := tr.room(); c > 4*left+outputShrink {
				t.Errorf("%d bytes of buffer for %d", c, left)
			}
			take = n
		})
		left -= n
		eventually(t, "it to be sent", func() (yes bool) { l.do(func() { yes = rec.Buffered() == left }); return yes })
	}
	l.do(func() { take = size })
	if receive(t, got, "all of it") != string(want) {
		t.Error("the bytes differ")
	}
	l.do(func() {
		for range 100 {
			if b := l.takeBuffer(1); cap(b.B) > outputKeep {
				t.Errorf("a buffer of %d bytes is in the pool", cap(b.B))
			}
		}
	})
}

// What a queue takes of memory is counted by the room in its buffers.
func TestHeld(t *testing.T) {
	s := &faultySystem{}
	full := true // on the loop
	s.write = func(fd int, p []byte) (int, syscall.Errno) {
		if full {
			return 0, syscall.EAGAIN
		}
		return s.kernel.Write(fd, p)
	}
	s.writev = func(fd int, pieces [][]byte) (int, syscall.Errno) {
		if full {
			return 0, syscall.EAGAIN
		}
		return s.kernel.Writev(fd, pieces)
	}
	l := start(t, Config{System: s})
	conn, rec := l.connect(nil, nil)
	l.do(func() {
		rec.Write([]byte("x"))
		tr := rec.Transport.(*transport)
		if n := rec.Held(); n < outputMin || n != tr.room() || l.Held() != n {
			t.Errorf("%d bytes held for one, %d by the loop, in a buffer of %d", n, l.Held(), tr.room())
		}
		rec.Send(Given(make([]byte, directSize)), FileRange(memoryFile{bytes.NewReader(make([]byte, 1<<20))}, 0, 1<<20))
		for range 100_000 {
			rec.Write([]byte("y"))
		}
		if n := rec.Held(); n != tr.room()+directSize || l.Held() != n || n < 100_000+directSize {
			t.Errorf("%d bytes held, %d by the loop, in buffers of %d", n, l.Held(), tr.room())
		}
		full = false
		rec.LoseConnection()
	})
	if got := readAll(t, conn); len(got) != 1+directSize+1<<20+100_000 {
		t.Errorf("got %d bytes", len(got))
	}
	rec.reason(l)
	l.do(func() {
		if n := l.Held(); n != 0 {
			t.Errorf("%d bytes held, and there is no connection", n)
		}
	})
}
