package server

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Back-pressure, by what the server holds: whatever a peer does, the loop's memory stays
// within what one connection may have, and the peer's own sends block.

// flood sends piece until the peer's sends block for a while, or most bytes were sent.
func (p *peer) flood(piece string, most int) (sent int) {
	p.t.Helper()
	for sent < most {
		p.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := io.WriteString(p.TCPConn, piece)
		if sent += n; errors.Is(err, os.ErrDeadlineExceeded) {
			return sent
		}
		if err != nil {
			p.t.Fatalf("after %d bytes: %v", sent, err)
		}
	}
	p.t.Errorf("%d bytes were taken and the peer never blocked", sent)
	return sent
}

const (
	floodMost = 64 << 20
	// mostHeld is what one connection may make a loop hold: the input of a read or two, the
	// output of a batch, and the slack of buffers that grow by doubling.
	mostHeld = 1 << 20
)

// peak watches what the loop holds until it is stopped.
func peak(t *testing.T, s *Server) (stop func() int) {
	most := 0
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		often := time.NewTicker(time.Millisecond)
		defer often.Stop()
		for {
			select {
			case <-done:
				return
			case <-often.C:
				in, out := held(s)
				most = max(most, in+out)
			}
		}
	}()
	return func() int {
		close(done)
		<-ended
		return most
	}
}

func TestBackPressure(t *testing.T) {
	waits(t)
	get := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 3000) + "\r\n\r\n"
	small := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 150) + "\r\n\r\n"
	upload := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)
	at := func(h HandlerFunc) func(<-chan struct{}) HandlerFunc {
		return func(<-chan struct{}) HandlerFunc { return h }
	}
	owed := func(release <-chan struct{}) HandlerFunc {
		return func(w *Response, r *Request) {
			p := w.Later()
			go func() {
				<-release
				p.Answer(func(w *Response) { w.Write(r.PeekBody()) })
			}()
		}
	}
	blocking := func(release <-chan struct{}) HandlerFunc {
		return BlockingFunc(func(w *Response, r *Request) {
			<-release
			w.Write(r.PeekBody())
		}).Serve
	}
	for _, c := range []struct {
		name, piece string
		handler     func(release <-chan struct{}) HandlerFunc
	}{
		{"pipelines and does not read", get, at(func(w *Response, r *Request) { w.Write(make([]byte, 5000)) })},
		{"pipelines small requests for small answers", small, at(hello)},
		{"pipelines while an answer is owed", get, owed},
		{"uploads while an answer is owed", upload, owed},
		{"uploads while a handler blocks", upload, blocking},
		{"uploads to an echo and does not read", upload, at(func(w *Response, r *Request) { w.Write(r.PeekBody()) })},
		{"uploads to a stream and does not read", upload, at(func(w *Response, r *Request) {
			s := w.Stream()
			s.Write(r.PeekBody())
			s.Close()
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			s, addr := start(t, c.handler(release))
			p := dial(t, addr)
			stop := peak(t, s)
			sent := p.flood(c.piece, floodMost)
			if most := stop(); most > mostHeld {
				t.Errorf("the loop held %d bytes", most)
			}
			// When it reads, it is served: nothing was lost.
			close(release)
			p.SetWriteDeadline(time.Now().Add(patience))
			go func() {
				if rest := sent % len(c.piece); rest > 0 {
					io.WriteString(p.TCPConn, c.piece[rest:])
				}
				p.CloseWrite()
			}()
			requests := (sent + len(c.piece) - 1) / len(c.piece)
			if answers := strings.Count(p.rest(), "HTTP/1.1 200 OK\r\n"); answers != requests {
				t.Errorf("%d answers to %d requests", answers, requests)
			}
			await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
		})
	}
}

// Slow readers of endless streams: what is held is a high water mark for each, whatever the
// number of them.
func TestBackPressureOfStreams(t *testing.T) {
	const readers = 20
	endless := func(w *Response, r *Request) {
		s, piece := w.Stream(), make([]byte, 10_000)
		more := func() {
			for !s.Full() {
				if _, err := s.Write(piece); err != nil {
					return
				}
			}
		}
		s.OnDrain(more)
		more()
	}
	var written atomic.Int64
	blocking := func(w *Response, r *Request) {
		for s := w.Stream(); ; {
			n, err := s.Write(make([]byte, 100_000))
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	for name, h := range map[string]HandlerFunc{"on the loop": endless, "off the loop": BlockingFunc(blocking).Serve} {
		t.Run(name, func(t *testing.T) {
			s, addr := start(t, h)
			var conns []net.Conn
			for range readers {
				p := dial(t, addr)
				p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				conns = append(conns, p)
			}
			last, since := -1, time.Now()
			await(t, "the streams to rest", func() bool {
				_, out := held(s)
				if out != last {
					last, since = out, time.Now()
				}
				return out > 0 && time.Since(since) > 100*time.Millisecond
			})
			if in, out := held(s); out > readers*(s.conf.unsent+streamBurst) {
				t.Errorf("%d bytes held for %d readers, %d in", out, readers, in)
			}
			for _, c := range conns {
				c.Close()
			}
			await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
		})
	}
}
