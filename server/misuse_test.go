package server

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// What users write wrong: each mistake is refused where it is made, or leaves a line in the
// log; none of them reaches another request.

// logged serves h with a log.
func logged(t *testing.T, h HandlerFunc) (p *peer, log *syncBuffer) {
	t.Helper()
	log = new(syncBuffer)
	logger := Zerolog(zerolog.New(log))
	_, addr := start(t, h, func(s *Server) { s.Log = logger })
	return dial(t, addr), log
}

// A Blocking handler begins when what is around it has returned, so middleware never shares w with it.
func TestMiddlewareAroundBlocking(t *testing.T) {
	inner := BlockingFunc(func(w *Response, r *Request) { w.WriteString("handler") })
	p, _ := logged(t, func(w *Response, r *Request) {
		inner.Serve(w, r)
		for range 100 {
			runtime.Gosched() // a handler that had begun would write now
		}
		w.WriteString("middleware, then ")
		w.SetHeader("X-After", "1")
	})
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, body := p.answer("GET")
	want(t, "answer", res.Header.Get("X-After")+body, "1middleware, then handler")
}

// When that middleware panics, its panic is the answer and the handler does not run.
func TestPanicAroundBlocking(t *testing.T) {
	inner := BlockingFunc(func(w *Response, r *Request) { t.Error("the handler ran") })
	for _, mend := range []bool{true, false} {
		p, log := logged(t, func(w *Response, r *Request) {
			if mend {
				w.OnPanic(func(w *Response, r *Request, v any, stack []byte) { w.Error(500) })
			}
			inner.Serve(w, r)
			panic("behind it")
		})
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if mend {
			if res, _ := p.answer("GET"); res.StatusCode != 500 {
				t.Errorf("status %d, want 500", res.StatusCode)
			}
			continue
		}
		want(t, "answer", p.rest(), "")
		wantContains(t, "log", log.String(), "behind it")
	}
}

