package servertest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"microhttp/reactor"
	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
	"microhttp/server/servertest"
)

func hello(w *server.Response, r *server.Request) {
	w.Text(200, "Hello, "+strings.TrimPrefix(r.Path(), "/")+"!\n")
}

func echo(w *server.Response, r *server.Request) {
	w.SetHeader("Content-Type", r.Header("Content-Type"))
	w.Write(r.PeekBody())
}

func TestOneLine(t *testing.T) {
	servertest.Get(t, server.HandlerFunc(hello), "/Ann").Want(200).WantText("Hello, Ann!\n")
}

func TestParts(t *testing.T) {
	routes := router.New()
	routes.Post("/echo", echo)
	routes.Get("/fields", func(w *server.Response, r *server.Request) {
		cookie, _ := r.Cookie("a")
		w.JSON(200, []string{r.Header("X-One"), r.Header("Host"), r.Header("Authorization"), cookie, r.RemoteAddr().Addr().String()})
	})
	routes.Handle("POST /form", server.Blocking(server.Try(func(w *server.Response, r *server.Request) error {
		file, err := r.FormFile("file")
		if err != nil {
			return err
		}
		b, err := io.ReadAll(file)
		w.Text(200, r.FormValue("name")+" "+file.Name+" "+string(b))
		return err
	})))
	c := servertest.New(t, routes)
	c.Do("POST /echo", servertest.JSON(map[string]int{"n": 1})).Want(200).
		WantJSON(`{"n": 1}`).WantJSON(map[string]int{"n": 1}).WantHeader("Content-Type", "application/json")
	c.Do("POST /echo", servertest.Form("a", "1 2", "b", "&")).WantText("a=1+2&b=%26")
	c.Do("POST /echo", servertest.Body([]byte{1, 2})).WantText("\x01\x02")
	c.Do("POST /echo", servertest.Chunks("one, ", "", "two")).WantText("one, two")
	c.Do("POST /echo", servertest.Expect100(), servertest.Body("after 100")).WantText("after 100")
	c.Do("POST /form", servertest.Multipart([]servertest.File{{Field: "file", Name: "a.txt", Content: "content"}}, "name", "Ann")).
		WantText("Ann a.txt content")
	large := strings.Repeat("0123456789", 500_000)
	c.Do("POST /echo", servertest.Body(large)).Want(200).WantText(large)
	c.Get("/fields", servertest.Header("X-One", "1"), servertest.Header("Host", "h.example"), servertest.BasicAuth("u", "p"),
		servertest.Cookie("a", "b"), servertest.From("203.0.113.9")).
		WantJSON([]string{"1", "h.example", "Basic dTpw", "b", "203.0.113.9"})
	c.Get("/nothing").Want(404).WantContains("Not Found")
	c.Do("HEAD /fields").Want(200).WantText("")
	c.Get("/fields", servertest.HTTP10()).Want(200)
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	conns := map[uint64]bool{}
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) { conns[r.ConnID()] = true }))
	c.Get("/")
	c.Do("HEAD /")
	if len(conns) != 1 {
		t.Errorf("%d connections for two requests", len(conns))
	}
	c.Get("/", servertest.Header("Connection", "close"))
	c.Get("/")
	if len(conns) != 2 {
		t.Errorf("%d connections, want a new one after close", len(conns))
	}
	c.Advance(2 * time.Minute) // the server ends what is idle
	c.Get("/")
	if len(conns) != 3 {
		t.Errorf("%d connections, want a new one after IdleTimeout", len(conns))
	}
}

func TestTimersAreVirtual(t *testing.T) {
	begun := time.Now()
	h := server.HandlerFunc(func(w *server.Response, r *server.Request) {
		p := w.Later()
		r.Reactor().CallLater(time.Minute, func() {
			_ = p.Answer(func(w *server.Response) { w.Text(200, "a minute later") })
		})
	})
	c := servertest.New(t, h)
	x := c.Start("/")
	c.Advance(59 * time.Second)
	x.WantSilence()
	c.Advance(time.Second)
	if s := x.Conn().Arrived(); !strings.HasSuffix(s, "a minute later") {
		t.Errorf("after a minute: %q", s)
	}
	servertest.Get(t, h, "/").WantText("a minute later")
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("it took %v of real time", d)
	}
}

