package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// deadlined is what SetReadDeadline of a BodyReader needs.
type deadlined interface{ SetReadDeadline(t time.Time) error }

// A read deadline ends Read, whether it waits or not. It can be moved until then. The answer is the handler's, and the last.
func TestBodyReaderDeadline(t *testing.T) {
	const soon = 20 * time.Millisecond
	for name, c := range map[string]struct {
		read func(body io.Reader, d deadlined) string
		want string
		last bool
	}{
		"passed": {func(body io.Reader, d deadlined) string {
			d.SetReadDeadline(time.Now())
			_, err := body.Read(make([]byte, 9))
			d.SetReadDeadline(time.Time{})
			_, again := body.Read(make([]byte, 9))
			return fmt.Sprint(err == os.ErrDeadlineExceeded, again == err)
		}, "true true", true},
		"within Read": {func(body io.Reader, d deadlined) string {
			d.SetReadDeadline(time.Now().Add(soon))
			b, err := io.ReadAll(body)
			return fmt.Sprintf("%q %v", b, errors.Is(err, os.ErrDeadlineExceeded))
		}, `"ab" true`, true},
		"set while Read waits": {func(body io.Reader, d deadlined) string {
			time.AfterFunc(soon, func() { d.SetReadDeadline(time.Now()) })
			b, err := io.ReadAll(body)
			return fmt.Sprintf("%q %v", b, errors.Is(err, os.ErrDeadlineExceeded))
		}, `"ab" true`, true},
		"moved": {func(body io.Reader, d deadlined) string {
			d.SetReadDeadline(time.Now())
			d.SetReadDeadline(time.Now().Add(time.Hour))
			b := make([]byte, 2)
			_, err := io.ReadFull(body, b)
			return fmt.Sprintf("%q %v", b, err)
		}, `"ab" <nil>`, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := start(t, nil, func(s *Server) {
				s.Handler = Blocking(StreamingFunc(func(w *Response, r *Request) {
					body := r.BodyReader()
					w.WriteString(c.read(body, body.(deadlined)))
				}))
			})
			p := dial(t, addr)
			p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
			res, body := p.answer("POST")
			if body != c.want || res.Close != c.last {
				t.Errorf("got %q, close %v; want %q, close %v", body, res.Close, c.want, c.last)
			}
		})
	}
}

// A body that is whole before its deadline is read after it as well.
func TestBodyReaderDeadlineAfterTheBody(t *testing.T) {
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = BlockingFunc(func(w *Response, r *Request) {
			body := r.BodyReader()
			body.(deadlined).SetReadDeadline(time.Now())
			b, err := io.ReadAll(body)
			fmt.Fprintf(w, "%q %v", b, err)
		})
	})
	p := dial(t, addr)
	p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
	if _, body := p.answer("POST"); body != `"ab" <nil>` {
		t.Errorf("got %q", body)
	}
}

// A write deadline ends Write and the stream, and the peer sees that the answer is not whole.
func TestStreamDeadline(t *testing.T) {
	for name, write := range map[string]func(s *Stream) error{
		"passed": func(s *Stream) error {
			s.SetWriteDeadline(time.Now())
			_, err := s.WriteString("more")
			s.SetWriteDeadline(time.Time{})
			if _, again := s.WriteString("more"); again != err {
				return fmt.Errorf("first %v, then %v", err, again)
			}
			return err
		},
		"while Write waits": func(s *Stream) error {
			s.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			for {
				if _, err := s.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
		"at the end": func(s *Stream) error {
			s.SetWriteDeadline(time.Now())
			return os.ErrDeadlineExceeded
		},
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan error, 1)
			s, addr := start(t, nil, func(s *Server) {
				s.Handler = BlockingFunc(func(w *Response, _ *Request) {
					w.OnDone(func(w *Response, _ *Request) { over <- w.Err() })
					s := w.Stream()
					s.SetWriteDeadline(time.Now())
					s.SetWriteDeadline(time.Now().Add(time.Hour)) // none has met it
					s.WriteString("some")
					if err := write(s); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("Write: %v", err)
					}
				})
			})
			p := dial(t, addr)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if err := <-over; err != ErrSendTimeout {
				t.Errorf("Err: %v", err)
			}
			if b, err := io.ReadAll(p.r); err == nil && name != "passed" && len(b) > 0 && string(b[len(b)-5:]) == "0\r\n\r\n" {
				t.Errorf("the answer is whole: %q", b)
			}
			p.Close()
			await(t, "the count", func() bool { return s.ended[ErrSendTimeout].Load() == 1 })
		})
	}
}
