package server

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a peer costs that asks for much and reads nothing: the heap, not only what is counted.
func TestSlowReadersHoldLittle(t *testing.T) {
	const (
		readers = 40
		size    = 16 << 20 // more than the kernel takes
		slack   = 8 << 10  // for a connection, its exchange, and a goroutine
	)
	page := make([]byte, size)
	endless := func(piece []byte, write func(s *Stream, p []byte) (int, error)) HandlerFunc {
		return func(w *Response, r *Request) {
			s := w.Stream()
			more := func() {
				for !s.Full() {
					if _, err := write(s, piece); err != nil {
						return
					}
				}
			}
			s.OnDrain(more)
			more()
		}
	}
	for _, c := range []struct {
		name string
		h    HandlerFunc
		most int
	}{
		{"a page that is given", func(w *Response, r *Request) { w.GiveBody(page) }, 0},
		{"a stream of given pieces", endless(page[:128<<10], (*Stream).Give), 0},
		{"a stream of 16 KiB", endless(make([]byte, 16<<10), (*Stream).Write), 32 << 10},
		{"a stream of small pieces", endless(make([]byte, 500), (*Stream).Write), 32 << 10},
		{"a stream off the loop", BlockingFunc(func(w *Response, r *Request) {
			for s, p := w.Stream(), make([]byte, 1000); ; {
				if _, err := s.Write(p); err != nil {
					return
				}
			}
		}).Serve, 80 << 10}, // a piece more than the mark, here and in the transport
	} {
		t.Run(c.name, func(t *testing.T) {
			s, addr := start(t, c.h, func(s *Server) { s.MaxBufferedBytes = -1 })
			small := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
				return raw.Control(func(fd uintptr) {
					_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
				})
			}}
			first := dial(t, addr) // what the loop has is there before the first figure
			first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			atRest(t, s, 1)
			before := heap()
			for range readers {
				nc, err := small.DialContext(context.Background(), "tcp", addr.String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { nc.Close() })
				if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
			}
			atRest(t, s, readers)
			each := (heap() - before) / readers
			t.Logf("%d bytes for each reader", each)
			if each > c.most+slack {
				t.Errorf("%d bytes for each reader, want at most %d", each, c.most+slack)
			}
			runtime.KeepAlive(page)
		})
	}
}

// atRest waits until so many connections have output that waits, and it has stopped growing.
func atRest(t *testing.T, s *Server, n int) {
	last, since := -1, time.Now()
	await(t, "the streams to rest", func() bool {
		type look struct{ out, full int }
		now := onLoop(s, func(w *worker) (l look) {
			for c := w.conns.next; c != &w.conns; c = c.next {
				if c.t.Buffered() > 0 {
					l.full++
				}
			}
			l.out = w.loop.Unsent()
			return l
		})
		if now.out != last {
			last, since = now.out, time.Now()
		}
		return now.full >= n && time.Since(since) > 100*time.Millisecond
	})
}

// heap is what is in use once the collector has been.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A stream that is Full from the start, because answers before it wait for the flush, is told
// when that is over, though it has never written.
func TestStreamIsFullOfEarlierAnswers(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() != "/stream" {
			w.Write(make([]byte, 10_000))
			return
		}
		s := w.Stream()
		more := func() {
			if !s.Full() {
				s.WriteString("told")
				s.Close()
			}
		}
		s.OnDrain(more)
		more()
	})
	p := dial(t, addr)
	p.send("%s", strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3)+"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 3 {
		p.answer("GET")
	}
	if _, body := p.answer("GET"); body != "told" {
		t.Errorf("got %q", body)
	}
}
