package tlslayer

// The connection that crypto/tls believes to have: memory on both sides, and no clock. Three rules
// of crypto/tls decide its shape:
//
//   - A read error whose Temporary method returns true is handed on and not remembered. So "no more
//     bytes for now" is such an error, and the next Read goes on where this one stopped.
//   - A read must never return bytes together with an error: crypto/tls would lose the bytes or the
//     error.
//   - A write error is remembered for ever. So Write never fails; it appends.

import (
	"io"
	"net"
	"net/netip"
	"time"
)

// memory is the net.Conn under a tls.Conn.
type memory struct {
	in    []byte // ciphertext to be read; lent by the caller of the engine
	out   []byte // ciphertext that was written
	lent  []byte // what crypto/tls gathers a flight of the handshake in, if that is ours (lend.go)
	peer  netip.AddrPort
	local netip.AddrPort

	// wait suspends the handshake until there is more input. It returns where to read to, in place of
	// p, or nil when the handshake is given up. It is nil after the handshake.
	wait func(p []byte) (into []byte)

	eof   bool // the transport below has ended
	asked bool // and crypto/tls has been told so
	wrote bool // crypto/tls has written something
}

// wouldBlock is the error of a read that has no bytes yet.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlslayer: no more bytes yet" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// errWouldBlock is a package variable, so that it costs nothing to return.
var errWouldBlock net.Error = wouldBlock{}

// Read implements net.Conn.
func (m *memory) Read(p []byte) (int, error) {
	for len(m.in) == 0 {
		switch {
		case m.eof:
			m.asked = true
			return 0, io.EOF
		case m.wait == nil:
			return 0, errWouldBlock
		}
		if p = m.wait(p); p == nil {
			return 0, errAbandoned
		}
	}
	n := copy(p, m.in)
	m.in = m.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (m *memory) Write(p []byte) (int, error) {
	m.wrote = true
	if m.out == nil && m.lent != nil && len(p) > 0 && &p[0] == &m.lent[:1][0] {
		m.out, m.lent = p, nil // crypto/tls forgets it now
		return len(p), nil
	}
	m.out = append(m.out, p...)
	return len(p), nil
}

// Close implements net.Conn. The layer ends the transport itself.
func (m *memory) Close() error { return nil }

// LocalAddr implements net.Conn.
func (m *memory) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(m.local) }

// RemoteAddr implements net.Conn.
func (m *memory) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(m.peer) }

// SetDeadline implements net.Conn. Time is the layer's matter.
func (m *memory) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (m *memory) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (m *memory) SetWriteDeadline(time.Time) error { return nil }
