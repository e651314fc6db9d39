package nethttp_test

// Handlers of From that wait take nothing from other handlers.

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"

	"github.com/rs/zerolog"
)

// polls is how many long polls TestFromPolls holds open: 2,000, or as many as this process may have descriptors for.
func polls(t *testing.T) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(2000, (limit.Cur-100)/2))
}

// TestFromPolls holds that 2,000 long polls leave all places to Blocking handlers, that each poll is answered when it is
// its time, and that those which are left end with the server.
func TestFromPolls(t *testing.T) {
	leavesNothing(t)
	const early = 20
	n := polls(t)
	var waiting, cancelled atomic.Int64
	news := make(chan struct{})
	wait := func(w http.ResponseWriter, r *http.Request) {
		news := news
		if r.URL.Path != "/poll/early" {
			news = nil
		}
		waiting.Add(1)
		select {
		case <-news:
			io.WriteString(w, "news")
		case <-r.Context().Done():
			cancelled.Add(1)
		}
	}
	routes := router.New()
	routes.Handle("/poll/{when}", nethttp.From(http.HandlerFunc(wait)))
	routes.Handle("/work", server.BlockingFunc(func(w *server.Response, _ *server.Request) { w.WriteString("worked") }))
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Handler: routes, MaxBlocking: 8, Log: nop}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()

	conns := make([]net.Conn, n)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", addr.String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		conns[i].SetDeadline(time.Now().Add(patience))
		when := "late"
		if i < early {
			when = "early"
		}
		io.WriteString(conns[i], "GET /poll/"+when+" HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	await(t, "all polls to wait", func() bool { return waiting.Load() == int64(n) })
	before := time.Now()
	if got := fetch(t, addr.String(), "/work"); got.body != "worked" {
		t.Errorf("a Blocking handler: %s", got)
	}
	if took := time.Since(before); took > time.Second {
		t.Errorf("it took %v", took)
	}
	close(news)
	for _, c := range conns[:early] {
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != "news" {
			t.Errorf("a poll: %q, %v", body, err)
		}
	}

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		t.Errorf("Run: %v", err)
	}
	if got := cancelled.Load(); got != int64(n-early) {
		t.Errorf("%d polls were cancelled, want %d", got, n-early)
	}
}
