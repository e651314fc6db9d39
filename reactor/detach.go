package reactor

// Giving a connection away: to another protocol, or with its descriptor to somebody outside of the loop.

import "net"

func (t *transport) SetProtocol(p Protocol) {
	if t.flags&gone == 0 {
		if t.flags&produced != 0 {
			t.rare().producer = t.producer() // it stays, though it may be the protocol that was
		}
		t.proto = p
		p.ConnectionMade(t)
	}
}

func (t *transport) Detach() (fd int, unsent []byte, err error) {
	switch {
	case t.flags&(losing|loseLater|dead) != 0:
		return -1, nil, net.ErrClosed
	case t.cold != nil && len(t.cold.files) > 0:
		return -1, nil, ErrFilesQueued
	}
	r := t.r
	if t.out != nil {
		unsent = append(unsent, t.out.B[t.sent:]...)
	}
	if r.out.owner == t {
		unsent = append(unsent, r.out.buf...)
		r.out.buf = r.out.buf[:0]
	}
	t.release()
	fd = int(t.fd)
	_ = r.fds.set(fd, nil, nil) // watching nothing does not fail
	r.fds.expel(t)
	t.fd = -1
	r.ended.add(ending{t, ErrDetached})
	return fd, unsent, nil
}
