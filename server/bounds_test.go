package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// What bytes buy: the grace, a moment for each, and no more than rateSavings.
func TestDataRateIsADebt(t *testing.T) {
	p, m := inMemory(t, hello, func(s *Server) { s.BodyTimeout = -1 })
	near := func(when string, want time.Duration) {
		t.Helper()
		if m.timeout > want+time.Second || m.timeout < want-time.Second {
			t.Errorf("%s: %v, want %v", when, m.timeout, want)
		}
	}
	p.DataReceived([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"))
	near("at first", 5*time.Second)
	p.DataReceived([]byte("x"))
	near("after a byte", 5*time.Second)
	p.DataReceived(make([]byte, 2400))
	near("after ten seconds' worth", 15*time.Second)
	p.DataReceived(make([]byte, 50_000))
	near("after a lot", 30*time.Second)
	c := p.(*conn)
	c.PauseProducing() // the peer does not read: we do not read on
	if m.timeout != 0 {
		t.Errorf("%v while the server does not read", m.timeout)
	}
	c.ResumeProducing()
	near("when it reads on", 5*time.Second)
}

// A grace that is longer than what bytes can buy is not cut short by the first of them.
func TestDataRateGraceIsLongerThanSavings(t *testing.T) {
	p, m := inMemory(t, hello, func(s *Server) { s.DataRateGrace, s.BodyTimeout = time.Minute, -1 })
	for _, piece := range []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", "x", "x"} {
		p.DataReceived([]byte(piece))
		if m.timeout < 59*time.Second || m.timeout > 61*time.Second {
			t.Errorf("behind %q: %v, want a minute", piece, m.timeout)
		}
	}
}

// The longest times and bounds are as good as none, and take nothing from the others.
func TestLimitsAtTheirGreatest(t *testing.T) {
	const upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
	for name, set := range map[string]func(*Server){
		"ReadHeaderTimeout and BodyTimeout": func(s *Server) { s.ReadHeaderTimeout, s.BodyTimeout = math.MaxInt64, math.MaxInt64 },
		"DataRateGrace": func(s *Server) {
			s.DataRateGrace, s.ReadHeaderTimeout, s.BodyTimeout = math.MaxInt64, 5*time.Second, 5*time.Second
		},
	} {
		p, m := inMemory(t, hello, set)
		for _, piece := range []string{upload[:3], upload[3:]} {
			p.DataReceived([]byte(piece))
			if m.timeout < 4*time.Second || m.timeout > 6*time.Second {
				t.Errorf("%s: %v behind %q, want 5s", name, m.timeout, piece)
			}
		}
	}
	p, m := inMemory(t, func(w *Response, _ *Request) {
		s := w.Stream()
		if _, err := s.WriteString("x"); err != nil {
			t.Errorf("MaxUnsentBytes: %v", err)
		}
	}, func(s *Server) { s.MaxUnsentBytes = math.MaxInt })
	p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	want(t, "the body", m.out.String()[m.out.Len()-len("1\r\nx\r\n"):], "1\r\nx\r\n")
}

// Empty lines gain no time, neither on a new connection nor on an idle one; each head has its
// own, also when the reads never end where the requests do.
func TestWhatGainsTime(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, c := range []struct {
		before, piece string
		want          time.Duration // 0: the timeout is left as it is
	}{
		{"", "\r\n", 0},
		{"\r\n", "\r\n", 0},
		{"\r\n", "GET", 0}, // its time began with the connection
		{get, "\r\n", 0},
		{get + "\r\n", "\r\n", 0},
		{get + "\r\n", "GET", 10 * time.Second},
		{"GET", " / HTTP", 0},
		{"GET", get[3:], 75 * time.Second},
		{"GET", get[3:] + "GET", 10 * time.Second},
		{get, get, 75 * time.Second},
	} {
		p, m := inMemory(t, hello, func(s *Server) { s.MinDataRate = -1 })
		p.DataReceived([]byte(c.before))
		m.timeout = 0
		p.DataReceived([]byte(c.piece))
		if m.timeout != c.want {
			t.Errorf("after %q, %q sets %v, want %v", c.before, c.piece, m.timeout, c.want)
		}
	}
}

func TestMaxConns(t *testing.T) {
	waits(t)
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s, addr := start(t, hello, func(s *Server) { s.MaxConns, s.Log = 2, logger })
	a, b := dial(t, addr), dial(t, addr)
	a.get("/")
	b.get("/")
	for range 3 {
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, body := p.answer("HEAD")
		if res.StatusCode != 503 || !res.Close || res.Header.Get("Retry-After") == "" || body != "" {
			t.Errorf("one too many got %d, close %v, %v", res.StatusCode, res.Close, res.Header)
		}
		want(t, "after it", p.rest(), "")
	}
	a.get("/")
	b.Close()
	await(t, "a place", func() bool { return s.doors.open.Load() == 1 })
	dial(t, addr).get("/")
	await(t, "the count of those that were refused", func() bool { return len(linesWith(log.String(), "left_out")) > 0 })
	if got := linesWith(log.String(), tooMany); len(got) != 2 || !strings.Contains(got[1], `"left_out":2`) {
		t.Errorf("%d lines in the log, want one and one that counts: %s", len(got), log.String())
	}
}

// A flood is turned away without a word, and costs no connection that is served.
func TestMaxConnsInAFlood(t *testing.T) {
	waits(t)
	s, addr := start(t, hello, func(s *Server) { s.MaxConns = 1 })
	good := dial(t, addr)
	good.get("/")
	var flood []net.Conn
	for range 2 * maxTurnedAway {
		c, err := dialTry(addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		flood = append(flood, c)
	}
	good.get("/")
	answered := 0
	for _, c := range flood {
		c.SetDeadline(time.Now().Add(patience))
		if b, _ := io.ReadAll(c); len(b) > 0 {
			answered++
		}
	}
	if answered == 0 || answered > maxTurnedAway+len(flood)/4 { // those that have left make room
		t.Errorf("%d of %d got an answer, want some %d", answered, len(flood), maxTurnedAway)
	}
	await(t, "those turned away to be gone", func() bool { return onLoop(s, func(w *worker) int { return w.turned }) == 0 })
	good.get("/")
}

func TestMaxConnsPerAddr(t *testing.T) {
	s, addr := start(t, hello, func(s *Server) { s.MaxConnsPerAddr = 2 })
	from := func(ip string) *peer {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		c, err := d.Dial("tcp", addr.String())
		if err != nil {
			t.Skip("one loopback address only: ", err)
		}
		t.Cleanup(func() { c.Close() })
		return wrap(t, c.(*net.TCPConn))
	}
	a, b := from("127.0.0.1"), from("127.0.0.1")
	a.get("/")
	b.get("/")
	c := from("127.0.0.1")
	if res, _ := c.answer("HEAD"); res.StatusCode != 503 || !res.Close {
		t.Errorf("the third got %d", res.StatusCode)
	}
	from("127.0.0.2").get("/")
	a.Close()
	await(t, "a place", func() bool { return s.doors.open.Load() == 2 })
	from("127.0.0.1").get("/")
	t.Cleanup(func() { // runs before the sockets close; the server's own clean-up looks for goroutines
		s.Close()
		if len(s.doors.from) > 0 {
			t.Errorf("%v is left in the table", s.doors.from)
		}
	})
}

func TestOrigin(t *testing.T) {
	for addr, origins := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::":       "2001:db8:1:2::",
		"fe80::1%lo":           "fe80::",
	} {
		want(t, addr, origin(netip.MustParseAddr(addr)).String(), origins)
	}
	d := doors{mostOfOne: 1}
	for range 2 {
		if d.enter(netip.Addr{}) != "" {
			t.Error("those without an address were counted for one")
		}
	}
	d.leave(netip.Addr{})
}

// onLoop reads what belongs to the first loop.
func onLoop[T any](s *Server, f func(w *worker) T) T {
	result := make(chan T, 1)
	w := s.workers[0]
	if !w.loop.CallFromThread(func() { result <- f(w) }) {
		return *new(T)
	}
	return <-result
}

// held is what the loop holds for its connections, in and out.
func held(s *Server) (in, out int) {
	both := onLoop(s, func(w *worker) [2]int { return [2]int{w.held + int(w.made.bytes.Load()), w.loop.Unsent()} })
	return both[0], both[1]
}

// Those who hold the most are ended, and nobody else.
func TestMaxBufferedBytesOfUploads(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s, addr := start(t, echo, func(s *Server) { s.MaxBufferedBytes, s.Log = 1<<20, logger })
	holds := func(n int) func() bool {
		return func() bool { in, _ := held(s); return in >= n }
	}
	var small []*peer
	for range 20 {
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhel")
		small = append(small, p)
	}
	large := dial(t, addr)
	large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n%s", strings.Repeat("x", 700_000))
	await(t, "the upload", holds(700_000))
	if in, _ := held(s); in > 2<<20 {
		t.Errorf("%d bytes held for 700000", in)
	}
	second := dial(t, addr)
	go io.WriteString(second.TCPConn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n"+strings.Repeat("x", 1_000_000))
	if res, _ := second.answer("POST"); res.StatusCode != 503 || !res.Close || res.Header.Get("Retry-After") == "" {
		t.Errorf("the one that is too much got %d, %v", res.StatusCode, res.Header)
	}
	dial(t, addr).get("/") // comes and goes in one piece
	for _, p := range small {
		p.send("lo!")
		_, body := p.answer("POST")
		wantContains(t, "a small one", body, `"hello!"`)
	}
	for _, p := range append(small, large, second) {
		p.Close()
	}
	await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
	wantContains(t, "log", log.String(), errOverloaded.Reason)
}

// The same for answers that nobody reads, however small each connection keeps its own.
func TestMaxBufferedBytesOfAnswers(t *testing.T) {
	const share = 4 << 20
	body := bytes.Repeat([]byte("x"), 8<<20)
	s, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/large" {
			w.SetBody(body)
		}
	}, func(s *Server) { s.MaxBufferedBytes = share })
	good := dial(t, addr)
	good.get("/")
	for range 8 {
		p := dial(t, addr)
		p.SetReadBuffer(4 << 10)
		p.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
		good.get("/")
	}
	await(t, "the loop to be within its share", func() bool { _, out := held(s); return out <= share })
	good.get("/")
}

