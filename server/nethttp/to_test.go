package nethttp_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// await polls for a condition that other goroutines bring about, less and less often.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	pause := time.Duration(0)
	for end := time.Now().Add(patience); !ok(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		pause = min(pause+10*time.Microsecond, time.Millisecond)
	}
}

// leavesNothing holds that all goroutines of a test end.
func leavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() { await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before }) })
}

// ask has h asked by httptest, and spells the answer.
func ask(h server.HandlerFunc, method, target, body string) string {
	w := httptest.NewRecorder()
	nethttp.To(h).ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return fmt.Sprintf("%d %q", w.Code, w.Body.String())
}

// big is larger than anything that is written in one piece.
var big = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

// handlers answer in all the ways that there are: each answers with "done", or with big.
var handlers = map[string]server.HandlerFunc{
	"at once": func(w *server.Response, _ *server.Request) { w.WriteString("done") },
	"later, from a goroutine": func(w *server.Response, _ *server.Request) {
		p := w.Later()
		go p.Answer(func(w *server.Response) { w.WriteString("done") })
	},
	"later, at once": func(w *server.Response, _ *server.Request) {
		w.Later().Answer(func(w *server.Response) { w.WriteString("done") })
	},
	"later, from a timer": func(w *server.Response, r *server.Request) {
		p := w.Later()
		r.Reactor().CallLater(time.Millisecond, func() {
			p.Answer(func(w *server.Response) { w.WriteString("done") })
		})
	},
	"stream, at once": func(w *server.Response, _ *server.Request) {
		s := w.Stream()
		s.WriteString("do")
		s.WriteString("ne")
		s.Close()
	},
	"stream, from a timer": func(w *server.Response, r *server.Request) {
		s := w.Stream()
		s.WriteString("do")
		r.Reactor().CallLater(time.Millisecond, func() { s.WriteString("ne"); s.Close() })
	},
	"stream of known length": func(w *server.Response, _ *server.Request) {
		w.SetHeader("Content-Length", "4")
		s := w.Stream()
		s.WriteString("done")
		s.Close()
	},
	"stream, big": func(w *server.Response, _ *server.Request) {
		s, left := w.Stream(), big
		more := func() {
			for len(left) > 0 && !s.Full() {
				n, _ := s.Write(left[:min(len(left), 100_000)])
				left = left[n:]
			}
			if len(left) == 0 {
				s.Close()
			}
		}
		s.OnDrain(more)
		more()
	},
	"blocking": func(w *server.Response, r *server.Request) {
		server.BlockingFunc(func(w *server.Response, _ *server.Request) {
			runtime.Gosched()
			w.WriteString("done")
		}).Serve(w, r)
	},
	"blocking stream": func(w *server.Response, r *server.Request) {
		server.BlockingFunc(func(w *server.Response, _ *server.Request) {
			s := w.Stream()
			s.WriteString("do")
			s.WriteString("ne")
		}).Serve(w, r)
	},
	"blocking stream, big": func(w *server.Response, r *server.Request) {
		server.BlockingFunc(func(w *server.Response, _ *server.Request) { w.Stream().Write(big) }).Serve(w, r)
	},
}

// TestEveryWayToAnswer asks each way often, on one To, through httptest and over sockets, by HTTP/1.1 and by HTTP/2.
func TestEveryWayToAnswer(t *testing.T) {
	leavesNothing(t)
	for name, h := range handlers {
		want := "done"
		if strings.HasSuffix(name, "big") {
			want = string(big)
		}
		var finished atomic.Int32
		to := nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.SetHeader("X-Path", r.Path())
			w.OnDone(func(w *server.Response, _ *server.Request) {
				if w.Err() == nil {
					finished.Add(1)
				}
			})
			h(w, r)
		}))
		const times = 5
		for i := range times {
			w := httptest.NewRecorder()
			to.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("/%d", i), nil))
			if w.Code != 200 || w.Body.String() != want || w.Header().Get("X-Path") != fmt.Sprintf("/%d", i) {
				t.Errorf("%s: %d, %v, %d bytes", name, w.Code, w.Header(), w.Body.Len())
			}
		}
		for _, two := range []bool{false, true} {
			s := httptest.NewUnstartedServer(to)
			s.EnableHTTP2 = two
			if s.StartTLS(); !two {
				s.Close()
				s = httptest.NewServer(to)
			}
			for range times {
				res, err := s.Client().Get(s.URL + "/x")
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(body) != want || res.Header.Get("X-Path") != "/x" || two != (res.ProtoMajor == 2) {
					t.Errorf("%s: %s %d, %d bytes, %v", name, res.Proto, res.StatusCode, len(body), err)
				}
			}
			s.Client().CloseIdleConnections()
			s.Close()
		}
		await(t, "every OnDone", func() bool { return finished.Load() == 3*times })
	}
}