// A panic with nil, where the program allows it, is a panic: its answer is not taken for a whole one.
func TestPanicWithNil(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	for name, h := range map[string]HandlerFunc{
		"on the loop":  func(w *Response, _ *Request) { w.WriteString("x"); panic(nil) },
		"off the loop": BlockingFunc(func(w *Response, _ *Request) { w.WriteString("x"); panic(nil) }).Serve,
		"around Blocking": func(w *Response, r *Request) {
			BlockingFunc(func(*Response, *Request) { t.Error("the handler ran") }).Serve(w, r)
			panic(nil)
		},
		"behind Later": func(w *Response, _ *Request) { w.Later(); panic(nil) },
		"in a Stream":  func(w *Response, _ *Request) { w.Stream().WriteString("x"); panic(nil) },
		"in Answer": func(w *Response, _ *Request) {
			answer := w.Later()
			go answer.Answer(func(w *Response) { w.WriteString("x"); panic(nil) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, log := logged(t, h)
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			b, err := io.ReadAll(p)
			if errors.Is(err, errDeadline) || name != "in a Stream" && len(b) > 0 || strings.HasSuffix(string(b), "0\r\n\r\n") {
				t.Errorf("%q, %v; want the end", b, err)
			}
			wantContains(t, "log", log.String(), "panicked with nil")
		})
	}
}

// A handler that ends its goroutine, as FailNow does, does not leave its peer waiting.
func TestGoexitOffTheLoop(t *testing.T) {
	for name, h := range map[string]HandlerFunc{
		"Blocking": BlockingFunc(func(*Response, *Request) { runtime.Goexit() }).Serve,
		"Stream": BlockingFunc(func(w *Response, _ *Request) {
			w.Stream().WriteString("x")
			runtime.Goexit()
		}).Serve,
		"Pending": func(w *Response, _ *Request) {
			answer := w.Later()
			go answer.Answer(func(*Response) { runtime.Goexit() })
		},
		"OnPanic": func(w *Response, _ *Request) {
			w.WriteString("half of an answer")
			w.OnPanic(func(*Response, *Request, any, []byte) { runtime.Goexit() })
			answer := w.Later()
			go answer.Answer(func(*Response) { panic("in Answer") })
		},
	} {
		p, log := logged(t, h)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b, err := io.ReadAll(p)
		if errors.Is(err, errDeadline) || strings.HasSuffix(string(b), "0\r\n\r\n") || strings.Contains(string(b), "half") {
			t.Errorf("%s: %q, %v; want the end", name, b, err)
		}
		wantContains(t, name, log.String(), "ended its goroutine")
	}
}

// OnDone comes when the answer is given: it neither gives another nor gets hold of the next one.
func TestNoAnswerInOnDone(t *testing.T) {
	for what, act := range map[string]func(w *Response, r *Request){
		"Later":     func(w *Response, _ *Request) { go w.Later().Answer(func(w *Response) { w.WriteString("late") }) },
		"Stream":    func(w *Response, _ *Request) { w.Stream().WriteString("late") },
		"Blocking":  BlockingFunc(func(w *Response, _ *Request) { w.WriteString("late") }).Serve,
		"Interim":   func(w *Response, _ *Request) { w.Interim(103) },
		"DelHeader": func(w *Response, _ *Request) { w.DelHeader("X") },
		"SetCookie": func(w *Response, _ *Request) { w.SetCookie(&Cookie{Name: "X"}) },
		"OnDone":    func(w *Response, _ *Request) { w.OnDone(func(*Response, *Request) { t.Error("it was called") }) },
	} {
		p, log := logged(t, func(w *Response, r *Request) {
			w.SetHeader("X", r.Path())
			w.WriteString(r.Path())
			if r.Path() == "/first" {
				w.OnDone(act)
				w.OnDone(func(w *Response, _ *Request) { want(t, what+": the field", w.Header("X"), "/first") })
			}
		})
		p.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		want(t, what, undated(p.rest()), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX: /first\r\n\r\n/first"+
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nX: /next\r\n\r\n/next")
		switch what {
		case "DelHeader":
		case "Interim", "SetCookie", "OnDone":
			wantContains(t, "log of "+what, log.String(), "comes too late")
		default:
			wantContains(t, "log of "+what, log.String(), "OnDone cannot answer again")
		}
	}
}

// A handler may end its server at once, and is told when it would wait for itself.
func TestEndingTheServerInAHandler(t *testing.T) {
	for what, end := range map[string]func(*Server){
		"Close":    func(s *Server) { s.Close() },
		"Shutdown": func(s *Server) { s.Shutdown(t.Context()) },
	} {
		var log syncBuffer
		logger := Zerolog(zerolog.New(&log))
		var self *Server
		s, addr := start(t, func(*Response, *Request) { end(self) }, func(s *Server) { self, s.Log = s, logger })
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := io.ReadAll(p); errors.Is(err, errDeadline) {
			t.Errorf("%s: the connection is still there", what)
		}
		if what == "Close" {
			<-s.over
		} else {
			wantContains(t, what, log.String(), "call it in a goroutine")
			dial(t, addr) // it lives on
		}
	}
}

// Mistakes that panic at once, with a word on what to do.
func TestMisusePanics(t *testing.T) {
	for _, test := range []struct {
		says string
		f    func(w *Response, r *Request)
	}{
		{"nil handler for Blocking", func(*Response, *Request) { Blocking(nil) }},
		{"nil handler for Blocking", func(*Response, *Request) { BlockingFunc(nil) }},
		{"OnDone of a nil function", func(w *Response, _ *Request) { w.OnDone(nil) }},
		{"Later after Stream", func(w *Response, _ *Request) { w.Stream(); w.Later() }},
		{"Stream after Later", func(w *Response, _ *Request) { w.Later(); w.Stream() }},
		{"Later in a Blocking handler", BlockingFunc(func(w *Response, _ *Request) { w.Later() }).Serve},
		{"another handler after Later", func(w *Response, r *Request) {
			p := w.Later()
			defer p.Answer(func(*Response) {})
			BlockingFunc(hello).Serve(w, r)
		}},
		{"another handler in the function that answers", func(w *Response, r *Request) {
			go w.Later().Answer(func(w *Response) { BlockingFunc(hello).Serve(w, r) })
		}},
		{"another handler after Stream", func(w *Response, r *Request) { w.Stream(); BlockingFunc(hello).Serve(w, r) }},
		{"Later in the function that answers", func(w *Response, r *Request) {
			go w.Later().Answer(func(w *Response) { w.Later() })
		}},
		{"Later in OnPanic", func(w *Response, r *Request) {
			w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) {
				go w.Later().Answer(func(w *Response) { w.WriteString("late") })
			})
			panic("now")
		}},
		{"Later behind a handler that was chosen", func(w *Response, r *Request) { BlockingFunc(hello).Serve(w, r); w.Later() }},
		{"Stream behind a handler that was chosen", func(w *Response, r *Request) { // it would wait, on the loop, for the loop
			BlockingFunc(hello).Serve(w, r)
			w.Stream().Write(make([]byte, 1<<20))
		}},
		{"SetMatch of fewer values than names", func(_ *Response, r *Request) { r.SetMatch("/{a}", []string{"a"}, nil) }},
		{"invalid status 0", func(w *Response, _ *Request) { w.SetStatus(0) }},
		{"invalid field name \\\"X \\\"", func(w *Response, _ *Request) { w.SetHeader("X ", "1") }},
		{"invalid field name \\\"\\\"", func(w *Response, _ *Request) { w.AddHeader("", "1") }},
		{"invalid field name \\\"a b\\\"", func(w *Response, _ *Request) { w.SetCookie(&Cookie{Name: "a b"}) }},
		{"invalid field name \\\"X:\\\"", func(w *Response, _ *Request) { w.Interim(103, Field{"X:", "1"}) }},
		{"invalid field name \\\"X:\\\"", func(w *Response, _ *Request) { w.Stream().AddTrailer("X:", "1") }},
		{"Fail with status 200: an error has 400 to 599", func(*Response, *Request) { _ = Fail(200, "") }},
		{"Try of a nil function", func(*Response, *Request) { Try(nil) }},
		{"TryJSON of a nil function", func(*Response, *Request) { TryJSON[int](nil) }},
		{"Redirect with status 200: it is for 301", func(w *Response, _ *Request) { w.Redirect(200, "/") }},
		{"BodyReader on the loop: it is for Blocking handlers, use OnBody", func(_ *Response, r *Request) { r.BodyReader() }},
		{"DecodeJSON into what nothing can be decoded into", func(_ *Response, r *Request) { _ = decodeJSON([]byte("{}"), 1, jsonOptions{}) }},
		{"Hub.Subscribe in a Blocking handler: subscribe on the loop", BlockingFunc(func(w *Response, _ *Request) {
			new(Hub).Subscribe(w.Events())
		}).Serve},
		{"AnswerWithin in a Blocking handler: put it, or middleware.Timeout, around Blocking", BlockingFunc(func(w *Response, _ *Request) {
			w.AnswerWithin(time.Second, nil)
		}).Serve},
		{"another handler for one request", func(w *Response, r *Request) {
			h := BlockingFunc(func(*Response, *Request) { t.Error("it runs") })
			h.Serve(w, r)
			h.Serve(w, r)
		}},
	} {
		p, log := logged(t, test.f)
		p.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if _, err := io.Copy(io.Discard, p); errors.Is(err, errDeadline) {
			t.Errorf("%s: the connection is still there", test.says)
		}
		wantContains(t, "log", log.String(), test.says)
	}
	if _, err := (&Server{Addr: "127.0.0.1:0", Handler: HandlerFunc(nil)}).Listen(); err == nil {
		t.Error("Listen with a nil HandlerFunc went well")
	}
}