// Whoever forgets a Pending costs its peer an answer, and not the server a connection.
func TestPendingTimeout(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	pending := make(chan *Pending, 1)
	var done atomic.Int32
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/later" {
			w.SetHeader("X", "y")
			w.OnDone(func(*Response, *Request) { done.Add(1) })
			pending <- w.Later()
		}
	}, func(s *Server) { s.PendingTimeout, s.Log = 100*time.Millisecond, logger })
	p := dial(t, addr)
	p.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
	res, body := p.answer("GET")
	if res.StatusCode != 503 || res.Close || res.Header.Get("X") != "" || body != "Service Unavailable\n" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
	}
	if err := (<-pending).Answer(func(*Response) { t.Error("fill was called") }); !errors.Is(err, ErrAnswered) {
		t.Errorf("Answer: %v, want ErrAnswered", err)
	}
	await(t, "OnDone", func() bool { return done.Load() == 1 })
	p.get("/")
	wantContains(t, "log", log.String(), "not answered in time", `"method":"GET"`)
}

// A peer that goes on sending for ever gets the answer, and then the end.
func TestLingerIsBounded(t *testing.T) {
	for name, set := range map[string]func(*Server){
		"in bytes": func(s *Server) { s.MaxLingerBytes, s.LingerTimeout = 1<<20, time.Hour },
		"in time":  func(s *Server) { s.MaxLingerBytes, s.LingerTimeout = 1<<40, 200*time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := start(t, hello, set)
			p := dial(t, addr)
			p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388609\r\n\r\n")
			ended := make(chan int)
			go func() {
				piece, sent := make([]byte, 64<<10), 0
				for {
					n, err := p.TCPConn.Write(piece)
					if sent += n; err != nil {
						ended <- sent
						return
					}
				}
			}()
			if res, _ := p.answer("POST"); res.StatusCode != 413 {
				t.Errorf("status %d", res.StatusCode)
			}
			sent := <-ended
			if name == "in bytes" && sent > 32<<20 { // what the sockets hold comes on top
				t.Errorf("%d bytes were taken", sent)
			}
			await(t, "the connection to be gone", func() bool { return s.doors.open.Load() == 0 })
		})
	}
}

