package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// The rig: a real server on a loopback port, raw sockets to talk to it, and an
// in-memory transport for what has to be exact.

// patience is how long a test waits for what must happen. The race detector on a busy machine needs much of it.
const patience = 30 * time.Second

// start serves h and returns where. When the test ends the server is shut down and
// must leave nothing behind.
func start(t testing.TB, h HandlerFunc, options ...func(*Server)) (*Server, netip.AddrPort) {
	t.Helper()
	return startOn(t, h, nil, options...)
}

// startOn is start for connections that begin as a ListenOption says.
func startOn(t testing.TB, h HandlerFunc, begin []ListenOption, options ...func(*Server)) (*Server, netip.AddrPort) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	nop := Zerolog(zerolog.Nop())
	s := &Server{Addr: "127.0.0.1:0", Loops: 1, Log: nop}
	if h != nil {
		s.Handler = h
	}
	for _, o := range options {
		o(s)
	}
	addr, err := s.ListenOn(s.Addr, begin...)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Run: %v, want ErrServerClosed", err)
		}
		if !together.Load() { // else TestMain looks at what all of them leave
			await(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
			await(t, "descriptors to be closed", func() bool { return openFiles() <= files })
		}
	})
	return s, addr
}

// waitAtOnce is how many tests wait at the same time.
const waitAtOnce = 4

// together is set when the tests that wait run at the same time: they begin when all others have ended.
var together atomic.Bool

// waits is for a test that mostly waits. It runs at the same time as others that do.
func waits(t *testing.T) {
	t.Parallel()
	together.Store(true)
}

// TestMain looks at what the tests that run at the same time have left.
func TestMain(m *testing.M) {
	if r, w, err := os.Pipe(); err == nil { // the runtime's poller opens its descriptors with the first pipe or socket
		r.Close()
		w.Close()
	}
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true" {
		os.Exit(m.Run()) // fuzzing has goroutines of its own, and chooses how many workers there are
	}
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // the default
		_ = f.Value.Set(strconv.Itoa(waitAtOnce))
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	code := m.Run()
	for end := time.Now().Add(patience); code == 0 && (runtime.NumGoroutine() > goroutines || openFiles() > files); runtime.Gosched() {
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "left: %d goroutines, %d descriptors\n", runtime.NumGoroutine()-goroutines, openFiles()-files)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			code = 1
		}
	}
	os.Exit(code)
}

func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// await polls for a condition that other goroutines bring about, less and less often: what is not there soon leaves the
// processors to the others.
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

// peer is a client that sees bytes.
type peer struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, addr netip.AddrPort) *peer {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return wrap(t, c)
}

func wrap(t testing.TB, c *net.TCPConn) *peer {
	c.SetDeadline(time.Now().Add(patience))
	return &peer{c, t, bufio.NewReader(c)}
}

// errDeadline is the end of a wait for the server to say something.
var errDeadline = os.ErrDeadlineExceeded

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	s := format
	if len(args) > 0 {
		s = fmt.Sprintf(format, args...)
	}
	if _, err := io.WriteString(p.TCPConn, s); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// answer reads one response to a request of the given method.
func (p *peer) answer(method string) (*http.Response, string) {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("reading a response: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("reading a body: %v", err)
	}
	return res, string(body)
}

// rest reads until the server closes.
func (p *peer) rest() string {
	p.t.Helper()
	b, err := io.ReadAll(p.r)
	if err != nil {
		p.t.Fatalf("reading to the end: %v (after %q)", err, b)
	}
	return string(b)
}

// get sends a GET and returns the body of the answer.
func (p *peer) get(target string) string {
	p.t.Helper()
	p.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target)
	res, body := p.answer("GET")
	if res.StatusCode != 200 {
		p.t.Fatalf("GET %s: status %d", target, res.StatusCode)
	}
	return body
}

var dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)

// undated removes the one thing that differs between two runs.
func undated(s string) string { return dateLine.ReplaceAllString(s, "") }

// memory is a Transport that keeps what is written to it. The loop behind it does
// not run: its posted calls are made by hand.
type memory struct {
	reactor.Transport // what no test of this package asks for; calling it panics

	loop    *reactor.Reactor
	out     bytes.Buffer
	scratch []byte
	writes  int
	ended   string
	timeout time.Duration
	unsent  int
	flying  int // taken, and not acknowledged
}

func (m *memory) Write(p []byte)                      { m.writes++; m.out.Write(p) }
func (m *memory) Room(int) []byte                     { return m.scratch[:0] }
func (m *memory) Commit(p []byte)                     { m.Write(p) }
func (m *memory) Buffered() int                       { return m.unsent }
func (m *memory) Held() int                           { return m.unsent }
func (m *memory) Unacknowledged() int                 { return m.unsent + m.flying }
func (m *memory) LoseConnection()                     { m.ended += "lose" }
func (m *memory) AbortConnection()                    { m.ended += "abort" }
func (m *memory) CloseWrite()                         { m.ended += "half-close " }
func (m *memory) PauseReading()                       {}
func (m *memory) ResumeReading()                      {}
func (m *memory) SetTimeout(d time.Duration)          { m.timeout = d }
func (m *memory) RegisterProducer(p reactor.Producer) {}
func (m *memory) Info() reactor.Info                  { return m }
func (m *memory) LocalAddr() netip.AddrPort           { return netip.AddrPort{} }
func (m *memory) RemoteAddr() netip.AddrPort          { return netip.AddrPort{} }
func (m *memory) Socket() reactor.Socket              { return reactor.Socket{} }
func (m *memory) Reactor() *reactor.Reactor           { return m.loop }

func (m *memory) Send(pieces ...reactor.Piece) {
	m.writes++
	for i := range pieces {
		m.out.Write(pieces[i].Bytes())
	}
}

// inMemory makes a connection of a server that serves h.
func inMemory(t testing.TB, h HandlerFunc, options ...func(*Server)) (reactor.Protocol, *memory) {
	t.Helper()
	loop, err := reactor.New(reactor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loop.Close() })
	nop := Zerolog(zerolog.Nop())
	s := &Server{Log: nop}
	if h != nil {
		s.Handler = h
	}
	for _, o := range options {
		o(s)
	}
	m := &memory{loop: loop, scratch: make([]byte, 0, 64<<10)}
	p := s.Factory(loop).BuildProtocol(netip.AddrPort{})
	p.ConnectionMade(m)
	return p, m
}

// hello is the handler of most tests.
func hello(w *Response, r *Request) {
	w.SetHeader("Content-Type", "text/plain")
	w.WriteString("Hello, World!")
}

// echo answers with what the request was.
func echo(w *Response, r *Request) {
	fmt.Fprintf(w, "%s %s %q", r.Method(), r.Target(), r.PeekBody())
	for name, value := range r.Headers() {
		fmt.Fprintf(w, " %s=%s", name, value)
	}
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func wantContains(t testing.TB, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s: %q lacks %q", what, got, part)
		}
	}
}

// dialTry is a dial that may fail.
func dialTry(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) }
