package middleware_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

var quiet = handler(func(w *server.Response, _ *server.Request) { w.WriteString("hello") })

func TestAccessLogSaysWhatWasAskedAndAnswered(t *testing.T) {
	log, logger := newLog()
	h := handler(func(w *server.Response, r *server.Request) {
		r.SetMatch("GET /a/{x}", nil, nil)
		w.SetStatus(404)
		w.WriteString("not here")
	})
	c := serve(t, middleware.RequestID(middleware.AccessLog(middleware.AccessLogConfig{Log: logger})(h)))
	ask(t, c, "GET /a/%22%0b?token=secret HTTP/1.1", "X-Request-Id: r-1", "User-Agent: \"x\" \x80")
	line := log.next(t)
	for key, want := range map[string]any{
		"level": "info", "message": "request", "method": "GET", "path": "/a/%22%0b", "pattern": "GET /a/{x}",
		"status": 404.0, "bytes": 8.0, "remote": c.LocalAddr().String(), "conn": 1.0, "request_id": "r-1",
		"user_agent": "\"x\" \ufffd",
	} {
		if line[key] != want {
			t.Errorf("logged %s: %v, want %v", key, line[key], want)
		}
		delete(line, key)
	}
	if d, ok := line["duration"].(float64); !ok || d < 0 || d > float64(patience/time.Millisecond) {
		t.Errorf("logged duration: %v", line["duration"])
	}
	delete(line, "duration")
	if len(line) > 0 {
		t.Errorf("logged besides: %v", line)
	}
}

func TestAccessLogLeavesOutWhatIsNotThere(t *testing.T) {
	log, logger := newLog()
	c := serve(t, middleware.AccessLog(middleware.AccessLogConfig{Log: logger})(quiet))
	ask(t, c, "HEAD / HTTP/1.1")
	line := log.next(t)
	for _, key := range []string{"request_id", "user_agent", "error"} {
		if v, ok := line[key]; ok {
			t.Errorf("logged %s: %v", key, v)
		}
	}
	if line["bytes"] != 0.0 {
		t.Errorf("a HEAD was answered with %v bytes", line["bytes"])
	}
}

func TestAccessLogCutsOff(t *testing.T) {
	log, logger := newLog()
	c := serve(t, middleware.AccessLog(middleware.AccessLogConfig{Log: logger})(quiet))
	long := strings.Repeat("a", 3000)
	ask(t, c, "GET /"+long+" HTTP/1.1", "User-Agent: "+long)
	line := log.next(t)
	for _, key := range []string{"path", "user_agent"} {
		if got, _ := line[key].(string); len(got) != 1<<10 {
			t.Errorf("%s has %d bytes", key, len(got))
		}
	}
}

// The line comes when the answer is done, however it is made.
func TestAccessLogWaitsForTheAnswer(t *testing.T) {
	for name, h := range map[string]server.Handler{
		"off the loop": server.Blocking(quiet),
		"later": handler(func(w *server.Response, _ *server.Request) {
			p := w.Later()
			go func() {
				_ = p.Answer(func(w *server.Response) { w.WriteString("hello") })
			}()
		}),
		"stream": handler(func(w *server.Response, _ *server.Request) {
			s := w.Stream()
			_, _ = s.WriteString("hel")
			_, _ = s.WriteString("lo")
			_ = s.Close()
		}),
	} {
		t.Run(name, func(t *testing.T) {
			log, logger := newLog()
			c := serve(t, middleware.AccessLog(middleware.AccessLogConfig{Log: logger})(h))
			if _, body := ask(t, c, "GET / HTTP/1.1"); body != "hello" {
				t.Errorf("answered %q", body)
			}
			if line := log.next(t); line["bytes"] != 5.0 || line["error"] != nil {
				t.Errorf("logged %v", line)
			}
			log.none(t)
		})
	}
}

func TestAccessLogSaysWhyAnAnswerIsNotWhole(t *testing.T) {
	log, logger := newLog()
	begun := make(chan struct{})
	c := serve(t, middleware.AccessLog(middleware.AccessLogConfig{Log: logger})(handler(func(w *server.Response, _ *server.Request) {
		w.Later() // and never answer
		close(begun)
	})))
	send(t, c, "GET / HTTP/1.1")
	<-begun
	_ = c.(*net.TCPConn).SetLinger(0) // a reset: what an end of sending is not
	_ = c.Close()
	if line := log.next(t); line["error"] != server.ErrPeerReset.Error() || line["reason"] != "peer-reset" {
		t.Errorf("logged %v", line)
	}
}

func TestAccessLogThatIsOffIsNotThere(t *testing.T) {
	warn := server.Zerolog(zerolog.New(io.Discard).Level(zerolog.WarnLevel))
	next := new(struct{ server.Handler })
	for name, log := range map[string]*server.Log{"warn": warn, "nop": silence} {
		if middleware.AccessLog(middleware.AccessLogConfig{Log: log})(next) != server.Handler(next) {
			t.Errorf("%s: the handler was wrapped", name)
		}
	}
}

func TestAccessLogAllocatesNothing(t *testing.T) {
	written := 0
	log := server.Zerolog(zerolog.New(writerFunc(func(p []byte) (int, error) { written++; return len(p), nil })).
		With().Timestamp().Logger())
	expectNoAllocs(t, middleware.RequestID(middleware.AccessLog(middleware.AccessLogConfig{Log: log})(quiet)))
	if written < 1000 {
		t.Errorf("%d lines were written", written)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// expectNoAllocs asks h a thousand times and expects that nothing allocates.
func expectNoAllocs(t *testing.T, h server.Handler) {
	t.Helper()
	if underRace {
		t.Skip("the race detector allocates")
	}
	c := serve(t, h)
	head := []byte("GET /some/path HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\n\r\n")
	answer := make([]byte, 4<<10)
	round := func() {
		if _, err := c.Write(head); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 5 || string(answer[n-5:n]) != "hello"; {
			m, err := c.Read(answer[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
	if n := testing.AllocsPerRun(1000, round); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// The peer of a Unix socket has no address to log.
func TestAccessLogOfAUnixSocket(t *testing.T) {
	log, logger := newLog()
	path := filepath.Join(t.TempDir(), "x.sock")
	s := &server.Server{Addr: "unix:" + path, Loops: 1, Handler: middleware.AccessLog(middleware.AccessLogConfig{Log: logger})(quiet), Log: silence}
	if _, err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	ask(t, c, "GET / HTTP/1.1")
	if line := log.next(t); line["remote"] != "unix" {
		t.Errorf("logged remote: %v", line["remote"])
	}
	c.Close()
	_ = s.Close()
	<-ended
}
