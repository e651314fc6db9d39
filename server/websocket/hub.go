package websocket

import (
	"bytes"
	"sync"
	"sync/atomic"

	"microhttp/reactor"
	"microhttp/server/internal/fanout"
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
		b := deflate(nil, m.p, 15, nil)
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
	if c.agreed.on && c.agreed.serverWindow == 15 && len(m.p) > 0 {
		b = m.squeezed() // which refers to nothing before it
		c.keepContext(m.p)
	}
	if c.full {
		k := c.own()
		k.behind += len(b)
		k.unread++
		if k.behind > orDefault(c.h.MaxBehind, 64<<10) || k.unread > orDefault(c.h.MaxBehindMessages, 64) {
			c.Close(CloseTryLater, "too far behind")
			return false
		}
	}
	if len(b) < 16<<10 {
		c.t.Write(b)
	} else {
		c.t.Send(reactor.Given(b))
	}
	c.sent()
	return true
}

// Hub sends messages to all connections that are in it, on whatever loops they live. The zero value is empty. It must not be
// copied. A connection may be in several. Join and Leave are for the loop of the connection; the others are for any goroutine.
//
// A peer that does not keep up is bounded by Handler.MaxBehind, as in [Conn.Send], and so is what waits for a loop that is busy:
// beyond 1,024 messages or 1 MiB it drops the oldest for all connections of that loop.
type Hub struct {
	fan     fanout.Fan[member, *Prepared]
	dropped atomic.Uint64
}

// hubBound is what may wait for a loop that is busy.
var hubBound = fanout.Bound{Messages: 1 << 10, Bytes: 1 << 20}

// member is a connection in a Hub.
type member struct{ c *Conn }

// Take implements fanout.Receiver.
func (m member) Take(p *Prepared) { m.c.Send(p) }

// Join adds a connection that is open. It gets what is sent from now on.
func (h *Hub) Join(c *Conn) { h.fan.Join(c.Reactor(), member{c}) }

// Leave removes a connection. Call it in OnClose.
func (h *Hub) Leave(c *Conn) { h.fan.Leave(c.Reactor(), member{c}) }

// Len returns how many connections are in it.
func (h *Hub) Len() int { return h.fan.Len() }

// Broadcast sends a message to all. It does not block. Each loop is called once, however many messages gather meanwhile.
// Messages of one goroutine arrive in order.
func (h *Hub) Broadcast(m *Prepared) {
	h.dropped.Add(uint64(h.fan.Publish(m, len(m.plain), hubBound)))
}

// Dropped returns how many messages were dropped for loops that were busy, each counted once for a loop.
func (h *Hub) Dropped() uint64 { return h.dropped.Load() }