func TestFixedBoundsOfTheParserCanBeSet(t *testing.T) {
	_, addr := start(t, echo, func(s *Server) {
		s.MaxBlankLines, s.MaxChunkExtensionBytes, s.MaxTrailerBytes = -1, 5, 20
	})
	for request, status := range map[string]int{
		"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n":                                                                     400,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;abcd\r\nx\r\n0\r\n\r\n":                  200,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;abcde\r\nx\r\n0\r\n\r\n":                 431,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 3456789012345\r\n\r\n":             200,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + fmt.Sprint(1<<62) + "\r\n\r\n": 431,
	} {
		p := dial(t, addr)
		p.send("%s", request)
		if res, _ := p.answer("POST"); res.StatusCode != status {
			t.Errorf("%q: %d, want %d", request, res.StatusCode, status)
		}
	}
}

// A peer that reads now and then makes progress. What counts is the rate, in whatever state the connection is.
func TestSlowReadersAreCutOff(t *testing.T) {
	waits(t)
	const size = 16 << 20
	for _, c := range []struct {
		name    string
		rate    int
		timeout time.Duration
		most    int // that it reads
		served  bool
	}{
		{"more slowly than MinDataRate", 50 << 20, 300 * time.Millisecond, size, false},
		// The window opens each 64 KiB, some 200 ms apart, and they buy it minutes.
		{"faster, with windows that open later than SendTimeout", 240, 50 * time.Millisecond, 250_000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, addr := start(t, func(w *Response, r *Request) {
				if r.Path() != "/small" {
					w.SetBody(make([]byte, size))
				}
			}, func(s *Server) {
				s.MinDataRate, s.SendTimeout = c.rate, c.timeout
				s.IdleTimeout = 100 * time.Millisecond // ends nobody whose answer is under way
			})
			for _, connection := range []string{"keep-alive", "close"} {
				p := dial(t, addr)
				p.SetReadBuffer(64 << 10)
				p.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n", connection)
				read, piece := 0, make([]byte, 8<<10)
				var err error
				for range time.Tick(20 * time.Millisecond) { // some 400 kB a second
					var n int
					n, err = p.TCPConn.Read(piece)
					if read += n; err != nil || read > c.most {
						break
					}
				}
				if served := err == nil; served != c.served || errors.Is(err, errDeadline) {
					t.Errorf("%s: %v after %d bytes", connection, err, read)
				}
				p.Close()
			}
			dial(t, addr).get("/small")
			await(t, "nothing to be held", func() bool { in, out := held(s); return in == 0 && out == 0 })
			if n := closedFor(s, ErrSlowReader); n != 2 && !c.served || n != 0 && c.served {
				t.Errorf("%d slow readers were counted", n)
			}
		})
	}
}

// A negative MaxUnsentBytes says nothing, and is no reason to send nothing.
func TestNegativeMaxUnsentBytes(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		s := w.Stream()
		for range 3 {
			if _, err := s.WriteString("piece"); err != nil {
				t.Error(err)
			}
		}
		s.Close()
	}, func(s *Server) { s.MaxUnsentBytes = -1 })
	want(t, "body", dial(t, addr).get("/"), "piecepiecepiece")
}
