package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"
)

// lines is a small protocol: each line comes back in upper case. "quit" ends it.
type lines struct {
	t    reactor.Transport
	rest []byte
	lost func(error)
}

func (l *lines) ConnectionMade(t reactor.Transport) { l.t = t }

func (l *lines) DataReceived(p []byte) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return
		}
		if string(line) == "quit" {
			l.t.Write([]byte("BYE\n"))
			l.t.LoseConnection()
			return
		}
		l.t.Write(append(bytes.ToUpper(line), '\n'))
		l.rest = rest
	}
}

func (l *lines) ConnectionLost(reason error) {
	if l.lost != nil {
		l.lost(reason)
	}
}

// halfLines answers the end of its peer, too.
type halfLines struct{ lines }

func (l *halfLines) ReadConnectionLost() {
	l.t.Write([]byte("END " + string(l.rest) + "\n"))
	l.t.LoseConnection()
}

// politeLines says so when the server shuts down.
type politeLines struct{ lines }

func (l *politeLines) ShutdownBegun() { l.t.Write([]byte("SHUTDOWN\n")) }

const upgradeHead = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: other/1\r\nUpgrade:\tCHAT\r\n\r\n"

const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"

// to is a handler that upgrades to what build makes, and answers an error with 426.
func to(build func() reactor.Protocol) HandlerFunc {
	return func(w *Response, r *Request) {
		if err := w.Upgrade("chat", build()); err != nil {
			w.Error(426)
			w.WriteString(err.Error())
		}
	}
}

func toLines(w *Response, r *Request) { to(func() reactor.Protocol { return &lines{} })(w, r) }

// Each kind of handler upgrades, with the bytes that came with the request however they are cut, and ends.
func TestUpgrade(t *testing.T) {
	for name, h := range map[string]Handler{
		"plain":     HandlerFunc(toLines),
		"streaming": StreamingFunc(toLines),
		"blocking":  BlockingFunc(toLines),
		"within":    Wrap(func(w *Response, r *Request, next Handler) { w.AnswerWithin(time.Minute, nil); next.Serve(w, r) })(HandlerFunc(toLines)),
	} {
		_, addr := start(t, nil, func(s *Server) { s.Handler = h; s.DetectLateUse = true })
		all := upgradeHead + "one\ntwo\nquit\n"
		for _, cut := range []int{len(all), len(upgradeHead), len(upgradeHead) - 1, len(upgradeHead) + 2} {
			p := dial(t, addr)
			p.send("%s", all[:cut])
			p.send("%s", all[cut:])
			want(t, name, undated(p.rest()), switched+"ONE\nTWO\nBYE\n")
		}
	}
}

// An upgrade behind other requests of a batch comes after their answers.
func TestUpgradePipelined(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/" {
			toLines(w, r)
			return
		}
		hello(w, r)
	})
	p := dial(t, addr)
	p.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n" + upgradeHead + "GET /b HTTP/1.1\nquit\n")
	res, body := p.answer("GET")
	want(t, "the first", fmt.Sprint(res.StatusCode, body), "200Hello, World!")
	want(t, "and then", undated(p.rest()), switched+"GET /B HTTP/1.1\nBYE\n")
}

// What is no upgrade gets an ordinary answer, and the connection goes on where it may.
func TestUpgradeRefused(t *testing.T) {
	_, addr := start(t, toLines)
	for request, why := range map[string]error{
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n":                                        errNotAsked,
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: chat\r\n\r\n":                                                               errNotAsked,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n":                                                         errNotAsked,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat2, cha\r\n\r\n":                                  errNoToken,
		"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n":                                       errNotGet,
		"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n":                                       errNotGet,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\nContent-Length: 1\r\n\r\nx":                  errHasBody,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": errHasBody,
	} {
		p := dial(t, addr)
		p.send("%s", request)
		method, _, _ := strings.Cut(request, " ")
		res, body := p.answer(method)
		if res.StatusCode != 426 || method != "HEAD" && !strings.Contains(body, why.Error()) {
			t.Errorf("%q: %d %q", request, res.StatusCode, body)
		}
		if strings.Contains(request, "HTTP/1.1") {
			p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if res, _ := p.answer("GET"); res.StatusCode != 426 {
				t.Errorf("the request after %q: %d", request, res.StatusCode)
			}
		}
	}
}

