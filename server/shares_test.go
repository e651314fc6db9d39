package server

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// keepAsking sends one request after the other until the test ends.
func keepAsking(t *testing.T, p *peer, target string) {
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
			}
			if _, err := p.TCPConn.Write([]byte("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
				return
			}
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = p.r.ReadString('\n'); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() { close(over); p.Close(); <-ended })
}

// A handler that takes its loop's time in calls of milliseconds is warned of once, by its route, though no call is a stall.
// RouteShares tells what each route takes.
func TestRouteShares(t *testing.T) {
	waits(t)
	for _, tc := range []struct {
		name, pattern, called string
	}{
		{"a route", "GET /slow", "GET /slow"},
		{"a handler without a router", "", "the handler"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log syncBuffer
			logger := Zerolog(zerolog.New(&log))
			s, addr := start(t, func(w *Response, r *Request) {
				if tc.pattern != "" {
					r.SetMatch(tc.pattern, nil, nil) // as a router does
				}
				if r.Path() == "/slow" {
					time.Sleep(5 * time.Millisecond)
				} else if tc.pattern != "" {
					r.SetMatch("GET /fast", nil, nil)
				}
			}, func(s *Server) { s.Log, s.StallLimit = logger, 10*time.Second }) // no line but of shares
			for range 2 {
				keepAsking(t, dial(t, addr), "/slow")
			}
			if tc.pattern != "" {
				keepAsking(t, dial(t, addr), "/fast")
			}
			await(t, "the warning", func() bool { return log.String() != "" })
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			want := regexp.MustCompile(`^{"level":"warn","route":"` + tc.called + `","loop":0,"held":[\d.]+,"call":[\d.]+,"message":"` +
				tc.called + ` held loop 0 for \d+ ms of the last second, [\d.]+ ms a call; wrap it in server.Blocking"}$`)
			if len(lines) != 1 || !want.MatchString(lines[0]) {
				t.Errorf("the log is\n%s", log.String())
			}
			shares := s.RouteShares()
			slow := slices.IndexFunc(shares, func(r RouteShare) bool { return r.Route == tc.pattern })
			if slow != 0 || shares[0].Loop != 0 || shares[0].Held < 100*time.Millisecond || shares[0].Total < shares[0].Held/2 || shares[0].Calls == 0 {
				t.Errorf("the shares are %+v", shares)
			}
		})
	}
}

// Before Listen, and with nothing to watch for, there is nothing.
func TestNoRouteShares(t *testing.T) {
	if all := (&Server{}).RouteShares(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	s, addr := start(t, func(w *Response, _ *Request) { w.WriteString("x") }, func(s *Server) { s.StallLimit = -1 })
	dial(t, addr).get("/")
	if all := s.RouteShares(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// A route is warned of at most once a minute, and what is long ago is forgotten.
func TestShareWarningsAreBounded(t *testing.T) {
	var s shareWarnings
	now := time.Now()
	for _, tc := range []struct {
		after time.Duration
		route string
		want  bool
	}{
		{0, "a", true},
		{0, "b", true},
		{warnEvery - 1, "a", false},
		{warnEvery, "a", true},
		{warnEvery, "a", false},
		{3 * warnEvery, "c", true},
	} {
		if got := s.allow(tc.route, now.Add(tc.after)); got != tc.want {
			t.Errorf("%s after %v: %v", tc.route, tc.after, got)
		}
	}
	if len(s.last) != 1 {
		t.Errorf("%d routes are kept", len(s.last))
	}
}

// The warning is for people.
func TestShareText(t *testing.T) {
	for _, tc := range []struct {
		held, call time.Duration
		want       string
	}{
		{640 * time.Millisecond, 20 * time.Millisecond, "GET /notes held loop 3 for 640 ms of the last second, 20 ms a call; wrap it in server.Blocking"},
		{time.Second, 2123456, "GET /notes held loop 3 for 1000 ms of the last second, 2.1 ms a call; wrap it in server.Blocking"},
	} {
		e := &reactor.ShareError{LoopShare: reactor.LoopShare{Work: "GET /notes", Held: tc.held}, Call: tc.call}
		if got := shareText(e, 3); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