func TestUploadInPieces(t *testing.T) {
	var got []string
	h := server.Streaming(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		r.OnBody(func(p []byte, err error) {
			got = append(got, string(p))
			if err == io.EOF {
				w.Text(201, strings.Join(got, "|"))
			}
		})
	}))
	c := servertest.New(t, h)
	x := c.Start("POST /", servertest.Upload(-1), servertest.Expect100())
	if !x.Continued() {
		t.Error("no 100 (Continue)")
	}
	x.Send("one")
	x.Send("two")
	if fmt.Sprint(got) != "[one two]" {
		t.Errorf("%q has arrived", got)
	}
	x.Response().Want(201).WantText("one|two|")
	got = nil
	x = c.Start("POST /", servertest.Upload(6))
	x.Send("one")
	x.Send("two")
	x.Response().Want(201).WantText("one|two|")
}

func TestRefusedBeforeTheBody(t *testing.T) {
	c := servertest.Serve(t, &server.Server{Handler: server.HandlerFunc(echo), MaxBodyBytes: 10})
	c.Do("POST /", servertest.Expect100(), servertest.Body(strings.Repeat("x", 100))).Want(413)
	x := c.Start("POST /", servertest.Upload(100))
	x.Send("x")
	if x.Send("x") {
		t.Error("the client goes on after 413")
	}
	x.Response().Want(413)
}

// A slow upload meets BodyTimeout, also when a Blocking handler waits for it.
func TestBodyTimeout(t *testing.T) {
	read := func(w *server.Response, r *server.Request) { io.Copy(io.Discard, r.BodyReader()) }
	for name, h := range map[string]server.Handler{
		"on the loop": server.HandlerFunc(echo),
		"off it":      server.Blocking(server.Streaming(server.HandlerFunc(read))),
		"net/http":    nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })),
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			x := servertest.New(t, h).Start("POST /", servertest.Upload(100))
			x.Send("x")
			x.Conn().Answer("POST").Want(408)
			if d := time.Since(begun); d > 5*time.Second {
				t.Errorf("it took %v of real time", d)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	hub := new(server.Hub)
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		e := w.Events()
		hub.Subscribe(e)
		every := r.Reactor().CallEvery(15*time.Second, func() { _ = e.Comment("still here") })
		w.OnDone(func(*server.Response, *server.Request) { every.Stop() })
	}))
	x := c.Start("/events")
	x.Head().Want(200).WantHeader("Content-Type", "text/event-stream")
	x.WantSilence()
	hub.Publish(server.Event{ID: "7", Name: "news", Data: "a\nb", Retry: time.Second})
	if e, want := x.Event(), (server.Event{ID: "7", Name: "news", Data: "a\nb", Retry: time.Second}); e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
	c.Advance(15 * time.Second)
	if line, ok := x.Line(); !ok || line != ": still here" {
		t.Errorf("%q", line)
	}
	x.Close()
	if n := hub.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestStreamOfABlockingHandler(t *testing.T) {
	next := make(chan string)
	c := servertest.New(t, server.BlockingFunc(func(w *server.Response, r *server.Request) {
		s := w.Stream()
		for {
			select {
			case text := <-next:
				io.WriteString(s, text)
			case <-r.Context().Done():
				return
			}
		}
	}))
	x := c.Start("/")
	for _, text := range []string{"one", "two"} {
		next <- text
		if got := x.Next(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	x.WantSilence()
	c.Advance(time.Minute)
	x.Close()
}

func TestUpgrade(t *testing.T) {
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		_ = w.Upgrade("shout", reactor.NewLineProtocol(&shout{}, &reactor.LineOptions{Delimiter: "\n"}))
	}))
	conn := c.Upgrade("/", "shout")
	conn.Send("quiet\nplease\n")
	if a, b := conn.Line(), conn.Line(); a != "QUIET" || b != "PLEASE" {
		t.Errorf("%q %q", a, b)
	}
	conn.Send("bye\n")
	if rest := conn.Rest(); rest != "BYE\n" {
		t.Errorf("at the end %q", rest)
	}
}

// shout answers each line in capitals, and ends after BYE.
type shout struct{ t *reactor.LineTransport }

