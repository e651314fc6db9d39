package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"

	"github.com/rs/zerolog"
)

// startBlocking serves f with a WebSocket that is accepted, and returns a channel of what f returns.
func startBlocking(t *testing.T, h *websocket.Handler, f func(c *websocket.BlockingConn) error) (*server.Server, string, chan error) {
	t.Helper()
	ended := make(chan error, 9)
	s, addr := start(t, server.BlockingFunc(func(w *server.Response, r *server.Request) {
		c, err := h.Accept(w, r)
		if err == nil {
			err = f(c)
		}
		ended <- err
	}))
	return s, addr, ended
}

func echoAll(c *websocket.BlockingConn) error {
	for {
		kind, p, err := c.Read(context.Background())
		if err != nil {
			return err
		}
		if err := c.Write(context.Background(), kind, p); err != nil {
			return err
		}
	}
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	if how, ok := errors.AsType[*websocket.CloseError](err); !ok || how.Code != code {
		t.Errorf("%v, want %d", err, code)
	}
}

func within(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("the handler did not return")
		return nil
	}
}

// What the peer sees of the blocking form is what it sees of the other.
func TestBlockingConversations(t *testing.T) {
	_, addr, ended := startBlocking(t, &websocket.Handler{}, echoAll)
	for _, x := range conversations {
		c := open(t, addr, nil)
		_ = c.Write(x.send)
		got, want := transcript(c), x.want
		if i := strings.LastIndex(want, "close 100"); i > 0 && (want[i:] == "close 1002" || want[i:] == "close 1007") {
			got, want = got[max(0, len(got)-len("close 1002")):], want[i:] // a failure does not wait for what the handler would say
		}
		if got != want {
			t.Errorf("%s: %.100q, want %.100q", x.name, got, want)
		}
		c.Conn().Close()
		if err := within(t, ended); err == nil {
			t.Errorf("%s: no error", x.name)
		}
	}
}

// Messages come whole, in both directions, with every kind of compression.
func TestBlockingEcho(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		_, addr, ended := startBlocking(t, &websocket.Handler{ContextTakeover: takeover, Subprotocols: []string{"x"}}, echoAll)
		for _, compression := range []bool{false, true} {
			c := open(t, addr, &websockettest.Options{Compression: compression, Subprotocols: []string{"x"}})
			for i, m := range []string{"hello", "", "hello", long, strings.Repeat("y", 1<<20), "hello"} {
				if err := c.WriteMessage(websocket.Text, []byte(m)); err != nil {
					t.Fatal(err)
				}
				if kind, p, err := c.ReadMessage(); kind != websocket.Text || string(p) != m || err != nil {
					t.Fatalf("message %d: %v %.20q, %v", i, kind, p, err)
				}
			}
			if how, err := c.Close(3001, "bye"); how.Code != 3001 || err != nil {
				t.Errorf("%v, %v", how, err)
			}
			wantCode(t, within(t, ended), 3001)
		}
	}
}

// The handler closes, and knows whether the peer has agreed.
func TestBlockingClose(t *testing.T) {
	_, addr, ended := startBlocking(t, &websocket.Handler{CloseTimeout: 30 * time.Millisecond}, func(c *websocket.BlockingConn) error {
		if err := c.Write(context.Background(), websocket.Text, []byte("last")); err != nil {
			return err
		}
		err := c.Close(4000, "done")
		if e := c.Write(context.Background(), websocket.Text, []byte("too late")); e == nil {
			return errors.New("Write after Close")
		}
		if _, _, e := c.Read(context.Background()); e == nil {
			return errors.New("Read after Close")
		}
		return err
	})
	for _, answers := range []bool{true, false} {
		c := open(t, addr, nil)
		if f, err := c.ReadFrame(); string(f.Payload) != "last" || err != nil {
			t.Fatalf("%v, %v", f, err)
		}
		if f, err := c.ReadFrame(); string(f.Payload) != code(4000, "done") || err != nil {
			t.Fatalf("%v, %v", f, err)
		}
		if answers {
			_ = c.WriteFrame(masked(0x88, code(4000, "")))
		}
		err := within(t, ended)
		if answers && err != nil {
			t.Error(err)
		}
		if !answers {
			wantCode(t, err, websocket.CloseAbnormal)
		}
		c.Conn().Close()
	}
}

