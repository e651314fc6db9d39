package server

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
)

// A body that MaxBodyBytes allows is served on any number of loops. The loops share MaxBufferedBytes, and do not divide it.
func TestDefaultsHoldOnAnyNumberOfLoops(t *testing.T) {
	for _, loops := range []int{1, 28, 64, 256} {
		_, addr := start(t, func(w *Response, r *Request) { fmt.Fprint(w, len(r.PeekBody())) }, func(s *Server) { s.Loops = loops })
		p := dial(t, addr)
		const most = 8 << 20
		p.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", most)
		half := strings.Repeat("x", most/2)
		p.send("%s", half)
		p.send("%s", half)
		if res, body := p.answer("POST"); res.StatusCode != 200 || body != fmt.Sprint(most) {
			t.Errorf("%d loops: status %d, %q", loops, res.StatusCode, body)
		}
	}
}

// What all loops hold together counts: a loop within its share ends nothing, and one above it only when the sum is too much.
func TestLoopsShareABound(t *testing.T) {
	s := &Server{MaxBufferedBytes: 1 << 20, Loops: 4}
	s.init()
	var all []*worker
	for range 4 {
		w := &worker{srv: s}
		all = append(all, w)
	}
	s.counted.Store(&all)
	for _, c := range []struct {
		held   [4]int
		excess int
	}{
		{[4]int{0, 0, 0, 0}, 0},
		{[4]int{1 << 20, 0, 0, 0}, 0},
		{[4]int{1<<20 + 100_000, 0, 0, 0}, 100_000},
		{[4]int{800_000, 200_000, 100_000, 0}, 1_100_000 - 1<<20},
		{[4]int{math.MaxInt / 8, math.MaxInt / 8, 0, 0}, math.MaxInt/8*2 - 1<<20},
	} {
		for i, n := range c.held {
			all[i].publish(n)
		}
		if got := s.excess(); got != c.excess {
			t.Errorf("%v: %d too much, want %d", c.held, got, c.excess)
		}
	}
}

func TestListenRefusesLimitsThatContradict(t *testing.T) {
	for name, s := range map[string]*Server{
		"MaxBodyBytes":      {MaxBodyBytes: 2 << 20, MaxBufferedBytes: 1 << 20},
		"MaxHeaderBytes":    {MaxHeaderBytes: 2 << 20, MaxBufferedBytes: 1 << 20},
		"MaxPipelinedBytes": {MaxPipelinedBytes: 2 << 20, MaxBufferedBytes: 1 << 20},
		"MaxUnsentBytes":    {MaxUnsentBytes: 2 << 20, MaxBufferedBytes: 1 << 20},
		"MaxTargetBytes":    {MaxTargetBytes: 2000, MaxHeaderBytes: 1000},
		"MaxConnsPerAddr":   {MaxConnsPerAddr: 11, MaxConns: 10},
		"":                  {MaxBodyBytes: 1 << 20, MaxBufferedBytes: 1 << 20},
	} {
		s.Addr, s.Loops = "127.0.0.1:0", runtime.NumCPU()
		_, err := s.Listen()
		contradiction, ok := errors.AsType[*LimitError](err)
		if name == "" {
			if err != nil {
				t.Errorf("limits that agree: %v", err)
			}
		} else if !ok || contradiction.Name != name || !strings.Contains(err.Error(), contradiction.Bound) {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}