// TestLanesAreNotMixed has many goroutines ask one To at once, each way, and keeps what the requests gave.
func TestLanesAreNotMixed(t *testing.T) {
	leavesNothing(t)
	const goroutines, requests = 8, 100
	var names []string
	for name := range handlers {
		if !strings.HasSuffix(name, "big") {
			names = append(names, name)
		}
	}
	var mu sync.Mutex
	kept := make(map[string]string) // what a request gave, by what it should be
	to := nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		mu.Lock()
		kept[r.Header("X-Id")] = r.Path()
		mu.Unlock()
		w.SetHeader("X-Id", r.QueryValue("id"))
		handlers[string(r.PeekBody())](w, r)
	}))
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range requests {
				id := fmt.Sprintf("%d-%d", g, i)
				r := httptest.NewRequest("POST", "/"+id+"?id="+id, strings.NewReader(names[(g+i)%len(names)]))
				r.Header.Set("X-Id", "/"+id)
				w := httptest.NewRecorder()
				if to.ServeHTTP(w, r); w.Body.String() != "done" || w.Header().Get("X-Id") != id {
					t.Errorf("%s, %s: %d %v %q", id, names[(g+i)%len(names)], w.Code, w.Header(), w.Body)
				}
			}
		})
	}
	wg.Wait()
	for want, got := range kept {
		if got != want {
			t.Errorf("%s was overwritten with %s", want, got)
		}
	}
}