// Mistakes that cost the answer nothing, and leave a line.
func TestMisuseIsLogged(t *testing.T) {
	for _, test := range []struct {
		says string
		f    func(w *Response, r *Request)
	}{
		{"was dropped: its status is 204", func(w *Response, _ *Request) { w.SetStatus(204); w.WriteString("x") }},
		{"was dropped: its status is 304", func(w *Response, _ *Request) { w.SetStatus(304); w.SetBody([]byte("x")) }},
		{"was dropped: its status is 204", func(w *Response, _ *Request) {
			w.SetStatus(204)
			s := w.Stream()
			s.WriteString("x")
			s.WriteString("y")
			s.Close()
		}},
		{"written before the Stream was taken is not sent", func(w *Response, _ *Request) {
			w.SetHeader("Content-Length", "0")
			w.WriteString("x")
			w.Stream().Close()
		}},
		{"JSON answers with 200 in place of the error 403: is a return missing", func(w *Response, _ *Request) {
			w.Error(403)
			w.JSON(200, "secret")
		}},
		{"NoContent answers with 204 in place of the error 422", func(w *Response, _ *Request) {
			w.Problem(422, Problem{})
			w.NoContent()
		}},
		{"SetStatus comes too late", func(w *Response, _ *Request) { s := w.Stream(); w.SetStatus(404); s.Close() }},
		{"SetBody comes too late", func(w *Response, _ *Request) { s := w.Stream(); w.SetBody([]byte("x")); s.Close() }},
		{"the field X comes too late", func(w *Response, _ *Request) { s := w.Stream(); w.AddHeader("X", "1"); s.Close() }},
		{"the field X comes too late", func(w *Response, _ *Request) {
			w.OnDone(func(w *Response, _ *Request) {
				w.SetHeader("X", "1")
				want(t, "the field that came too late", w.Header("X"), "")
			})
		}},
		{"the field Set-Cookie comes too late", func(w *Response, _ *Request) {
			w.SetHeader("X", "1")
			w.SetCookie(&Cookie{Name: "a"})
			w.OnDone(func(w *Response, _ *Request) {
				w.DelHeader("X")
				w.SetCookie(&Cookie{Name: "a"})
				want(t, "what the answer was", w.Header("X")+w.Header("Set-Cookie"), "1a=")
			})
		}},
		{"Write comes too late", func(w *Response, _ *Request) {
			w.OnDone(func(w *Response, _ *Request) {
				if n, err := io.WriteString(w, "x"); n != 0 || !errors.Is(err, ErrCommitted) {
					t.Errorf("Write in OnDone: %d, %v", n, err)
				}
			})
		}},
		{"Write comes too late", func(w *Response, _ *Request) { w.OnDone(func(w *Response, _ *Request) { w.WriteString("x") }) }},
		{"invalid response field dropped", func(w *Response, _ *Request) { w.SetHeader("X", "a\r\nb: c") }},
		{"invalid response field dropped", func(w *Response, _ *Request) { w.AddHeader("Transfer-Encoding", "gzip") }},
		{"invalid response field dropped", func(w *Response, _ *Request) { w.SetHeader("Content-Length", "ten") }},
		{"invalid response field dropped", func(w *Response, _ *Request) { w.Interim(103, Field{"Link", "\x00"}) }},
		{"invalid response field dropped", func(w *Response, _ *Request) {
			s := w.Stream()
			s.AddTrailer("Host", "a")
			s.Close()
		}},
		{"invalid cookie dropped", func(w *Response, _ *Request) { w.SetCookie(&Cookie{Name: "a", Value: "b c"}) }},
		{"Interim comes too late", func(w *Response, _ *Request) { s := w.Stream(); w.Interim(103); s.Close() }},
		{"the trailer field X comes too late", func(w *Response, _ *Request) {
			s := w.Stream()
			s.Close()
			s.AddTrailer("X", "1")
		}},
	} {
		p, log := logged(t, func(w *Response, r *Request) {
			if r.Path() == "/" {
				test.f(w, r)
			}
		})
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		p.answer("GET")
		p.get("/next")
		if n := strings.Count(log.String(), test.says); n != 1 {
			t.Errorf("%d lines say %q: %s", n, test.says, log.String())
		}
	}
}