// A peer that awaits 100 gets it before the 101. Fields, OnHead and OnDone mean what they do for other answers.
func TestUpgradeAnswer(t *testing.T) {
	done := make(chan int, 1)
	_, addr := start(t, func(w *Response, r *Request) {
		w.SetHeader("Upgrade", "nonsense")
		w.SetHeader("A", "b")
		w.OnHead(func(w *Response, _ *Request) { w.SetHeader("C", "d") })
		w.Filter(func(dst, p []byte, last bool) ([]byte, error) { return append(dst, "not called"...), nil })
		w.OnDone(func(w *Response, _ *Request) { done <- w.Status() })
		toLines(w, r)
	})
	p := dial(t, addr)
	p.send("%s", strings.Replace(upgradeHead, "Host", "Expect: 100-continue\r\nHost", 1)+"quit\n")
	want(t, "the answer", undated(p.rest()), "HTTP/1.1 100 Continue\r\n\r\n"+
		strings.Replace(switched, "chat\r\n", "chat\r\nA: b\r\nC: d\r\n", 1)+"BYE\n")
	if status := <-done; status != 101 {
		t.Errorf("OnDone saw status %d", status)
	}
}

// Another status, or a panic, takes the upgrade back.
func TestUpgradeTakenBack(t *testing.T) {
	for name, after := range map[string]func(w *Response){
		"Error":  func(w *Response) { w.Error(503) },
		"OnHead": func(w *Response) { w.OnHead(func(w *Response, _ *Request) { w.Error(503) }) },
		"OnPanic": func(w *Response) {
			w.OnPanic(func(w *Response, _ *Request, _ any, _ []byte) { w.Error(503) })
			panic("on purpose")
		},
	} {
		_, addr := start(t, func(w *Response, r *Request) {
			if r.Path() == "/" {
				toLines(w, r)
				after(w)
			}
		})
		p := dial(t, addr)
		p.send("%s", upgradeHead)
		if res, _ := p.answer("GET"); res.StatusCode != 503 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		p.get("/b")
	}
}

// The end of the peer, before the switch and after it, for a protocol that goes on then and for one that does not.
func TestUpgradeHalfClose(t *testing.T) {
	half := to(func() reactor.Protocol { return &halfLines{} })
	for name, c := range map[string]struct {
		h    Handler
		want string
	}{
		"half":              {half, "ONE\nEND rest\n"},
		"half, blocking":    {Blocking(half), "ONE\nEND rest\n"},
		"no half":           {HandlerFunc(toLines), "ONE\n"},
		"no half, blocking": {BlockingFunc(toLines), "ONE\n"},
	} {
		_, addr := start(t, nil, func(s *Server) { s.Handler = c.h })
		for _, later := range []bool{false, true} {
			p := dial(t, addr)
			p.send("%s", upgradeHead+"one\nrest")
			got := ""
			if later {
				b := make([]byte, 512)
				for !strings.Contains(got, "ONE\n") {
					n, err := p.r.Read(b)
					if got += string(b[:n]); err != nil {
						t.Fatal(err)
					}
				}
			}
			p.CloseWrite()
			want(t, fmt.Sprint(name, " later ", later), undated(got+p.rest()), switched+c.want)
		}
	}
}

// The time-outs of HTTP end with the switch. SetTimeout is the protocol's, and aborts one that is no TimeoutHandler.
func TestUpgradeTimeouts(t *testing.T) {
	waits(t)
	reasons := make(chan error, 1)
	s, addr := start(t, to(func() reactor.Protocol {
		return &lines{lost: func(reason error) { reasons <- reason }}
	}), func(s *Server) { s.IdleTimeout, s.ReadHeaderTimeout = 200*time.Millisecond, 200*time.Millisecond })
	p := dial(t, addr)
	p.send("%s", upgradeHead)
	p.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	got, err := io.ReadAll(p.r)
	if !errors.Is(err, errDeadline) {
		t.Fatalf("%v after %q", err, got)
	}
	var c *conn
	s.workers[0].loop.CallFromThread(func() {
		c = s.workers[0].conns.next
		c.t.SetTimeout(time.Millisecond)
	})
	if reason := <-reasons; reason != reactor.ErrTimeout {
		t.Errorf("lost with %v", reason)
	}
	for why, n := range s.CloseCounts() {
		if n != 0 && why != ErrIdleTimeout {
			t.Errorf("%d ended with %v", n, why)
		}
	}
}

