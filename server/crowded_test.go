package server

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/valyala/bytebufferpool"
)

// What handlers make of answers that are owed counts towards MaxBufferedBytes, whichever way they
// make it. Beyond it new requests are refused, those that are being served are not, and when these
// have been answered all is as before.
func TestMaxBufferedBytesOfHandlers(t *testing.T) {
	const (
		most    = 4 << 20
		size    = 1 << 20
		holders = most/size + 1
	)
	body := bytes.Repeat([]byte("b"), size)
	for name, big := range map[string]func(ready chan<- bool, release <-chan bool) Handler{
		"Blocking": func(ready chan<- bool, release <-chan bool) Handler {
			return BlockingFunc(func(w *Response, r *Request) {
				for p := body; len(p) > 0; p = p[size/16:] {
					w.Write(p[:size/16])
				}
				ready <- true
				<-release
			})
		},
		"Pending": func(ready chan<- bool, release <-chan bool) Handler {
			return HandlerFunc(func(w *Response, r *Request) {
				p := w.Later()
				go p.Answer(func(w *Response) {
					w.GiveBody(body)
					ready <- true
					<-release
				})
			})
		},
		"before Later": func(ready chan<- bool, release <-chan bool) Handler {
			return HandlerFunc(func(w *Response, r *Request) {
				w.Write(body)
				p := w.Later()
				go func() {
					ready <- true
					<-release
					p.Answer(func(*Response) {})
				}()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ready, release := make(chan bool), make(chan bool)
			h := big(ready, release)
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			s, addr := start(t, func(w *Response, r *Request) {
				if r.Path() == "/big" {
					h.Serve(w, r)
				} else {
					hello(w, r)
				}
			}, func(s *Server) { s.MaxBufferedBytes, s.Log = most, logger })
			old, uploading := dial(t, addr), dial(t, addr)
			old.get("/")
			for range 100 { // buffers as earlier bodies leave them: the little that arrives is counted as one
				bytebufferpool.Put(&bytebufferpool.ByteBuffer{B: make([]byte, 0, pieceSize)})
			}
			uploading.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
			await(t, "a request to arrive", func() bool { in, _ := held(s); return in > 0 })
			var holding []*peer
			full := func() bool { in, _ := held(s); return in > most }
			for range holders {
				p := dial(t, addr)
				p.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
				<-ready
				if holding = append(holding, p); full() {
					break
				}
			}
			if !full() {
				close(release)
				in, _ := held(s)
				t.Fatalf("%d bytes are held, and counted %d", holders*size, in)
			}
			await(t, "the loop to notice", func() bool {
				return onLoop(s, func(w *worker) bool { return w.crowded })
			})
			for _, p := range []*peer{old, dial(t, addr)} {
				p.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
				res, _ := p.answer("POST") // and not 100
				if res.StatusCode != 503 || !res.Close || res.Header.Get("Retry-After") == "" {
					t.Errorf("status %d, close %v", res.StatusCode, res.Close)
				}
				want(t, "behind it", p.rest(), "")
			}
			if n := strings.Count(log.String(), errCrowded.Reason); n != 2 {
				t.Errorf("%d lines in the log: %s", n, log.String())
			}
			uploading.send("y") // it was there before
			if res, _ := uploading.answer("POST"); res.StatusCode != 200 {
				t.Errorf("a request that was arriving: status %d: %s", res.StatusCode, log.String())
			}
			close(release)
			for _, p := range holding {
				if res, got := p.answer("GET"); res.StatusCode != 200 || got != string(body) {
					t.Errorf("status %d, %d bytes", res.StatusCode, len(got))
				}
			}
			await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
			dial(t, addr).get("/")
		})
	}
}

// A request in the hands of a Blocking handler counts also when its peer is gone: peers that upload and leave do not get
// past the bound.
func TestMaxBufferedBytesOfPeersThatLeave(t *testing.T) {
	const (
		most = 4 << 20
		size = 1 << 20
	)
	release, begun := make(chan bool), make(chan bool, most/size)
	s, addr := start(t, BlockingFunc(func(*Response, *Request) { begun <- true; <-release }).Serve, func(s *Server) {
		s.MaxBufferedBytes, s.MaxBlocking = most, most/size
	})
	t.Cleanup(func() { close(release) }) // before the server is shut down
	for n := 1; n < most/size; n++ {
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
		await(t, "the handler", func() bool { return s.workers[0].loop.ThreadCalls() == n })
		<-begun // one whose peer left before would not begin
		p.SetLinger(0)
		p.Close()
		await(t, "the peer to be gone", func() bool { return s.doors.open.Load() == 0 })
		if in, _ := held(s); in < n*size {
			t.Fatalf("%d bytes are held for %d requests, and counted %d", n*size, n, in)
		}
	}
	p := dial(t, addr)
	p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 8*size)
	go io.Copy(p.TCPConn, bytes.NewReader(make([]byte, 2*size)))
	if res, _ := p.answer("POST"); res.StatusCode != 503 {
		t.Errorf("the one that is too much got %d", res.StatusCode)
	}
	p.Close()
	for range most/size - 1 {
		release <- true
	}
	await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
}

// Who holds little is not ended for what handlers own, also when that is not too much by itself and the little tips it over.
func TestLittleTipsItOver(t *testing.T) {
	const most = 1 << 20
	given, release := make(chan bool), make(chan bool)
	s, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/" {
			hello(w, r)
			return
		}
		p := w.Later()
		go p.Answer(func(w *Response) {
			w.GiveBody(make([]byte, most-1000))
			given <- true
			<-release
		})
	}, func(s *Server) { s.MaxBufferedBytes = most })
	var uploading []*peer
	for in := 0; in < 2000; in, _ = held(s) { // whose end would make the room that is missing
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: a\r\nX: %s\r\nContent-Length: 2\r\n\r\n", strings.Repeat("x", 500))
		await(t, "a head to be held", func() bool { now, _ := held(s); return now > in })
		uploading = append(uploading, p)
	}
	big := dial(t, addr)
	big.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	<-given
	await(t, "the loop to notice", func() bool { return onLoop(s, func(w *worker) bool { return w.crowded }) })
	for _, p := range uploading {
		p.send("xy")
		if res, _ := p.answer("POST"); res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	close(release)
	big.answer("GET")
}
