package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
)

// Filters transform the content of every kind of answer, and the head says so.

// holding makes a filter that keeps content back until it is flushed or ended, as a compressor does, and marks what it gives
// out.
func holding(name string, flushes *atomic.Int64) filterFunc {
	var kept []byte
	return func(dst, p []byte, last bool) ([]byte, error) {
		if len(p) == 0 && !last {
			flushes.Add(1)
		} else if kept = append(kept, p...); !last {
			return dst, nil
		}
		dst = append(append(append(dst, name...), '('), kept...)
		kept = kept[:0]
		return append(dst, ')'), nil
	}
}

// answers are all ways to answer with the text.
func answers(text string) map[string]Handler {
	return map[string]Handler{
		"inline": HandlerFunc(func(w *Response, r *Request) { w.WriteString(text) }),
		"lent":   HandlerFunc(func(w *Response, r *Request) { w.SetBody([]byte(text)) }),
		"given":  HandlerFunc(func(w *Response, r *Request) { w.GiveBody([]byte(text)) }),
		"later": HandlerFunc(func(w *Response, r *Request) {
			p := w.Later()
			go p.Answer(func(w *Response) { w.WriteString(text) })
		}),
		"a stream": HandlerFunc(func(w *Response, r *Request) {
			w.WriteString(text[:1])
			s := w.Stream()
			s.WriteString(text[1:])
			s.Close()
		}),
		"blocking": BlockingFunc(func(w *Response, r *Request) { w.WriteString(text) }),
		"a stream of a blocking handler": BlockingFunc(func(w *Response, r *Request) {
			w.WriteString(text[:1])
			w.Stream().WriteString(text[1:])
		}),
	}
}

func TestFilter(t *testing.T) {
	for _, text := range []string{"content", strings.Repeat("0123456789", 10_000)} {
		for name, leaf := range answers(text) {
			t.Run(fmt.Sprint(name, " ", len(text)), func(t *testing.T) {
				var flushes, sent atomic.Int64
				filter := func(name string) Middleware {
					return Wrap(func(w *Response, r *Request, next Handler) {
						w.Filter(holding(name, &flushes))
						next.Serve(w, r)
					})
				}
				inOnHead := Wrap(func(w *Response, r *Request, next Handler) {
					w.OnHead(func(w *Response, r *Request) { w.Filter(holding("head", &flushes)) })
					w.OnDone(func(w *Response, r *Request) { sent.Store(w.BytesSent()) })
					w.SetHeader("ETag", `"1"`)
					w.SetHeader("Accept-Ranges", "bytes")
					w.SetHeader("Content-Length", "99")
					next.Serve(w, r)
				})
				_, addr := start(t, nil, func(s *Server) {
					s.Handler = Chain(filter("outer"), inOnHead, filter("inner"))(AtHead(leaf))
				})
				p := dial(t, addr)
				for _, version := range []string{"1.1", "1.0"} {
					for _, method := range []string{"HEAD", "GET"} {
						p.send("%s / HTTP/%s\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", method, version)
						res, err := http.ReadResponse(p.r, &http.Request{Method: method})
						if err != nil {
							t.Fatal(err)
						}
						body, err := io.ReadAll(res.Body)
						if err != nil {
							t.Fatal(err)
						}
						content := ""
						if method == "GET" {
							content = "outer(head(inner(" + text + ")))"
						}
						want(t, method, string(body), content)
						want(t, "fields", fmt.Sprint(res.ContentLength, res.Header["Etag"], res.Header["Accept-Ranges"]), `-1 [W/"1"] []`)
						await(t, "OnDone", func() bool { return sent.Load() == int64(len(content)) })
					}
				}
				want(t, "after HTTP/1.0", p.rest(), "")
			})
		}
	}
}

// Answers without content, and parts of it, have no filter.
func TestFilterOfNothing(t *testing.T) {
	for status, fields := range map[int]string{204: `[W/"1"]`, 205: `[W/"1"]`, 304: `[W/"1"]`, 206: `["1"]`} {
		_, addr := start(t, func(w *Response, r *Request) {
			w.Filter(func(dst, p []byte, last bool) ([]byte, error) {
				t.Errorf("a filter is called for %d", status)
				return dst, nil
			})
			w.SetHeader("ETag", `"1"`)
			w.SetStatus(status)
			if status == 206 {
				w.WriteString("part")
			}
		})
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, body := p.answer("GET")
		want(t, fmt.Sprint(status), fmt.Sprint(res.StatusCode, res.Header["Etag"], len(body)), fmt.Sprint(status, " ", fields, " ", len(body)))
		if status == 206 && (body != "part" || res.ContentLength != 4) {
			t.Errorf("206 with %q, Content-Length %d", body, res.ContentLength)
		}
	}
}

// Reset and Error take filters away, and leave OnHead.
func TestFilterIsDropped(t *testing.T) {
	for name, drop := range map[string]func(w *Response){
		"Error": func(w *Response) { w.Error(404) },
		"Reset": func(w *Response) { w.Reset(); w.SetStatus(404); w.WriteString("Not Found\n") },
		"panic": func(w *Response) {
			w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Error(404) })
			panic("on purpose")
		},
		"panic of the filter": func(w *Response) {
			w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Error(404) })
			w.Filter(func([]byte, []byte, bool) ([]byte, error) { panic("on purpose") })
		},
		"in OnHead": func(w *Response) { w.OnHead(func(w *Response, _ *Request) { w.Error(404) }) },
	} {
		_, addr := start(t, func(w *Response, r *Request) {
			w.OnHead(func(w *Response, r *Request) { w.SetHeader("Kept", "1") })
			w.Filter(holding("never", new(atomic.Int64)))
			drop(w)
		})
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, body := p.answer("GET")
		want(t, name, fmt.Sprint(res.StatusCode, res.ContentLength, res.Header["Kept"], body), "404 10 [1]Not Found\n")
	}
}

