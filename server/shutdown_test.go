package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// Shutdown answers what is under way, lets an idle peer have its last request, and
// says Connection: close to both.
func TestShutdownLosesNoRequest(t *testing.T) {
	waits(t)
	pending := make(chan *Pending, 1)
	s, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/slow" {
			pending <- w.Later()
			return
		}
		hello(w, r)
	})
	idle, busy := dial(t, addr), dial(t, addr)
	idle.get("/")
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	slow := <-pending

	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	await(t, "the listener to close", func() bool {
		c, err := dialTry(addr.String())
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	idle.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
	res, body := idle.answer("GET")
	if body != "Hello, World!" || !res.Close {
		t.Errorf("the last request of an idle connection: %q, close %v", body, res.Close)
	}
	select {
	case err := <-ended:
		t.Fatalf("Shutdown returned %v while an answer was owed", err)
	default:
	}
	slow.Answer(func(w *Response) { w.WriteString("done") })
	res, body = busy.answer("GET")
	if body != "done" || !res.Close {
		t.Errorf("the request under way: %q, close %v", body, res.Close)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// A new connection whose head begins to arrive during a shutdown has the time of a head for it, also
// when there is no least data rate.
func TestHeadThatBeginsDuringShutdown(t *testing.T) {
	for _, rate := range []int{0, -1} {
		p, m := inMemory(t, hello, func(s *Server) { s.MinDataRate, s.DataRateGrace = rate, time.Minute })
		p.(*conn).w.beginShutdown()
		if m.timeout != shutdownGrace {
			t.Errorf("rate %d: %v at first", rate, m.timeout)
		}
		p.DataReceived([]byte("GET"))
		if m.timeout < 9*time.Second {
			t.Errorf("rate %d: %v for the head", rate, m.timeout)
		}
	}
}

// A peer that reads its last answer slowly during a shutdown has the grace of the others behind it, not LingerTimeout.
func TestShutdownOfASlowReader(t *testing.T) {
	p, m := inMemory(t, hello, func(s *Server) { s.LingerTimeout = time.Minute })
	c := p.(*conn)
	m.unsent = 1000
	p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n"))
	c.w.beginShutdown()
	c.TimeoutConnection()
	if m.timeout != shutdownGrace || m.ended != "half-close " {
		t.Errorf("%v, %q", m.timeout, m.ended)
	}
}

func TestShutdownDeadline(t *testing.T) {
	contexts := make(chan context.Context, 1)
	s, addr := start(t, func(w *Response, r *Request) {
		contexts <- r.Context()
		w.Later()
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	request := <-contexts
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
	}
	<-request.Done()
	if b, err := io.ReadAll(p); err == nil && len(b) > 0 {
		t.Errorf("the peer got %q", b)
	}
}

// A Blocking handler that does not look at its context holds up Run alone.
func TestShutdownDoesNotWaitForeverForAHandler(t *testing.T) {
	waits(t)
	release, began := make(chan struct{}), make(chan struct{})
	s, addr := start(t, BlockingFunc(func(w *Response, r *Request) {
		close(began)
		<-release
	}).Serve)
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
	}
	if _, err := io.ReadAll(p); err == nil {
		t.Error("the connection ended orderly, want a reset")
	}
	close(release) // or Run would not end, which start checks
}

// Whoever asks for the end a second time waits for it too; who asks first has a server that never begins.
func TestShutdownTwiceAndBefore(t *testing.T) {
	waits(t)
	pending := make(chan *Pending, 1)
	s, addr := start(t, func(w *Response, r *Request) { pending <- w.Later() })
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	slow := <-pending
	ended := make(chan error, 2)
	for range cap(ended) {
		go func() { ended <- s.Shutdown(context.Background()) }()
	}
	await(t, "the end to begin", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.state == closing })
	if len(ended) > 0 {
		t.Errorf("Shutdown returned %v while an answer was owed", <-ended)
	}
	slow.Answer(func(w *Response) { w.WriteString("done") })
	p.answer("GET")
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	early := &Server{Addr: "127.0.0.1:0"}
	if err := early.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := early.ListenAndServe(); !errors.Is(err, ErrServerClosed) {
		t.Errorf("ListenAndServe after Shutdown: %v, want ErrServerClosed", err)
	}
}

func TestClose(t *testing.T) {
	s, addr := start(t, hello)
	p := dial(t, addr)
	p.get("/")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dialTry(addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a closed server: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown after Close: %v", err)
	}
}

// Whoever answers behind Close is told that it was us who went.
func TestAnswerBehindClose(t *testing.T) {
	owed := make(chan *Pending, 1)
	s, addr := start(t, func(w *Response, r *Request) { owed <- w.Later() })
	dial(t, addr).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	p := <-owed
	s.Close()
	<-p.Request().Context().Done()
	if err := p.Answer(func(*Response) { t.Error("filled") }); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Answer: %v, want ErrServerClosed", err)
	}
}

func TestLifecycleErrors(t *testing.T) {
	s, addr := start(t, hello)
	if _, err := s.Listen(); err == nil {
		t.Error("a second Listen went well")
	}
	nop := Zerolog(zerolog.Nop())
	for _, loops := range []int{1, 2} {
		other := &Server{Addr: addr.String(), Loops: loops, Log: nop}
		if err := other.ListenAndServe(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), addr.String()) {
			t.Errorf("%d loops, address in use: %v", loops, err)
		}
	}
	if _, err := (&Server{Addr: "no port"}).Listen(); err == nil {
		t.Error("Listen on nonsense went well")
	}
	unstarted := &Server{Addr: "127.0.0.1:0"}
	if _, err := unstarted.Listen(); err != nil {
		t.Error(err)
	}
	if err := unstarted.Close(); err != nil {
		t.Error(err)
	}
	if err := unstarted.Run(); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Run after Close: %v", err)
	}
}

