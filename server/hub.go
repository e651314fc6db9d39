package server

import (
	"sync/atomic"

	"microhttp/reactor"
	"microhttp/server/internal/fanout"
)

// A Hub sends events to many subscribers. Each event is encoded once; its bytes are shared by all queues that hold it. How the
// loops come by it is in package fanout. No subscriber has a goroutine.

// hubBound is the default of MaxEvents and MaxBytes.
var hubBound = fanout.Bound{Messages: 64, Bytes: 64 << 10}

// hubGathered is how many times the queue of one subscriber may wait for a loop that is busy.
const hubGathered = 16

// Hub publishes server-sent events to its subscribers, on any number of loops. The zero value is ready. It must not be copied,
// and its fields must not be changed once it is in use.
type Hub struct {
	// MaxEvents and MaxBytes bound the queue of a subscriber that does not keep up: events that wait beside the unsent
	// output of its connection (Server.MaxUnsentBytes). Beyond either, the oldest events are dropped, but never the newest.
	// Defaults 64 and 64 KiB.
	MaxEvents int
	MaxBytes  int
	// EndSlow ends a subscriber whose queue is full, in place of dropping events. The client then connects again, and says
	// by Last-Event-ID what it has seen.
	EndSlow bool

	fan     fanout.Fan[*subscriber, []byte]
	dropped atomic.Uint64
	slow    atomic.Uint64
}

// subscriber is one Events of a Hub. Loop only.
type subscriber struct {
	hub    *Hub // nil when it has left
	events *Events
	queue  fanout.Queue[[]byte]
}

func (h *Hub) bound() fanout.Bound {
	return fanout.Bound{Messages: h.MaxEvents, Bytes: h.MaxBytes}.Or(hubBound)
}

// Subscribe has e get what is published from now on. The subscription ends when the peer ends, at once; with [Events.Close];
// and, with the answer, when the server shuts down. It takes OnDrain, OnPeerEnd and OnShutdown of the stream for that. What
// the handler sends by e before Subscribe comes first.
//
// Subscribe is for a handler on the loop, and panics in a Blocking handler and for an Events that is subscribed already.
func (h *Hub) Subscribe(e *Events) {
	s := e.s
	if _, onLoop := s.sink.(*loopSink); !onLoop {
		panic("server: Hub.Subscribe in a Blocking handler: subscribe on the loop")
	}
	if e.sub != nil {
		panic("server: an Events is subscribed twice")
	}
	if s.closed {
		return
	}
	m := &subscriber{hub: h, events: e}
	h.fan.Join(m.loop(), m)
	e.sub = m
	s.OnDrain(m.drain)
	s.OnPeerEnd(m.end)
	s.OnShutdown(m.end)
}

// Publish sends an event to all subscribers, from any goroutine. It does not block, and does not wait for them. Events of one
// goroutine arrive in order. The error is [ErrEvent].
func (h *Hub) Publish(ev Event) error {
	b, err := appendEvent(nil, &ev)
	if err == nil {
		h.publish(b)
	}
	return err
}

// Comment sends a comment to all subscribers, from any goroutine: see [Events.Comment].
func (h *Hub) Comment(text string) { h.publish(appendComment(nil, text)) }

func (h *Hub) publish(b []byte) {
	h.dropped.Add(uint64(h.fan.Publish(b, len(b), h.bound().Times(hubGathered))))
}

// Subscribers returns how many there are, from any goroutine.
func (h *Hub) Subscribers() int { return h.fan.Len() }

// Dropped returns how many events were dropped for subscribers that did not keep up, from any goroutine. An event that is
// dropped for two subscribers counts twice; one that a busy loop never delivered counts once.
func (h *Hub) Dropped() uint64 { return h.dropped.Load() }

// EndedSlow returns how many subscribers EndSlow has ended, from any goroutine.
func (h *Hub) EndedSlow() uint64 { return h.slow.Load() }

// Take implements fanout.Receiver: it sends p, or queues it when the peer does not keep up.
func (m *subscriber) Take(p []byte) {
	if m.queue.Len() == 0 && !m.events.s.Full() {
		m.send(p)
		return
	}
	h, b := m.hub, m.hub.bound()
	if h.EndSlow && m.queue.Full(len(p), b) {
		h.slow.Add(1)
		m.end()
		return
	}
	h.dropped.Add(uint64(m.queue.Add(p, len(p), b)))
}

func (m *subscriber) send(p []byte) {
	if m.events.give(p) != nil {
		m.leave() // the answer is over
	}
}

// drain sends what waits, when the peer keeps up again.
func (m *subscriber) drain() {
	for m.queue.Len() > 0 && !m.events.s.Full() {
		m.send(m.queue.Shift())
	}
}

// end ends the answer, with the subscription.
func (m *subscriber) end() { _ = m.events.Close() }

func (m *subscriber) leave() {
	if h := m.hub; h != nil {
		m.hub, m.queue = nil, fanout.Queue[[]byte]{}
		h.fan.Leave(m.loop(), m)
	}
}

func (m *subscriber) loop() *reactor.Reactor { return m.events.s.x.req.conn.w.loop }
