package server

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A handler that holds its loop up is told of while it does, by the name of its route.
func TestStallIsTold(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	_, addr := start(t, func(w *Response, r *Request) {
		r.SetMatch("GET /slow", nil, nil) // as a router does
		await(t, "the warning", func() bool { return log.String() != "" })
	}, func(s *Server) { s.StallLimit, s.Log = 20*time.Millisecond, logger })
	dial(t, addr).get("/slow")
	wantContains(t, "log", log.String(), `"level":"warn"`, `"route":"GET /slow"`, "a loop is held up", "TestStallIsTold")
}

// Blocking handlers that compute on all cores keep the loops from running. That holds nobody up who could be named.
func TestBusyCoresBlameNoRoute(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	burn := BlockingFunc(func(w *Response, _ *Request) {
		for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); {
		}
	})
	_, addr := start(t, func(w *Response, r *Request) {
		if r.Path() == "/burn" {
			r.SetMatch("GET /burn", nil, nil)
			burn.Serve(w, r)
			return
		}
		r.SetMatch("GET /fast", nil, nil)
	}, func(s *Server) { s.StallLimit, s.Log, s.Loops = 50*time.Millisecond, logger, 2 })
	for range 8 * runtime.GOMAXPROCS(0) { // a turn comes after a time that is longer than the limit
		keepAsking(t, dial(t, addr), "/burn")
	}
	fast := dial(t, addr)
	for range 5 {
		fast.get("/fast")
	}
	if got := log.String(); strings.Contains(got, "held") {
		t.Errorf("the log is\n%s", got)
	}
}