// A handler that returns or panics does not leave the connection open.
func TestBlockingReturns(t *testing.T) {
	for want, f := range map[string]func(c *websocket.BlockingConn) error{
		"close 1000": func(c *websocket.BlockingConn) error { return nil },
		"close 1011": func(c *websocket.BlockingConn) error { panic("of the test") },
		"81:a close 1000": func(c *websocket.BlockingConn) error {
			return c.Write(context.Background(), websocket.Text, []byte("a"))
		},
	} {
		_, addr, _ := startBlocking(t, &websocket.Handler{}, f)
		c := open(t, addr, nil)
		f, err := c.PeekFrame()
		if err != nil {
			t.Fatal(f, err)
		}
		_ = c.WriteFrame(masked(0x88, ""))
		if got := transcript(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The end of a context ends the wait, and costs no message.
func TestBlockingContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, addr, ended := startBlocking(t, &websocket.Handler{}, func(c *websocket.BlockingConn) error {
		short, stop := context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer stop()
		if _, _, err := c.Read(short); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("Read by a deadline: %w", err)
		}
		if err := c.Write(short, websocket.Text, nil); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("Write after a deadline: %w", err)
		}
		if err := c.Write(context.Background(), websocket.Text, []byte("go")); err != nil {
			return err
		}
		if _, p, err := c.Read(context.Background()); string(p) != "one" || err != nil {
			return fmt.Errorf("%q, %w", p, err)
		}
		for { // until the peer, which does not read, takes no more
			if err := c.Write(ctx, websocket.Binary, make([]byte, 32<<10)); err != nil {
				return err
			}
		}
	})
	c := open(t, addr, nil)
	_ = c.Conn().(*net.TCPConn).SetReadBuffer(4 << 10)
	if f, err := c.ReadFrame(); string(f.Payload) != "go" || err != nil {
		t.Fatalf("%v, %v", f, err)
	}
	_ = c.WriteFrame(masked(0x81, "one"))
	select {
	case err := <-ended:
		t.Fatalf("Write did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := within(t, ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A handler that does not read slows its peer, and loses nothing.
func TestBlockingBackPressure(t *testing.T) {
	release := make(chan struct{})
	_, addr, ended := startBlocking(t, &websocket.Handler{}, func(c *websocket.BlockingConn) error {
		<-release
		return echoAll(c)
	})
	c := open(t, addr, nil)
	const n, size = 200, 64 << 10
	message := sent(masked(0x82, strings.Repeat("z", size)))
	sending := make(chan int)
	go func() {
		done := 0
		for range n {
			_ = c.Conn().SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			m, err := c.Conn().Write(message)
			if done += m; err != nil {
				break
			}
		}
		sending <- done
	}()
	if done := <-sending; done == n*len(message) {
		t.Error("all was taken from a peer whose messages nothing reads")
	}
	c.Conn().Close()
	close(release)
	wantCode(t, within(t, ended), websocket.CloseAbnormal)
}

// Many goroutines write at once, while one reads.
func TestBlockingWriters(t *testing.T) {
	const writers, each = 8, 50
	_, addr, ended := startBlocking(t, &websocket.Handler{ContextTakeover: true}, func(c *websocket.BlockingConn) error {
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				for j := range each {
					if err := c.Write(context.Background(), websocket.Text, fmt.Appendf(nil, "%d %d", i, j)); err != nil {
						panic(err)
					}
				}
			})
		}
		all.Wait()
		_, _, err := c.Read(context.Background())
		return err
	})
	c := open(t, addr, &websockettest.Options{Compression: true})
	next := map[int]int{}
	for range writers * each {
		var i, j int
		_, p, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Sscan(string(p), &i, &j)
		if next[i] != j {
			t.Errorf("%q, want number %d", p, next[i])
		}
		next[i]++
	}
	_, _ = c.Close(1000, "")
	wantCode(t, within(t, ended), 1000)
}

// A wait takes no place, a connection has no goroutine but the handler's, and Shutdown ends it with 1001.
func TestBlockingPlaces(t *testing.T) {
	var h websocket.Handler
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Log: nop, MaxBlocking: 1, Handler: server.BlockingFunc(func(w *server.Response, r *server.Request) {
		if c, err := h.Accept(w, r); err == nil {
			_ = echoAll(c)
		}
	})}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	first := open(t, addr.String(), nil)
	before := runtime.NumGoroutine()
	const more = 5
	var clients []*websockettest.Client
	for range more {
		clients = append(clients, open(t, addr.String(), nil))
	}
	for i, c := range append(clients, first, first) {
		if err := c.WriteMessage(websocket.Text, []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.ReadMessage(); string(p) != "hi" || err != nil {
			t.Fatalf("connection %d: %q, %v", i, p, err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > more {
		t.Errorf("%d goroutines for %d connections", n, more)
	}
	shut := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		shut <- s.Shutdown(ctx)
	}()
	for _, c := range append(clients, first) {
		_, _, err := c.ReadMessage()
		wantCode(t, err, websocket.CloseGoingAway)
		if _, err := c.Close(1000, ""); err != nil {
			t.Error(err)
		}
	}
	if err := <-shut; err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		t.Error(err)
	}
}

func TestAcceptRefuses(t *testing.T) {
	_, addr, ended := startBlocking(t, &websocket.Handler{}, echoAll)
	for request, want := range map[string]int{
		instead("13", "8"):                       426,
		without("Sec-WebSocket-Key"):             400,
		without("Connection"):                    400,
		handshake + "Origin: http://b\r\n":       403,
		instead("HTTP/1.1", "HTTP/1.0"):          400,
		instead("GET", "HEAD"):                   405,
		handshake + "Content-Length: 1\r\n\r\nx": 400,
	} {
		_, _, res := ask(t, addr, request+"\r\n", false)
		if res.StatusCode != want {
			t.Errorf("%q: %s", request, res.Status)
		}
		if err := within(t, ended); !errors.Is(err, websocket.ErrRefused) {
			t.Errorf("%q: %v", request, err)
		}
	}
}

func TestAcceptOnTheLoopPanics(t *testing.T) {
	panicked := make(chan any, 1)
	_, addr := start(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		defer func() {
			panicked <- recover()
			w.Reset()
			w.Error(500)
		}()
		_, _ = (&websocket.Handler{}).Accept(w, r)
	}))
	_, _, res := ask(t, addr, handshake+"\r\n", false)
	if v := <-panicked; v == nil || res.StatusCode != 500 {
		t.Errorf("%v, %s", v, res.Status)
	}
	_, _ = io.Copy(io.Discard, res.Body)
}