// A peer that does not read is ended by SendTimeout; MaxConns and MaxBufferedBytes count as before.
func TestUpgradeBounds(t *testing.T) {
	made := make(chan reactor.Transport, 1)
	reasons := make(chan error, 1)
	s, addr := start(t, to(func() reactor.Protocol {
		return &onMade{lines{lost: func(err error) { reasons <- err }}, made}
	}), func(s *Server) {
		s.SendTimeout, s.MinDataRate, s.MaxConns, s.MaxBufferedBytes = 50*time.Millisecond, -1, 1, 8<<20
		s.MaxPipelinedBytes, s.MaxBodyBytes = 1<<10, 1<<10
	})
	p := dial(t, addr)
	p.send("%s", upgradeHead)
	tr := <-made
	if res, _ := dial(t, addr).answer("GET"); res.StatusCode != 503 {
		t.Errorf("a connection beyond MaxConns: %d", res.StatusCode)
	}
	tr.Reactor().CallFromThread(func() { tr.Write(make([]byte, 4<<20)) })
	if err := <-reasons; !errors.Is(err, reactor.ErrTimeout) {
		t.Errorf("lost with %v", err)
	}
	await(t, "the count", func() bool { return s.doors.open.Load() == 0 && s.ended[ErrSendTimeout].Load() == 1 })

	p = dial(t, addr)
	p.send("%s", upgradeHead)
	tr = <-made
	tr.Reactor().CallFromThread(func() { tr.(Holder).Holds(9 << 20) })
	<-reasons
	await(t, "the count", func() bool { return s.doors.open.Load() == 0 && s.ended[ErrOverloaded].Load() == 1 })
	held := make(chan int)
	tr.Reactor().CallFromThread(func() { tr.(Holder).Holds(5); held <- s.workers[0].held })
	if n := <-held; n != 0 {
		t.Errorf("%d bytes are held for nothing", n)
	}
}

type onMade struct {
	lines
	made chan reactor.Transport
}

func (p *onMade) ConnectionMade(t reactor.Transport) {
	p.lines.ConnectionMade(t)
	p.made <- t
}

// The protocol hands over to another one, and the server still counts.
func TestUpgradeSetProtocol(t *testing.T) {
	made := make(chan reactor.Transport, 1)
	s, addr := start(t, to(func() reactor.Protocol { return &onMade{lines{}, made} }))
	p := dial(t, addr)
	p.send("%s", upgradeHead)
	tr, set := <-made, make(chan bool)
	tr.Reactor().CallFromThread(func() {
		tr.SetProtocol(&halfLines{}, []byte("unread"))
		close(set)
	})
	<-set
	p.CloseWrite()
	wantContains(t, "the answer", p.rest(), "END unread\n")
	await(t, "the count", func() bool { return s.doors.open.Load() == 0 && s.ended[CloseDone].Load() == 1 })
}

