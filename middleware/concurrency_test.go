package middleware_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"
)

// gate is a handler of requests that wait for the test: each sends itself on the channel, and is answered when the test says so.
type gate chan *server.Pending

func (g gate) Serve(w *server.Response, _ *server.Request) { g <- w.Later() }

// next is the next request that is under way. It is answered by the function.
func (g gate) next(t *testing.T) (path string, answer func()) {
	t.Helper()
	select {
	case p := <-g:
		path := p.Request().Path()
		return path, func() { _ = p.Answer(func(w *server.Response) { w.WriteString(path) }) }
	case <-time.After(patience):
		t.Fatal("no request is under way")
		return "", nil
	}
}

// none checks that no further request is under way, when all that was sent before has been seen by the loop.
func (g gate) none(t *testing.T, addr string) {
	t.Helper()
	ask(t, connect(t, addr), "GET /free HTTP/1.1")
	if len(g) > 0 {
		t.Fatalf("%d more requests are under way", len(g))
	}
}

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// limited serves a gate within a limit, and /free outside of it.
func limited(t *testing.T, config middleware.ConcurrencyLimitConfig) (g gate, addr string) {
	t.Helper()
	g = make(gate, 16)
	limit := middleware.ConcurrencyLimit(config)(g)
	addr, stop := start(server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if r.Path() != "/free" {
			next.Serve(w, r)
		}
	})(limit))
	t.Cleanup(stop)
	return g, addr
}

// Requests beyond the bound wait their turn, and beyond the queue they are refused at once. A body that waits is not read.
func TestConcurrencyLimit(t *testing.T) {
	g, addr := limited(t, middleware.ConcurrencyLimitConfig{Max: 2, Queue: 2, MaxWait: time.Minute, RetryAfter: 1500 * time.Millisecond})
	var peers []net.Conn
	var under []func()
	for i := range 4 {
		c := connect(t, addr)
		send(t, c, fmt.Sprintf("POST /%d HTTP/1.1", i), "Content-Length: 3", "Expect: 100-continue")
		if i < 2 { // it is under way, and asks for its body
			if got := readLine(t, c); got != "HTTP/1.1 100 Continue" {
				t.Fatalf("%q", got)
			}
			_, _ = io.WriteString(c, "abc")
			path, answer := g.next(t)
			if under = append(under, answer); path != fmt.Sprint("/", i) {
				t.Fatalf("%s is under way", path)
			}
		} else {
			g.none(t, addr) // it has been seen, and waits
		}
		peers = append(peers, c)
	}
	if res, _ := ask(t, connect(t, addr), "GET /4 HTTP/1.1"); res.StatusCode != 503 || res.Header.Get("Retry-After") != "2" {
		t.Errorf("the fifth: %d %v", res.StatusCode, res.Header)
	}
	g.none(t, addr)
	under[0]()
	if got := readLine(t, peers[2]); got != "HTTP/1.1 100 Continue" {
		t.Fatalf("%q", got)
	}
	_, _ = io.WriteString(peers[2], "abc")
	third, answerThird := g.next(t)
	if third != "/2" {
		t.Errorf("then %s", third)
	}
	g.none(t, addr)
	under[1]()
	answerThird()
	_ = readLine(t, peers[3])
	_, _ = io.WriteString(peers[3], "abc")
	_, answerFourth := g.next(t)
	answerFourth()
	for range 2 { // all places are free again
		send(t, connect(t, addr), "GET / HTTP/1.1")
		_, answer := g.next(t)
		defer answer()
	}
}

// readLine reads a line and the empty one after it, byte by byte.
func readLine(t *testing.T, c net.Conn) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(line), "\r\n\r\n"); line = append(line, b...) {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("%v after %q", err, line)
		}
	}
	return strings.TrimSuffix(string(line), "\r\n\r\n")
}

