package server

import (
	"sync"
	"sync/atomic"

	"microhttp/reactor"
)

// A Hub sends events to many subscribers. Each event is encoded once; its bytes are shared by all queues and outputs that hold
// it. Each loop with subscribers has a list of them, which only the loop touches. Publish posts to each such loop once,
// however many events gather until it comes to deliver them. No subscriber has a goroutine.

const (
	hubEvents = 64       // MaxEvents by default
	hubBytes  = 64 << 10 // MaxBytes by default
	// hubGathered is how many times the queue of one subscriber may wait for a loop that is busy.
	hubGathered = 16
)

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

	mu      sync.Mutex // guards loops and what has gathered for each
	loops   map[*reactor.Reactor]*hubLoop
	members atomic.Int64
	dropped atomic.Uint64
	slow    atomic.Uint64
}

// hubLoop is the part of a Hub that one loop has.
type hubLoop struct {
	hub      *Hub
	loop     *reactor.Reactor
	members  subscriber // head of the ring; loop only, as its length
	count    int
	all      []*subscriber // scratch of flush
	gathered eventQueue    // under hub.mu
	posted   bool          // deliver is on its way; under hub.mu
}

// subscriber is one Events of a Hub. Loop only.
type subscriber struct {
	prev, next *subscriber
	home       *hubLoop
	events     *Events
	queue      eventQueue
}

// eventQueue holds events, encoded, oldest first.
type eventQueue struct {
	events [][]byte
	bytes  int
}

// add appends p, drops the oldest beyond the bounds, and returns how many.
func (q *eventQueue) add(p []byte, most, mostBytes int) (dropped int) {
	q.events = append(q.events, p)
	q.bytes += len(p)
	for len(q.events) > 1 && (len(q.events) > most || q.bytes > mostBytes) {
		q.shift()
		dropped++
	}
	return dropped
}

func (q *eventQueue) shift() []byte {
	p := q.events[0]
	q.events[0] = nil
	q.bytes -= len(p)
	if q.events = q.events[1:]; len(q.events) == 0 {
		q.events = nil
	}
	return p
}

func (h *Hub) bounds() (events, bytes int) {
	events, bytes = h.MaxEvents, h.MaxBytes
	if events <= 0 {
		events = hubEvents
	}
	if bytes <= 0 {
		bytes = hubBytes
	}
	return events, bytes
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
	m := &subscriber{home: h.home(s.x.req.conn.w.loop), events: e}
	m.home.flush() // what was published before is not for e
	e.sub = m
	head := &m.home.members
	m.next, m.prev = head, head.prev
	m.prev.next, head.prev = m, m
	m.home.count++
	h.members.Add(1)
	s.OnDrain(m.drain)
	s.OnPeerEnd(m.end)
	s.OnShutdown(m.end)
}

// home returns the part of loop, which is made for its first subscriber.
func (h *Hub) home(loop *reactor.Reactor) *hubLoop {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.loops[loop]
	if l == nil {
		l = &hubLoop{hub: h, loop: loop}
		l.members.prev, l.members.next = &l.members, &l.members
		if h.loops == nil {
			h.loops = make(map[*reactor.Reactor]*hubLoop)
		}
		h.loops[loop] = l
	}
	return l
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
	most, mostBytes := h.bounds()
	h.mu.Lock()
	defer h.mu.Unlock()
	for loop, l := range h.loops {
		h.dropped.Add(uint64(l.gathered.add(b, hubGathered*most, hubGathered*mostBytes)))
		if !l.posted {
			if l.posted = loop.CallFromThread(l.deliver); !l.posted {
				delete(h.loops, loop) // it has ended
			}
		}
	}
}

// Subscribers returns how many there are, from any goroutine.
func (h *Hub) Subscribers() int { return int(h.members.Load()) }

// Dropped returns how many events were dropped for subscribers that did not keep up, from any goroutine. An event that is
// dropped for two subscribers counts twice; one that a busy loop never delivered counts once.
func (h *Hub) Dropped() uint64 { return h.dropped.Load() }

// EndedSlow returns how many subscribers EndSlow has ended, from any goroutine.
func (h *Hub) EndedSlow() uint64 { return h.slow.Load() }

// deliver is the posted call.
func (l *hubLoop) deliver() {
	l.flush()
	l.tidy()
}

// flush gives the subscribers of a loop what has gathered. A subscriber that leaves may have others leave, so the ring is not
// walked meanwhile.
func (l *hubLoop) flush() {
	l.hub.mu.Lock()
	gathered := l.gathered.events
	l.gathered, l.posted = eventQueue{}, false
	l.hub.mu.Unlock()
	if len(gathered) == 0 {
		return
	}
	all := l.all[:0]
	l.all = nil
	for m := l.members.next; m != &l.members; m = m.next {
		all = append(all, m)
	}
	for _, m := range all {
		for _, p := range gathered {
			m.take(p)
		}
	}
	clear(all)
	l.all = all[:0]
}

// tidy forgets a loop that has no subscribers, so that the Hub does not keep it.
func (l *hubLoop) tidy() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.count == 0 && !l.posted && l.hub.loops[l.loop] == l {
		delete(l.hub.loops, l.loop)
	}
}

// take sends p, or queues it when the peer does not keep up.
func (m *subscriber) take(p []byte) {
	if m.home == nil {
		return // it has left
	}
	if m.queue.events == nil && !m.events.s.Full() {
		m.send(p)
		return
	}
	h := m.home.hub
	most, mostBytes := h.bounds()
	if h.EndSlow && m.queue.events != nil && (len(m.queue.events) >= most || m.queue.bytes+len(p) > mostBytes) {
		h.slow.Add(1)
		m.end()
		return
	}
	h.dropped.Add(uint64(m.queue.add(p, most, mostBytes)))
}

func (m *subscriber) send(p []byte) {
	if m.events.give(p) != nil {
		m.leave() // the answer is over
	}
}

// drain sends what waits, when the peer keeps up again.
func (m *subscriber) drain() {
	for m.home != nil && m.queue.events != nil && !m.events.s.Full() {
		m.send(m.queue.shift())
	}
}

// end ends the answer, with the subscription.
func (m *subscriber) end() { _ = m.events.Close() }

func (m *subscriber) leave() {
	l := m.home
	if l == nil {
		return
	}
	m.prev.next, m.next.prev = m.next, m.prev
	m.prev, m.next, m.home, m.queue = nil, nil, nil, eventQueue{}
	l.count--
	l.hub.members.Add(-1)
}