// A filter gets to know of a flush, and what it has kept is sent then.
func TestFilterIsFlushed(t *testing.T) {
	for _, blocking := range []bool{false, true} {
		var flushes atomic.Int64
		h := func(w *Response, r *Request) {
			w.Filter(holding("outer", &flushes))
			w.Filter(holding("inner", &flushes))
			s := w.Stream()
			s.WriteString("a")
			s.Write(nil) // which is no flush
			s.WriteString("b")
			if err := s.Flush(); err != nil {
				t.Errorf("Flush: %v", err)
			}
			s.WriteString("c")
			s.Close()
			if err := s.Flush(); !errors.Is(err, ErrStreamClosed) {
				t.Errorf("Flush of a closed stream: %v", err)
			}
		}
		if blocking {
			h = BlockingFunc(h).Serve
		}
		_, addr := start(t, h)
		want(t, fmt.Sprint("blocking ", blocking), dial(t, addr).get("/"), "outer(inner(ab))outer(inner(c))")
		if n := flushes.Load(); n != 2 {
			t.Errorf("%d flushes, want 2", n)
		}
	}
}

// A filter that fails makes a 500 while there is no head, and else a reset.
func TestFilterFails(t *testing.T) {
	broken := errors.New("broken")
	for name, leaf := range answers(strings.Repeat("0123456789", 10_000)) {
		for _, panics := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", panics), func(t *testing.T) {
				var log syncBuffer
				logger := Zerolog(zerolog.New(&log))
				ended := make(chan error, 1)
				_, addr := start(t, nil, func(s *Server) {
					s.Log = logger
					s.Handler = Wrap(func(w *Response, r *Request, next Handler) {
						w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Reset(); w.Error(500) })
						w.Filter(func(dst, p []byte, last bool) ([]byte, error) {
							if !last {
								return append(dst, p...), nil
							}
							if panics {
								panic(broken)
							}
							return append(dst, p...), broken
						})
						w.OnDone(func(w *Response, r *Request) { ended <- w.Err() })
						next.Serve(w, r)
					})(AtHead(leaf))
				})
				p := dial(t, addr)
				p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				res, err := http.ReadResponse(p.r, nil)
				streams := strings.Contains(name, "stream")
				switch {
				case err == nil && !streams:
					want(t, "status", res.Status, "500 Internal Server Error")
				case err == nil:
					_, err = io.ReadAll(res.Body)
				}
				if streams == (err == nil) {
					t.Errorf("the end: %v", err)
				}
				switch err := <-ended; {
				case panics && streams:
					if !errors.Is(err, ErrPanic) {
						t.Errorf("Err: %v", err)
					}
				case panics:
					if err != nil {
						t.Errorf("Err: %v", err)
					}
				case !errors.Is(err, ErrFilter) || !errors.Is(err, broken):
					t.Errorf("Err: %v", err)
				}
				if n := strings.Count(log.String(), "a filter has failed"); n != 1 && !panics {
					t.Errorf("%d lines: %s", n, log.String())
				}
			})
		}
	}
}

// Bounds count what comes out: a stream whose filter makes little of much is not full, and one that makes much of little is.
func TestFilterAndTheUnsentBound(t *testing.T) {
	for name, c := range map[string]struct {
		filter filterFunc
		full   bool
	}{
		"little of much": {func(dst, p []byte, last bool) ([]byte, error) { return append(dst, '.'), nil }, false},
		"much of little": {func(dst, p []byte, last bool) ([]byte, error) { return append(dst, make([]byte, 1<<20)...), nil }, true},
	} {
		p, m := inMemory(t, func(w *Response, r *Request) {
			w.Filter(c.filter)
			s := w.Stream()
			s.Write(make([]byte, 10))
			if c.full != s.Full() {
				t.Errorf("%s: full is %v", name, s.Full())
			}
			s.Write(make([]byte, 1<<20))
			if c.full != s.Full() {
				t.Errorf("%s: then full is %v", name, s.Full())
			}
			s.Close()
		})
		p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		if m.out.Len() == 0 {
			t.Errorf("%s: nothing was sent", name)
		}
	}
}

// Compressed content survives any way of cutting it into writes and flushes.
func TestFilterGzips(t *testing.T) {
	text := strings.Repeat("all that glitters is not gold; ", 5000)
	_, addr := start(t, BlockingFunc(func(w *Response, r *Request) {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		w.SetHeader("Content-Encoding", "gzip")
		w.Filter(func(dst, p []byte, last bool) ([]byte, error) {
			out.Reset()
			z.Write(p)
			if last {
				z.Close()
			} else if len(p) == 0 {
				z.Flush()
			}
			return append(dst, out.Bytes()...), nil
		})
		s := w.Stream()
		for i, n := 0, 1; i < len(text); i, n = i+n, n*2 {
			n = min(n, len(text)-i)
			s.WriteString(text[i : i+n])
			s.Flush()
		}
	}).Serve)
	res, err := http.Get("http://" + addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != text || !res.Uncompressed {
		t.Errorf("%d bytes, want %d; %v", len(body), len(text), err)
	}
}
