package websocket

import (
	"bytes"
	"sync"

	"microhttp/reactor"
)

// Prepared is a message for many connections: it is encoded once, and compressed once for those that have agreed on it. It
// may be sent by any goroutine.
type Prepared struct {
	op    opcode
	p     []byte
	plain []byte

	once       sync.Once
	compressed []byte
}

// Prepare makes a message of a copy of p.
func Prepare(kind Kind, p []byte) *Prepared {
	m := &Prepared{op: opcode(kind), p: bytes.Clone(p)}
	m.plain = append(appendHead(nil, m.op, false, len(p)), p...)
	return m
}

func (m *Prepared) squeezed() []byte {
	m.once.Do(func() {
		b := deflate(nil, m.p, 15)
		m.compressed = append(appendHead(nil, m.op, true, len(b)), b...)
	})
	return m.compressed
}

// Send sends a prepared message. A peer that does not keep up may fall behind by Handler.MaxBehind and MaxBehindMessages,
// and is then closed with 1013. Send reports false when the connection is closed or closing.
func (c *Conn) Send(m *Prepared) bool {
	if c.state != open || c.t == nil {
		return false
	}
	b := m.plain
	if c.agreed.on && !c.agreed.serverTakes && c.agreed.serverWindow == 15 && len(m.p) > 0 {
		b = m.squeezed()
	}
	if c.full {
		c.behind += len(b)
		c.unread++
		if c.behind > orDefault(c.h.MaxBehind, 64<<10) || c.unread > orDefault(c.h.MaxBehindMessages, 64) {
			c.Close(CloseTryLater, "too far behind")
			return false
		}
	}
	if len(b) < 16<<10 {
		c.t.Write(b)
	} else {
		c.t.Send(reactor.Given(b))
	}
	return true
}

// Hub sends messages to all connections that are in it, on whatever loops they live. The zero value is empty. Join and
// Leave are for the loop of the connection; Broadcast is for any goroutine.
type Hub struct {
	mu    sync.Mutex
	loops map[*reactor.Reactor]map[*Conn]struct{}
}

// Join adds a connection that is open.
func (h *Hub) Join(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loops == nil {
		h.loops = make(map[*reactor.Reactor]map[*Conn]struct{})
	}
	loop := c.Reactor()
	if h.loops[loop] == nil {
		h.loops[loop] = make(map[*Conn]struct{})
	}
	h.loops[loop][c] = struct{}{}
}

// Leave removes a connection. Call it in OnClose.
func (h *Hub) Leave(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	loop := c.Reactor()
	delete(h.loops[loop], c)
	if len(h.loops[loop]) == 0 {
		delete(h.loops, loop)
	}
}

// Len returns how many connections are in it.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, conns := range h.loops {
		n += len(conns)
	}
	return n
}

// Broadcast sends a message to all, by one call to each loop. Messages of one goroutine arrive in order.
func (h *Hub) Broadcast(m *Prepared) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for loop := range h.loops {
		loop.CallFromThread(func() {
			h.mu.Lock()
			conns := make([]*Conn, 0, len(h.loops[loop]))
			for c := range h.loops[loop] {
				conns = append(conns, c)
			}
			h.mu.Unlock()
			for _, c := range conns {
				c.Send(m)
			}
		})
	}
}