// Poller is what the loops wait with, each of them; one that is not there is refused.
func TestPoller(t *testing.T) {
	for _, name := range reactor.Pollers() {
		_, addr := start(t, hello, func(s *Server) { s.Poller, s.Loops = name, 2 })
		dial(t, addr).get("/")
	}
	s := &Server{Addr: "127.0.0.1:0", Poller: "nonesuch"}
	if _, err := s.Listen(); err == nil || !strings.Contains(err.Error(), `"nonesuch"`) {
		t.Errorf("Listen: %v", err)
	}
}

// All loops of a server take part, and a second server on the address is refused
// although they share the port.
func TestSeveralLoops(t *testing.T) {
	seen := make(chan any, 1000)
	_, addr := start(t, func(w *Response, r *Request) { seen <- r.Reactor() }, func(s *Server) { s.Loops = 3 })
	loops := map[any]bool{}
	await(t, "each loop to serve a connection", func() bool {
		dial(t, addr).get("/")
		loops[<-seen] = true
		return len(loops) == 3
	})
	second := &Server{Addr: addr.String(), Loops: 3}
	if _, err := second.Listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second server: %v, want address in use", err)
	}
}

// What abuse leaves behind is checked by the clean-up of start: no descriptor, no
// goroutine.
func TestClientsThatVanish(t *testing.T) {
	_, addr := start(t, anyWay, func(s *Server) { s.Loops = 2 })
	for _, piece := range []string{
		"", "GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
		strings.Repeat("GET /blocking HTTP/1.1\r\nHost: a\r\n\r\n", 5), "GET /later HTTP/1.1\r\nHost: a\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		for i := range 20 {
			p := dial(t, addr)
			p.send("%s", piece)
			if i%2 == 0 {
				p.SetLinger(0)
			}
			p.Close()
		}
	}
	want(t, "a client that stays", dial(t, addr).get("/x"), `GET /x "" Host=a`)
}

func TestNetHTTPClient(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		w.AddHeader("X-Many", "1")
		w.AddHeader("X-Many", "2")
		w.SetStatus(201)
		fmt.Fprintf(w, "%s %s %s", r.Method(), r.Host(), r.Body())
	})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	res, err := client.Post("http://"+addr.String()+"/x", "text/plain", io.MultiReader(strings.NewReader("chunked "), strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	want(t, "answer", fmt.Sprint(res.StatusCode, res.Header["X-Many"], " ", string(body)), "201 [1 2] POST "+addr.String()+" chunked body")
}
