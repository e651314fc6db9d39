package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// Why connections end, by name. Each reason is provoked as a peer, a handler or an operator would provoke it, and must
// arrive by its one name in each place where it is told.

// provoked is what a provocation has to work with.
type provoked struct {
	t     *testing.T
	s     *Server
	peer  *peer
	begun chan struct{} // a handler that waits has been called
}

// stuck is a handler that owes its answer for ever; large answers with more than sockets hold; and so on, by path.
func misanswer(began chan<- struct{}) HandlerFunc {
	return func(w *Response, r *Request) {
		switch r.Path() {
		case "/later":
			w.Later()
			began <- struct{}{}
		case "/large":
			s := w.Stream()
			_, _ = s.Give(make([]byte, 32<<20)) // the answer of a slow reader is owed while the stream is open
		case "/panic":
			panic("on purpose")
		case "/abort":
			panic(ErrAbortHandler)
		case "/filter":
			w.Filter(func([]byte, []byte, bool) ([]byte, error) { return nil, errors.New("on purpose") })
			_, _ = w.Stream().WriteString("text")
		case "/short":
			w.SetHeader("Content-Length", "10")
			_ = w.Stream().Close()
		case "/unsent":
			s := w.Stream()
			for {
				if _, err := s.Write(make([]byte, 1<<20)); err != nil {
					_ = s.Close()
					return
				}
			}
		}
	}
}

var closings = []struct {
	why    CloseReason
	err    bool // an answer was owed, and Err says why
	line   bool // the end of the connection has a line of its own
	set    func(*Server)
	act    func(p *provoked)
	linger bool // the peer stays until the server has closed
}{
	{why: CloseDone, act: func(p *provoked) { p.peer.get("/") }},
	{why: ErrPeerClosed, act: func(p *provoked) {
		p.peer.send("GET / HTTP/1.1\r\nHost")
		_ = p.peer.CloseWrite()
		p.peer.answer("GET")
	}},
	{why: ErrPeerReset, err: true, line: true, act: func(p *provoked) {
		p.ask("/later")
		<-p.begun
		_ = p.peer.SetLinger(0)
	}},
	{why: ErrSendTimeout, err: true, line: true, linger: true, set: func(s *Server) {
		s.SendTimeout, s.MinDataRate = 50*time.Millisecond, -1
	}, act: func(p *provoked) { p.ask("/large") }},
	{why: ErrSlowReader, err: true, line: true, linger: true, set: func(s *Server) {
		s.SendTimeout, s.MinDataRate = 50*time.Millisecond, 1<<30
	}, act: func(p *provoked) { p.ask("/large") }},
	{why: ErrIdleTimeout, line: true, linger: true, set: func(s *Server) { s.IdleTimeout = 20 * time.Millisecond }, act: func(p *provoked) { p.peer.get("/") }},
	{why: ErrIdleTimeout, line: true, linger: true, set: func(s *Server) { s.ReadHeaderTimeout = 20 * time.Millisecond }, act: func(*provoked) {}},
	// The peer has that time to begin, too: on a busy machine 20 ms passed before it did, and it was idle.
	{why: ErrRequestTimeout, linger: true, set: func(s *Server) { s.ReadHeaderTimeout = 500 * time.Millisecond }, act: func(p *provoked) {
		p.peer.send("GET / HT")
	}},
	{why: ErrRequestTimeout, linger: true, set: func(s *Server) { s.BodyTimeout = 20 * time.Millisecond }, act: func(p *provoked) {
		p.peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	}},
	{why: ErrSlowRequest, linger: true, set: func(s *Server) { s.DataRateGrace = 20 * time.Millisecond }, act: func(p *provoked) {
		p.peer.send("GET / HT")
	}},
	{why: ErrRefused, linger: true, act: func(p *provoked) { p.peer.send("GET / HTTP/1.1\r\n\r\n") }},
	{why: ErrOverloaded, linger: true, set: func(s *Server) { s.MaxBufferedBytes = 1 << 16 }, act: func(p *provoked) {
		p.peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 100_000))
	}},
	{why: ErrOverloaded, err: true, line: true, linger: true, set: func(s *Server) { s.MaxBufferedBytes = 1 << 16 }, act: func(p *provoked) {
		p.ask("/large")
	}},
	{why: ErrLinger, line: true, linger: true, set: func(s *Server) { s.LingerTimeout = 20 * time.Millisecond }, act: func(p *provoked) {
		p.peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nmore")
	}},
	{why: ErrLinger, line: true, linger: true, set: func(s *Server) { s.MaxLingerBytes = 1 }, act: func(p *provoked) {
		p.peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nmore")
		p.peer.answer("GET")
		_, _ = io.WriteString(p.peer, "and more")
	}},
	{why: ErrServerClosed, err: true, line: true, act: func(p *provoked) {
		p.ask("/later")
		<-p.begun
		p.s.Close()
	}},
	{why: ErrPanic, err: true, act: func(p *provoked) { p.ask("/panic") }, linger: true},
	{why: ErrAbortHandler, err: true, act: func(p *provoked) { p.ask("/abort") }, linger: true},
	{why: ErrContentLength, err: true, line: true, act: func(p *provoked) { p.ask("/short") }, linger: true},
	{why: ErrUnsentBound, err: true, line: true, act: func(p *provoked) { p.ask("/unsent") }, linger: true},
	{why: ErrFilter, err: true, act: func(p *provoked) { p.ask("/filter") }, linger: true},
}

