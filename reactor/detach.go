package reactor

// Giving a connection away: to another protocol, or with its descriptor to what is outside of the loop.

import (
	"bytes"
	"net"
)

// Detached is what Detach takes off the loop.
type Detached struct {
	// FD is the socket: open, non-blocking, watched by no poller, and the caller's to close.
	FD int

	// Unsent is the output that was accepted and not sent. It must be sent before anything else.
	Unsent []byte

	// Received is what was received and not handed to the protocol. It comes before what is still in the kernel. It is nil
	// unless SetProtocol took bytes along while reading was paused, or the transport is a layer that keeps some.
	Received []byte
}

func (t *transport) SetProtocol(p Protocol, unread []byte) {
	if t.flags&gone != 0 {
		return
	}
	if t.flags&produced != 0 {
		t.rare().producer = t.producer() // it stays, though it may be the protocol that was
	}
	if len(unread) > 0 { // what is kept already, the protocol before has not got: so it is newer
		c := t.rare()
		c.unread = append(bytes.Clone(unread), c.unread...)
		t.flags |= undelivered
	}
	t.proto = p
	p.ConnectionMade(t)
	if t.flags&undelivered != 0 && t.flags&silent == 0 {
		t.handOver()
	}
}

// handOver hands over what SetProtocol took along. It is a callback like that of a read, unless it is inside another one.
func (t *transport) handOver() {
	p := t.cold.unread
	t.dropUnread()
	g := &t.r.out
	outer := g.owner != nil
	if !outer {
		g.owner = t
	}
	t.proto.DataReceived(p)
	if !outer {
		t.push()
		g.owner = nil
	}
}

func (t *transport) dropUnread() {
	t.flags &^= undelivered
	t.cold.unread = nil
}

func (t *transport) Detach() (Detached, error) {
	switch {
	case t.flags&(losing|loseLater|dead) != 0:
		return Detached{FD: -1}, net.ErrClosed
	case t.out != nil && t.out.files > 0:
		return Detached{FD: -1}, ErrFilesQueued
	}
	r := t.r
	d := Detached{FD: int(t.fd)}
	if q := t.out; q != nil {
		for i := q.at; i < len(q.pieces); i++ {
			d.Unsent = append(d.Unsent, q.pieces[i].Bytes()...)
		}
	}
	if r.out.owner == t {
		d.Unsent = append(d.Unsent, r.out.buf...)
		r.out.buf = r.out.buf[:0]
	}
	if t.flags&undelivered != 0 {
		d.Received = t.cold.unread
		t.dropUnread()
	}
	t.release()
	_ = r.fds.set(d.FD, nil, nil) // watching nothing does not fail
	r.fds.expel(t)
	t.fd = -1
	r.ended.add(ending{t, ErrDetached})
	return d, nil
}
