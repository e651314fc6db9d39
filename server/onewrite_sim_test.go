package server_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"
)

var serverWrites = regexp.MustCompile(`(?m)^ *[\d.]+  server +write fd`)

// An answer from memory leaves in one write, head and content together, however large it is and however it is made, when
// the socket takes it.
func TestAnAnswerIsOneWrite(t *testing.T) {
	page := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	kinds := map[string]func(content []byte) server.HandlerFunc{
		"written": func(content []byte) server.HandlerFunc {
			return func(w *server.Response, r *server.Request) { w.Write(content) }
		},
		"given": func(content []byte) server.HandlerFunc {
			return func(w *server.Response, r *server.Request) { w.GiveBody(content) }
		},
		"later": func(content []byte) server.HandlerFunc {
			return func(w *server.Response, r *server.Request) {
				p := w.Later()
				r.Reactor().CallFromThread(func() {
					if err := p.Answer(func(w *server.Response) { w.GiveBody(content) }); err != nil {
						t.Error(err)
					}
				})
			}
		},
	}
	for kind, handler := range kinds {
		for _, size := range []int{0, 1, 4 << 10, 16<<10 - 1, 16 << 10, 64 << 10, 100_000, 16 << 20} {
			t.Run(fmt.Sprint(kind, "/", size), func(t *testing.T) {
				var trace strings.Builder
				c := sim.Calm()
				c.MinBuffer, c.MaxBuffer, c.Trace = 64<<20, 64<<20, &trace
				w := sim.New(1, c)
				content := page[:size]
				port := host(w, func(*reactor.Reactor) server.HandlerFunc { return handler(content) })
				w.Go("client", func() {
					conn, err := w.Dial(port.Addr())
					if err != nil {
						w.Errorf("dial: %v", err)
						return
					}
					defer conn.Close()
					fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					got, err := io.ReadAll(conn)
					_, body, _ := bytes.Cut(got, []byte("\r\n\r\n"))
					if err != nil || !bytes.Equal(body, content) {
						w.Errorf("%d bytes of content, want %d, %v", len(body), size, err)
					}
					if n := len(serverWrites.FindAllString(trace.String(), -1)); n != 1 {
						w.Errorf("%d writes", n)
					}
				})
				if err := w.Run(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