func (p *provoked) ask(path string) { p.peer.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path) }

// reported are the reasons that a test of their own provokes.
var reported = []CloseReason{ErrNetwork, ErrUnwatchable, ErrTooManyConns, ErrStalled, ErrHandshake, ErrTruncated, ErrProxyHeader}

func TestCloseReasons(t *testing.T) {
	waits(t)
	shown := slices.Clone(reported)
	for _, c := range closings {
		shown = append(shown, c.why)
		t.Run(c.why.Name(), func(t *testing.T) {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			begun, done := make(chan struct{}, 1), make(chan error, 10)
			h := misanswer(begun)
			s, addr := start(t, func(w *Response, r *Request) {
				w.OnDone(func(w *Response, _ *Request) { done <- w.Err() })
				h(w, r)
			}, func(s *Server) {
				s.Log, s.LingerTimeout = logger, 20*time.Millisecond
				if c.set != nil {
					c.set(s)
				}
			})
			p := &provoked{t, s, dial(t, addr), begun}
			c.act(p)
			if !c.linger {
				p.peer.Close()
			}
			await(t, "the end", func() bool { return closedFor(s, c.why) == 1 })
			if got := fmt.Sprint(counts(s)); got != fmt.Sprintf("map[%s:1]", c.why.Name()) {
				t.Errorf("counted %s", got)
			}
			if c.err {
				if err := <-done; !errors.Is(err, c.why) {
					t.Errorf("Err: %v, want %v", err, c.why)
				}
			}
			ends := linesWith(log.String(), connectionEnded)
			if len(ends) > 1 || (len(ends) == 1) != c.line {
				t.Errorf("%d lines of the end: %s", len(ends), log.String())
			}
			for _, line := range ends {
				wantContains(t, "log", line, fmt.Sprintf(`"reason":%q`, c.why.Name()), `"conn":1`, closeReasons[c.why].text)
			}
		})
	}
	for why := range CloseReason(closeReasonCount) {
		if !slices.Contains(shown, why) {
			t.Errorf("no test provokes %q", why.Name())
		}
	}
}

// linesWith are the lines of a log that contain something.
func linesWith(log, part string) (lines []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, part) {
			lines = append(lines, line)
		}
	}
	return lines
}

// closedFor is how many connections have ended for a reason.
func closedFor(s *Server, why CloseReason) uint64 { return counts(s)[why.Name()] }

// counts are the reasons that connections have ended for.
func counts(s *Server) map[string]uint64 {
	all := map[string]uint64{}
	for why, n := range s.CloseCounts() {
		if n > 0 {
			all[why.Name()] = n
		}
	}
	return all
}

