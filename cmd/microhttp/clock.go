package main

import (
	"sync"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// clock is GET /clock: the time, at once and each second. One timer serves all clients of all loops; it runs while there
// are any.
type clock struct {
	hub server.Hub

	mu    sync.Mutex
	timer *reactor.LoopingCall
}

func (c *clock) serve(w *server.Response, r *server.Request) {
	e := w.Events()
	if e.Send(now()) != nil { // HEAD, or the peer is gone
		return
	}
	c.hub.Subscribe(e)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		c.timer = r.Reactor().CallEvery(time.Second, c.tick)
	}
}

// tick runs on the loop of the client that came first.
func (c *clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hub.Subscribers() == 0 {
		c.timer.Stop()
		c.timer = nil
		return
	}
	_ = c.hub.Publish(now()) // its text has no line ends
}

func now() server.Event { return server.Event{Data: time.Now().UTC().Format(time.RFC3339)} }