// TestFieldsOfWhoeverIsAround holds that a field of which there is one stays one.
func TestFieldsOfWhoeverIsAround(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
	w.Header().Set("Vary", "Origin")
	nethttp.To(server.HandlerFunc(func(w *server.Response, _ *server.Request) {
		w.SetHeader("Content-Type", "text/html")
		w.SetHeader("Vary", "Accept")
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	h := w.Result().Header
	if got := fmt.Sprint(h["Content-Type"], len(h["Date"]), h["Vary"]); got != "[text/html] 1 [Origin Accept]" {
		t.Errorf("got %s", got)
	}
}

// TestStatusesAndFields holds that answers arrive as they were made.
func TestStatusesAndFields(t *testing.T) {
	s := httptest.NewServer(nethttp.To(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.AddHeader("Set-Cookie", "a=1")
		w.AddHeader("set-cookie", "b=2")
		switch r.Path() {
		case "/204":
			w.SetStatus(204)
		case "/304":
			w.SetStatus(304)
			w.SetHeader("ETag", `"x"`)
		case "/untyped":
			w.WriteString("<html>")
		case "/close":
			w.SetHeader("Connection", "close")
		default:
			w.SetStatus(418)
			w.SetHeader("Content-Type", "a/b")
			w.WriteString("teapot")
		}
	})))
	defer s.Close()
	for _, test := range []struct {
		method, path string
		status       int
		length       int64
		body, kind   string
		close        bool
	}{
		{"GET", "/418", 418, 6, "teapot", "a/b", false},
		{"HEAD", "/418", 418, 6, "", "a/b", false},
		{"GET", "/204", 204, 0, "", "", false},
		{"GET", "/304", 304, 0, "", "", false},
		{"GET", "/close", 200, 0, "", "", true},
		{"GET", "/untyped", 200, 6, "<html>", "", false},
	} {
		r, _ := http.NewRequest(test.method, s.URL+test.path, nil)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != test.status || res.ContentLength != test.length || string(body) != test.body ||
			res.Header.Get("Content-Type") != test.kind || res.Close != test.close || len(res.Header["Date"]) != 1 ||
			strings.Join(res.Header["Set-Cookie"], " ") != "a=1 b=2" {
			t.Errorf("%s %s: %d, length %d, %q, %v", test.method, test.path, res.StatusCode, res.ContentLength, body, res.Header)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestPiecesAreFlushed holds that a client has a piece of a stream before the next is made.
func TestPiecesAreFlushed(t *testing.T) {
	next := make(chan struct{})
	for name, h := range map[string]server.HandlerFunc{
		"on the loop": func(w *server.Response, r *server.Request) {
			s, loop := w.Stream(), r.Reactor()
			s.WriteString("one\n")
			go func() {
				<-next
				loop.CallFromThread(func() { s.WriteString("two\n"); s.Close() })
			}()
		},
		"blocking": func(w *server.Response, r *server.Request) {
			server.BlockingFunc(func(w *server.Response, _ *server.Request) {
				s := w.Stream()
				s.WriteString("one\n")
				<-next
				s.WriteString("two\n")
			}).Serve(w, r)
		},
	} {
		s := httptest.NewServer(nethttp.To(h))
		res, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(res.Body)
		one, err1 := lines.ReadString('\n')
		next <- struct{}{}
		two, err2 := lines.ReadString('\n')
		res.Body.Close()
		s.Close()
		if one != "one\n" || two != "two\n" {
			t.Errorf("%s: %q %v, %q %v", name, one, err1, two, err2)
		}
	}
}

// TestStreamExtras holds that trailers arrive and that interim responses do no harm.
func TestStreamExtras(t *testing.T) {
	leavesNothing(t)
	s := httptest.NewServer(nethttp.To(server.BlockingFunc(func(w *server.Response, _ *server.Request) {
		w.Interim(103, server.Field{Name: "Link", Value: "</a>"})
		w.SetHeader("Trailer", "X-Sum")
		s := w.Stream()
		s.WriteString("done")
		for _, v := range []string{"7", "8"} {
			s.AddTrailer("X-Sum", v)
		}
	})))
	defer s.Close()
	r, _ := http.NewRequest("GET", s.URL, nil)
	r.Header.Set("TE", "trailers")
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 200 || string(body) != "done" || strings.Join(res.Trailer["X-Sum"], " ") != "7 8" || res.Header.Get("Link") != "" {
		t.Errorf("%d %q %v, trailer %v", res.StatusCode, body, res.Header, res.Trailer)
	}
	s.Client().CloseIdleConnections()
}

// TestTrailersComeOnce holds that a field which is in the head, and announced as a trailer too, is not sent again.
func TestTrailersComeOnce(t *testing.T) {
	s := httptest.NewServer(nethttp.To(server.BlockingFunc(func(w *server.Response, _ *server.Request) {
		w.SetHeader("X-Sum", "6")
		w.SetHeader("Trailer", "X-Sum")
		w.Stream().AddTrailer("X-Sum", "7")
	})))
	defer s.Close()
	for te, want := range map[string]string{"trailers": "7", "": ""} {
		r, _ := http.NewRequest("GET", s.URL, nil)
		r.Header.Set("TE", te)
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if got := strings.Join(res.Trailer["X-Sum"], " "); got != want || res.Header.Get("X-Sum") != "6" {
			t.Errorf("TE %q: trailer %q, want %q; fields %v", te, got, want, res.Header)
		}
	}
}

// refusing refuses by the head.
var refusing = server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
	if r.Path() == "/no" {
		w.Error(403)
		return
	}
	next.Serve(w, r)
})

// TestRefusedByTheHead holds that a body which is refused is not read.
func TestRefusedByTheHead(t *testing.T) {
	leavesNothing(t)
	to := nethttp.To(refusing(server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Write(r.PeekBody()) })))
	for path, want := range map[string]string{"/no": `403 "Forbidden\n", read false`, "/yes": `200 "abc", read true`} {
		body := &watched{Reader: strings.NewReader("abc")}
		r := httptest.NewRequest("POST", path, body)
		r.ContentLength = 3
		r.Header.Set("Expect", "100-continue")
		w := httptest.NewRecorder()
		to.ServeHTTP(w, r)
		if got := fmt.Sprintf("%d %q, read %t", w.Code, w.Body, body.read); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	to := nethttp.To(server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("done") }))
	w, r := &discard{header: http.Header{}}, httptest.NewRequest("GET", "/a/b", nil)
	const most = 6 // the fields of the answer: their values and the slices that hold them
	if n := testing.AllocsPerRun(100, func() { clear(w.header); to.ServeHTTP(w, r) }); n > most {
		t.Errorf("%v allocations, at most %d expected", n, most)
	}
}

func BenchmarkTo(b *testing.B) {
	to := nethttp.To(server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("done") }))
	w, r := &discard{header: http.Header{}}, httptest.NewRequest("GET", "/a/b", nil)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		to.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