// An answer that is none of these leaves no line.
func TestRightUseIsNotLogged(t *testing.T) {
	p, log := logged(t, func(w *Response, r *Request) {
		w.OnPanic(func(w *Response, r *Request, v any, stack []byte) {
			w.Reset()
			w.SetHeader("X", "after a panic it is no news")
			w.Error(500)
		})
		w.OnDone(func(w *Response, r *Request) { w.Status(); w.Header("X"); r.Path(); w.Error(500) })
		switch r.Path() {
		case "/204":
			w.Error(204)
		case "/instead":
			w.SetStatus(404) // as for a NotFound of a router
			w.Text(200, "x")
		case "/reset":
			w.Error(404)
			w.Reset()
			w.Text(200, "x")
		case "/304":
			w.SetStatus(304)
			w.Stream().Close()
		case "/head":
			w.WriteString("x")
		case "/stream":
			w.SetStatus(200)
			s := w.Stream()
			w.SetStatus(200) // no change
			s.Close()
		case "/panic":
			w.Stream()
			panic("in a stream")
		}
	})
	for _, path := range []string{"/204", "/304", "/instead", "/reset", "/stream", "/"} {
		p.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		p.answer("GET")
	}
	p.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n")
	p.answer("HEAD")
	p.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
	io.Copy(io.Discard, p)
	want(t, "log", log.String(), "")
}