// Shutdown ends a protocol that knows nothing of it after a grace, and one that does in its own way.
func TestUpgradeShutdown(t *testing.T) {
	waits(t)
	s, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/polite" {
			to(func() reactor.Protocol { return &politeLines{} })(w, r)
			return
		}
		toLines(w, r)
	})
	plain, polite := dial(t, addr), dial(t, addr)
	plain.send("%s", upgradeHead+"x\n")
	polite.send("%s", strings.Replace(upgradeHead, "/", "/polite", 1))
	for _, p := range []*peer{plain, polite} {
		for line := ""; line != "\r\n"; {
			line, _ = p.r.ReadString('\n')
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	want(t, "the plain one", plain.rest(), "X\n")
	line, _ := polite.r.ReadString('\n')
	want(t, "the polite one", line, "SHUTDOWN\n")
	select {
	case err := <-ended:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	polite.send("quit\n")
	want(t, "the polite one", polite.rest(), "BYE\n")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A connection that a Blocking handler takes is a net.Conn, also after the handler has returned.
func TestHijack(t *testing.T) {
	for _, after := range []bool{false, true} {
		ended := make(chan error, 1)
		s, addr := start(t, nil, func(s *Server) {
			s.Handler = BlockingFunc(func(w *Response, r *Request) {
				conn, unread, err := w.Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				w.WriteString("this goes nowhere")
				serve := func() { ended <- echoConn(conn, unread) }
				if after {
					go serve()
				} else {
					serve()
				}
			})
		})
		p := dial(t, addr)
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nfirst ")
		big := strings.Repeat("0123456789abcdef", 64<<10)
		go func() {
			p.send("%s", big)
			p.CloseWrite()
		}()
		if got := p.rest(); got != "first "+big {
			t.Errorf("%d bytes of %d", len(got), len(big)+6)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		await(t, "the count", func() bool { return s.doors.open.Load() == 0 && s.ended[CloseDone].Load() == 1 })
	}
}

// echoConn gives back what comes, half-closes, and closes.
func echoConn(conn net.Conn, unread []byte) error {
	defer conn.Close()
	if _, err := conn.Write(unread); err != nil {
		return err
	}
	if _, err := io.Copy(conn, conn); err != nil {
		return err
	}
	return conn.(interface{ CloseWrite() error }).CloseWrite()
}

// Deadlines end Read and Write, and a later one lets them go on. Shutdown does not wait.
func TestHijackDeadlines(t *testing.T) {
	waits(t)
	conns := make(chan net.Conn, 1)
	s, addr := start(t, nil, func(s *Server) {
		s.Handler = BlockingFunc(func(w *Response, r *Request) {
			conn, _, err := w.Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conns <- conn
		})
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	conn := <-conns
	conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	conn.SetWriteDeadline(time.Now())
	if _, err := conn.Write([]byte("y")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write after the deadline: %v", err)
	}
	large := make([]byte, 64<<20) // which may take a while
	conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Write(large); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Errorf("Write to a peer that does not read: %d, %v", n, err)
	}
	conn.SetDeadline(time.Time{})
	p.send("x")
	if b := make([]byte, 2); !readsByte(conn, b) {
		t.Error("Read after a new deadline")
	}
	if want := p.LocalAddr().String(); conn.RemoteAddr().String() != want || conn.LocalAddr().String() != addr.String() {
		t.Errorf("addresses %v and %v", conn.RemoteAddr(), conn.LocalAddr())
	}
	reading := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		reading <- err
	}()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-reading; err == nil {
		t.Error("Read after the end of the server returned nil")
	}
	conn.Close()
}

func readsByte(conn net.Conn, b []byte) bool {
	n, err := conn.Read(b)
	return n == 1 && err == nil && b[0] == 'x'
}

// A reset ends Read and Write with the reason.
func TestHijackReset(t *testing.T) {
	result := make(chan error, 1)
	_, addr := start(t, nil, func(s *Server) {
		s.Handler = BlockingFunc(func(w *Response, r *Request) {
			conn, _, err := w.Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.Write([]byte("hijacked"))
			_, err = conn.Read(make([]byte, 1))
			result <- err
		})
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	p.r.Peek(1)
	p.SetLinger(0)
	p.Close()
	if err := <-result; !errors.Is(err, ErrPeerReset) {
		t.Errorf("Read: %v", err)
	}
}

// AwaitPeer is for Blocking handlers that have upgraded their connection: it panics elsewhere.
func TestAwaitPeerPanics(t *testing.T) {
	panicked := make(chan any, 1)
	awaits := HandlerFunc(func(w *Response, r *Request) {
		defer func() { panicked <- recover() }()
		w.AwaitPeer(func() { t.Error("it waits") })
	})
	for name, h := range map[string]Handler{"on the loop": AtHead(awaits), "Blocking": Blocking(awaits)} {
		_, addr := start(t, nil, func(s *Server) { s.Handler = h })
		dial(t, addr).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if v := <-panicked; v == nil {
			t.Errorf("%s: no panic", name)
		}
	}
}
