package middleware_test

// What the tests share: a server on a free port, a connection that counts its own bytes,
// and a log that can be waited for.

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"microhttp/server"

	"github.com/rs/zerolog"
)

// patience bounds every wait of a test; it is only used up by one that fails.
const patience = 10 * time.Second

// start serves h on one loop until stop is called, which waits for all of it to end.
func start(h server.Handler) (addr string, stop func()) {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h, Log: silence}
	at, err := s.Listen()
	if err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run() // ErrServerClosed, or the requests fail
	}()
	return at.String(), func() {
		_ = s.Close()
		<-ended
	}
}

// serve is start for a test, and returns a connection to the server.
func serve(t *testing.T, h server.Handler) net.Conn {
	t.Helper()
	addr, stop := start(h)
	t.Cleanup(stop)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask sends a request head made of the lines and returns the answer with its body read.
func ask(t *testing.T, c net.Conn, lines ...string) (*http.Response, string) {
	t.Helper()
	send(t, c, lines...)
	method, _, _ := strings.Cut(lines[0], " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return res, string(body)
}

func send(t *testing.T, c net.Conn, lines ...string) {
	t.Helper()
	head := strings.Join(append(lines, "Host: test", "", ""), "\r\n")
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
}

// silence is a log that writes nothing.
var silence = server.Zerolog(zerolog.Nop())

// lines is a log that hands on each line.
type lines chan map[string]any

func newLog() (lines, *server.Log) {
	l := make(lines, 16)
	log := server.Zerolog(zerolog.New(l))
	return l, log
}

func (l lines) Write(p []byte) (int, error) {
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		line = map[string]any{"not JSON": string(p)}
	}
	l <- line
	return len(p), nil
}

func (l lines) next(t *testing.T) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case line := <-l:
		return line
	case <-ctx.Done():
		t.Fatal("no log line")
		return nil
	}
}

// none checks that nothing was logged so far.
func (l lines) none(t *testing.T) {
	t.Helper()
	select {
	case line := <-l:
		t.Errorf("logged: %v", line)
	default:
	}
}

// handler makes a Handler of a function that only writes.
func handler(f func(w *server.Response, r *server.Request)) server.Handler {
	return server.HandlerFunc(f)
}