func (s *shout) ConnectionMade(t *reactor.LineTransport) { s.t = t }
func (s *shout) ConnectionLost(error)                    {}
func (s *shout) LineReceived(line []byte) {
	s.t.Write(append(bytes.ToUpper(line), '\n'))
	if string(line) == "bye" {
		s.t.LoseConnection()
	}
}

func TestNetHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		io.Copy(w, r.Body)
		w.(http.Flusher).Flush()
		w.Header().Set("Sum", "42")
	})
	res := servertest.Do(t, nethttp.From(mux), "POST /echo", servertest.Body("content"), servertest.Header("TE", "trailers")).Want(200).WantText("content")
	if sum := res.Trailer("Sum"); sum != "42" {
		t.Errorf("the trailer is %q", sum)
	}
}

// In a bubble, Blocking handlers have the same virtual time as the server.
func TestBubble(t *testing.T) {
	h := server.BlockingFunc(func(w *server.Response, r *server.Request) {
		begun := time.Now()
		time.Sleep(3 * time.Hour)
		w.Text(200, time.Since(begun).String())
	})
	begun := time.Now()
	synctest.Test(t, func(t *testing.T) {
		c := servertest.Serve(t, &server.Server{Handler: h})
		x := c.Start("/")
		c.Advance(3*time.Hour - 1)
		x.WantSilence()
		c.Advance(1)
		x.Response().WantText("3h0m0s")
		if !c.Now().Equal(time.Now()) {
			t.Errorf("the server has %v, the test %v", c.Now(), time.Now())
		}
	})
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("it took %v of real time", d)
	}
}

func TestShutdown(t *testing.T) {
	ended := false
	s := &server.Server{Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
		stream := w.Stream()
		stream.OnShutdown(func() {
			io.WriteString(stream, "farewell")
			_ = stream.Close()
		})
	})}
	s.OnShutdown(func() { ended = true })
	c := servertest.Serve(t, s)
	x := c.Start("/")
	x.Head()
	if !s.Ready() {
		t.Error("it is not ready")
	}
	if err := c.Shutdown(time.Second); err != nil || !ended || s.Ready() {
		t.Errorf("Shutdown: %v, OnShutdown called: %t, ready: %t", err, ended, s.Ready())
	}
	x.Response().WantText("farewell")
}

func TestShutdownCutsOff(t *testing.T) {
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Later() }))
	c.Start("/")
	c.Advance(0)
	begun := time.Now()
	if err := c.Shutdown(time.Minute); err == nil {
		t.Error("an answer that never comes does not delay the shutdown")
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("it took %v of real time", d)
	}
}

// A test leaves no goroutine and no descriptor, and opens no socket.
func TestNothingIsLeft(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), openFiles()
	h := server.BlockingFunc(func(w *server.Response, r *server.Request) {
		if n := openFiles(); n != files {
			t.Errorf("%d descriptors are open, %d were", n, files)
		}
		<-r.Context().Done()
	})
	t.Run("", func(t *testing.T) {
		c := servertest.New(t, h)
		c.Start("/")
		c.Advance(0)
	})
	for begun := time.Now(); runtime.NumGoroutine() > goroutines && time.Since(begun) < 5*time.Second; {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d were there before", n, goroutines)
	}
}

func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

func TestUnix(t *testing.T) {
	c := servertest.Serve(t, &server.Server{Addr: "unix:/no/such/dir/socket", Handler: server.HandlerFunc(hello)})
	c.Get("/Ann").WantText("Hello, Ann!\n")
}

// Servers of tests that run at the same time share nothing.
func TestParallel(t *testing.T) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				servertest.Get(t, server.HandlerFunc(hello), "/Ann").WantText("Hello, Ann!\n")
			}
		})
	}
	all.Wait()
}

func BenchmarkGet(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		servertest.Get(b, server.HandlerFunc(hello), "/Ann").Want(200)
	}
}

func BenchmarkGetAgain(b *testing.B) {
	b.ReportAllocs()
	c := servertest.New(b, server.HandlerFunc(hello))
	for b.Loop() {
		c.Get("/Ann").Want(200)
	}
}

func BenchmarkGetBlocking(b *testing.B) {
	for b.Loop() {
		servertest.Get(b, server.BlockingFunc(hello), "/Ann").Want(200)
	}
}