// What the reactor says of a connection arrives, and what the server has decided before stands.
func TestCloseReasonsOfTheReactor(t *testing.T) {
	for _, c := range []struct {
		reason  error
		request string
		why     CloseReason
	}{
		{reactor.ErrConnectionDone, "", CloseDone},
		{reactor.ErrDetached, "", CloseDone},
		{reactor.ErrConnectionDone, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n", ErrPeerClosed},
		{fmt.Errorf("%w: %w", reactor.ErrConnectionLost, syscall.ECONNRESET), "", ErrPeerReset},
		{fmt.Errorf("%w: %w", reactor.ErrConnectionLost, syscall.EPIPE), "", ErrPeerReset},
		{fmt.Errorf("%w: %w", reactor.ErrConnectionLost, syscall.ETIMEDOUT), "", ErrNetwork},
		{fmt.Errorf("%w: %w", reactor.ErrConnectionLost, &reactor.FDRangeError{FD: 1024, Limit: 1024}), "", ErrUnwatchable},
		{reactor.ErrTimeout, "", ErrSendTimeout},
		{reactor.ErrWriteBound, "", ErrUnsentBound},
		{reactor.ErrShutdown, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n", ErrServerClosed},
		{&reactor.PanicError{Value: reactor.ErrTimeout}, "", ErrPanic},
		{fmt.Errorf("%w: %w", reactor.ErrConnectionLost, syscall.EPIPE), "bad\r\n", ErrRefused},
	} {
		var err error
		begun := make(chan struct{}, 1)
		h := misanswer(begun)
		p, _ := inMemory(t, func(w *Response, r *Request) {
			w.OnDone(func(w *Response, _ *Request) { err = w.Err() })
			h(w, r)
		})
		p.DataReceived([]byte(c.request))
		p.ConnectionLost(c.reason)
		s := p.(*conn).w.srv
		if closedFor(s, c.why) != 1 {
			t.Errorf("%v behind %q: %v, want %v", c.reason, c.request, counts(s), c.why)
		}
		if strings.Contains(c.request, "later") && err != c.why {
			t.Errorf("%v behind %q: Err is %v, want %v", c.reason, c.request, err, c.why)
		}
	}
}

// Each reason has a name and a text of its own, and ErrPeerGone is what the peer or the network has done.
func TestCloseReasonTable(t *testing.T) {
	names := map[string]bool{}
	for why := range CloseReason(closeReasonCount) {
		if why.Name() == "" || names[why.Name()] || !strings.HasPrefix(why.Error(), "server: ") {
			t.Errorf("%d: name %q, text %q", why, why.Name(), why.Error())
		}
		names[why.Name()] = true
		peers := why == ErrPeerClosed || why == ErrPeerReset || why == ErrNetwork || why == ErrTruncated
		if errors.Is(fmt.Errorf("x: %w", why), ErrPeerGone) != peers {
			t.Errorf("%v: the peer's doing is %v, want %v", why, !peers, peers)
		}
		if as, ok := errors.AsType[CloseReason](fmt.Errorf("x: %w", why)); !ok || as != why {
			t.Errorf("%v comes back as %v", why, as)
		}
	}
	if none := CloseReason(closeReasonCount); none.Name() != "" || none.Error() == "" || errors.Is(none, ErrPeerGone) {
		t.Error("what is no reason has a name")
	}
}

// select(2) drops the connections whose descriptors it cannot watch. The server says so, and goes on.
func TestDescriptorsBeyondSelect(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	s, addr := start(t, hello, func(s *Server) { s.Poller, s.Log = "select", logger })
	good := dial(t, addr)
	good.get("/")
	for range 1024 { // so that what is opened from now on has a high number
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Skip("too few descriptors: ", err)
		}
		defer f.Close()
	}
	for n := range uint64(3) {
		p := dial(t, addr)
		if b, err := io.ReadAll(p); len(b) > 0 {
			t.Errorf("answered %q, %v", b, err)
		}
		await(t, "the end", func() bool { return closedFor(s, ErrUnwatchable) == n+1 })
	}
	good.get("/")
	wantContains(t, "log", log.String(), `"level":"warn"`, `"reason":"unwatchable"`, "1024")
}