// A request that has waited too long is refused, and one whose client has gone leaves the queue. Neither takes a place.
func TestConcurrencyLimitQueueIsLeft(t *testing.T) {
	g, addr := limited(t, middleware.ConcurrencyLimitConfig{
		Max: 1, Queue: 1, MaxWait: 50 * time.Millisecond,
		Deny: handler(func(w *server.Response, _ *server.Request) { w.WriteString("too busy") }),
	})
	send(t, connect(t, addr), "GET /first HTTP/1.1")
	_, answer := g.next(t)
	begin := time.Now()
	res, body := ask(t, connect(t, addr), "GET /late HTTP/1.1")
	if res.StatusCode != 503 || body != "too busy" || res.Header.Get("Retry-After") != "1" || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("%d %q %v after %v", res.StatusCode, body, res.Header, time.Since(begin))
	}
	for range 3 { // the queue has room for each
		gone := connect(t, addr)
		send(t, gone, "GET /gone HTTP/1.1")
		g.none(t, addr)
		_ = gone.(*net.TCPConn).SetLinger(0)
		gone.Close()
		g.none(t, addr)
	}
	last := connect(t, addr)
	send(t, last, "GET /last HTTP/1.1")
	g.none(t, addr)
	answer()
	path, answer := g.next(t)
	if answer(); path != "/last" {
		t.Errorf("then %s", path)
	}
}

// Whatever the load, the loops and the ends of connections, no more than Max are under way, and all places come back.
func TestConcurrencyLimitUnderLoad(t *testing.T) {
	const most = 3
	var now, peak, served atomic.Int64
	limit := middleware.ConcurrencyLimit(middleware.ConcurrencyLimitConfig{Max: most, Queue: 1000, MaxWait: time.Minute})
	h := limit(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		n := now.Add(1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		time.Sleep(100 * time.Microsecond)
		now.Add(-1)
		served.Add(1)
		w.WriteString("hello")
	}))
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 3, Handler: h, Log: silence}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run() }()
	t.Cleanup(func() { s.Close(); <-ended })
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			for i := range 15 {
				c, err := net.Dial("tcp", at.String())
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				if i%5 == 4 { // and is gone, queued or under way
					_ = c.(*net.TCPConn).SetLinger(0)
				} else if b, _ := io.ReadAll(c); !strings.HasSuffix(string(b), "hello") {
					t.Errorf("%q", b)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	if p := peak.Load(); p > most {
		t.Errorf("%d were under way", p)
	}
	if n := served.Load(); n < 12*12 {
		t.Errorf("%d were served", n)
	}
	for range 2 * most { // these would never be answered if places were lost
		res, err := http.Get("http://" + at.String())
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// The mistake shows at the first request, and not when the first one would have to wait.
func TestConcurrencyLimitInsideBlocking(t *testing.T) {
	logged, log := newLog()
	c := serve(t, middleware.Recover(log)(server.Blocking(middleware.ConcurrencyLimit(middleware.ConcurrencyLimitConfig{})(quiet))))
	if res, _ := ask(t, c, "GET / HTTP/1.1"); res.StatusCode != 500 {
		t.Errorf("answered %d", res.StatusCode)
	}
	if line := logged.next(t); !strings.Contains(fmt.Sprint(line["panic"]), "inside server.Blocking") {
		t.Errorf("logged %v", line)
	}
}

func TestConcurrencyLimitAllocatesNothing(t *testing.T) {
	expectNoAllocs(t, middleware.ConcurrencyLimit(middleware.ConcurrencyLimitConfig{})(quiet))
}

func ExampleConcurrencyLimit() {
	// At most 10 requests use the database at a time, 20 wait for 2 s at most, and the rest are refused.
	limit := middleware.ConcurrencyLimit(middleware.ConcurrencyLimitConfig{Max: 10, Queue: 20, MaxWait: 2 * time.Second})
	addr, stop := start(limit(server.Blocking(hello)))
	defer stop()
	fmt.Println(askWith("GET", "http://"+addr))
	// Output:
	// 200 hello
}
