package server

import (
	"testing"
	"time"
)

// Which time runs while a body arrives. The times for a body run only while it is asked for and reading is not paused.
// PendingTimeout counts from the end of the body.
func TestTimesOfBodies(t *testing.T) {
	const body, pending, grace = 7 * time.Second, 11 * time.Second, 3 * time.Second
	const half, rest = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", "cd"
	onBody := func(_ *Response, r *Request) { r.OnBody(func([]byte, error) {}) }
	var request *Request
	leaf := HandlerFunc(func(w *Response, r *Request) { w.Later() })
	for name, c := range map[string]struct {
		h         Handler
		rate      int           // MinDataRate; negative is none
		then      func(p *conn) // after half of the body
		half, end time.Duration // what runs then, and when the body has come whole
	}{
		"buffered":                             {h: leaf, rate: -1, half: body, end: pending},
		"buffered, with a data rate":           {h: leaf, rate: 1 << 30, half: grace, end: pending},
		"buffered, and the peer does not read": {h: leaf, rate: 1 << 30, then: (*conn).PauseProducing, half: 0, end: 0},
		"not asked for": {
			h: StreamingFunc(func(w *Response, r *Request) { w.Later() }), rate: 1 << 30, half: pending, end: pending,
		},
		"not asked for, under a stream": {
			h: StreamingFunc(func(w *Response, r *Request) { w.Stream() }), rate: 1 << 30, half: pending, end: pending,
		},
		"streamed":                   {h: StreamingFunc(onBody), rate: -1, half: 0, end: -1},
		"streamed, with a data rate": {h: StreamingFunc(onBody), rate: 1 << 30, half: grace, end: -1},
		"streamed for a Pending": {
			h: StreamingFunc(func(w *Response, r *Request) { onBody(w, r); w.Later() }), rate: 1 << 30,
			half: grace, end: pending,
		},
		"streamed, and paused": {
			h: StreamingFunc(func(w *Response, r *Request) { onBody(w, r); request = r }), rate: 1 << 30,
			then: func(c *conn) { request.PauseBody(); c.settle() }, half: pending, end: pending,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, m := inMemory(t, nil, func(s *Server) {
				s.Handler, s.BodyTimeout, s.PendingTimeout, s.MinDataRate, s.DataRateGrace = c.h, body, pending, c.rate, grace
			})
			p.DataReceived([]byte(half))
			if c.then != nil {
				c.then(p.(*conn))
			}
			if m.timeout.Round(time.Millisecond) != c.half {
				t.Errorf("with half of the body %v runs, want %v", m.timeout, c.half)
			}
			p.DataReceived([]byte(rest))
			if c.end >= 0 && m.timeout.Round(time.Millisecond) != c.end {
				t.Errorf("with all of the body %v runs, want %v", m.timeout, c.end)
			}
		})
	}
}