// Fields may be changed while they are iterated over.
func TestHeadersWhileTheyChange(t *testing.T) {
	p, _ := logged(t, func(w *Response, r *Request) {
		for i := range 4 {
			w.AddHeader(fmt.Sprint("X-", i), strings.Repeat("v", i))
		}
		for name, value := range w.Headers() {
			w.DelHeader(name)
			w.AddHeader("Y", name+"="+value)
		}
	})
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, _ := p.answer("GET")
	want(t, "fields", fmt.Sprint(res.Header["Y"]), "[X-0= X-1=v X-2=vv X-3=vvv]")
}

// SetBody is in place of what was written, also if it is nothing.
func TestSetBodyOfNothing(t *testing.T) {
	p, _ := logged(t, func(w *Response, r *Request) {
		w.WriteString("secret")
		w.SetBody(nil)
		if r.Path() == "/more" {
			w.WriteString("more")
		}
	})
	want(t, "body", p.get("/"), "")
	want(t, "body", p.get("/more"), "more")
}

// A body that is only lent is still the answer when that is given later: it lay where the next request is read.
func TestSetBodyOfTheRequestAndLater(t *testing.T) {
	owed := make(chan func(), 1)
	blocking := BlockingFunc(func(*Response, *Request) {
		release := make(chan struct{})
		owed <- func() { close(release) }
		<-release
	})
	for what, wait := range map[string]HandlerFunc{
		"Later": func(w *Response, _ *Request) {
			p := w.Later()
			owed <- func() { p.Answer(func(*Response) {}) }
		},
		"Blocking": blocking.Serve,
	} {
		_, addr := start(t, func(w *Response, r *Request) {
			w.SetBody(r.PeekBody())
			if r.Path() == "/waits" {
				wait(w, r)
			}
		})
		p, other := dial(t, addr), dial(t, addr)
		p.send("POST /waits HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst")
		answer := <-owed
		other.send("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nOTHER")
		other.answer("POST")
		answer()
		_, body := p.answer("POST")
		want(t, what, body, "first")
	}
}

// Whatever a handler panics with, the log shows it.
func TestPanicOfAnErrorIsLogged(t *testing.T) {
	p, log := logged(t, func(*Response, *Request) { panic(fmt.Errorf("the database is down")) })
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	io.Copy(io.Discard, p)
	wantContains(t, "log", log.String(), `"panic":"the database is down"`)
}

// A Stream on the loop that nobody writes to or closes is told of, once; one that is written to is not.
func TestForgottenStream(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	var s *Stream
	p, m := inMemory(t, func(w *Response, r *Request) { s = w.Stream() },
		func(s *Server) { s.Log, s.PendingTimeout = logger, time.Hour })
	p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	timeout := func() {
		if m.timeout != time.Hour {
			t.Errorf("the timeout is %v, want that of a Pending", m.timeout)
		}
		p.(reactor.TimeoutHandler).TimeoutConnection()
	}
	s.WriteString("x")
	timeout()
	want(t, "log of a stream that was written to", log.String(), "")
	timeout()
	if n := strings.Count(log.String(), "neither written to nor closed"); n != 1 {
		t.Errorf("%d lines say so: %q", n, log.String())
	}
	want(t, "end", m.ended, "")
}
