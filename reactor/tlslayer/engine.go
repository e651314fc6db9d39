package tlslayer

// The engine is TLS without I/O: ciphertext goes in, plaintext and ciphertext come out. It wraps an
// unmodified tls.Conn around memory. Until the handshake is complete only advance may be called,
// and each call may be made on another goroutine; afterwards everything belongs to the loop.
//
// The handshake of crypto/tls blocks until it has read what it needs, and remembers every error. So
// it runs as a coroutine: it is suspended when the memory is empty and resumed when there is more.
// A suspended handshake holds no thread.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"runtime/debug"

	"microhttp/reactor"
)

var (
	// ErrTruncated is the end of a connection whose peer has closed it without the closing alert of
	// TLS (close_notify): an attacker may have cut it off. It wraps reactor.ErrConnectionLost and
	// io.ErrUnexpectedEOF.
	ErrTruncated = fmt.Errorf("%w: the peer has ended without close_notify: %w", reactor.ErrConnectionLost, io.ErrUnexpectedEOF)

	// ErrHandshake is wrapped by every reason that a handshake has failed for.
	ErrHandshake = errors.New("tlslayer: handshake failed")

	errAbandoned = errors.New("tlslayer: the connection ended during the handshake")
)

// Lengths of records (RFC 8446, section 5.2, and RFC 5246, section 6.2.3).
const (
	recordHeader  = 5
	recordPayload = 16 << 10
	recordMost    = recordPayload + 2048 // of ciphertext, in TLS 1.2
)

// engine is the state of one TLS connection.
type engine struct {
	conn *tls.Conn
	mem  memory
	hs   *handshake // nil when the handshake is complete
	more bool       // crypto/tls may have plaintext, or records, that it was not asked for
}

// handshake is the coroutine. It begins with the first step, so a connection that sends nothing has
// none.
type handshake struct {
	next func() (struct{}, bool)
	stop func()
	err  error
	over bool
	into []byte // while it is suspended: where crypto/tls reads to (lend.go)
}

func newEngine(c *tls.Config, client bool, local, peer netip.AddrPort) *engine {
	lookUp.Do(findBuffers)
	e := &engine{}
	e.mem.local, e.mem.peer = local, peer
	if client {
		e.conn = tls.Client(&e.mem, c)
	} else {
		e.conn = tls.Server(&e.mem, c)
	}
	e.hs = &handshake{}
	return e
}

// begin makes the coroutine.
func (e *engine) begin() {
	hs := e.hs
	hs.next, hs.stop = iter.Pull(func(yield func(struct{}) bool) {
		e.mem.wait = func(p []byte) []byte {
			hs.into = p
			goesOn := yield(struct{}{})
			p, hs.into = hs.into, nil
			if !goesOn {
				return nil
			}
			return p
		}
		hs.err = errGoexit
		defer func() {
			hs.over = true
			if v := recover(); v != nil { // a function of the tls.Config has panicked
				hs.err = &reactor.PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		growStack(0)
		hs.err = e.conn.HandshakeContext(context.Background()) // which starts no goroutine
	})
}

// growStack has the stack of its goroutine grow to 16 KiB at once, which a handshake needs. It would
// else grow in three steps, and the last two would copy the frames of half a handshake.
//
//go:noinline
func growStack(at int) byte {
	var frame [9 << 10]byte
	return frame[at]
}

// errGoexit is the error of a handshake in which a function of the tls.Config has called
// runtime.Goexit.
var errGoexit = fmt.Errorf("%w: a function of the tls.Config has ended its goroutine", ErrHandshake)

// advance goes on with the handshake, with p as further input, until it needs more or is over. What
// it does not use of p comes back. What it has written is in mem.out.
func (e *engine) advance(p []byte, eof bool) (rest []byte, over bool, err error) {
	hs := e.hs
	if hs.next == nil {
		e.begin()
	}
	e.mem.in, e.mem.eof = p, eof
	e.lendStep()
	hs.next()
	e.takeBackStep()
	rest, e.mem.in = e.mem.in, nil
	if !hs.over {
		return rest, false, nil
	}
	e.mem.wait = nil
	if hs.err != nil {
		if _, panicked := hs.err.(*reactor.PanicError); panicked {
			if !e.mem.wrote {
				e.mem.out = append(e.mem.out, internalError...)
			}
			return nil, true, hs.err
		}
		return nil, true, fmt.Errorf("%w: %w", ErrHandshake, hs.err)
	}
	e.hs, e.more = nil, true
	return rest, true, nil
}

// internalError is the record of that alert (RFC 8446, section 6.2), as it is before there are keys.
const internalError = "\x15\x03\x03\x00\x02\x02\x50"

// abandon ends a handshake that will not be gone on with.
func (e *engine) abandon() {
	if e.hs != nil && !e.hs.over {
		if e.hs.stop != nil {
			e.hs.stop()
			giveStepBuffer(e.takeBack())
		}
		e.hs.over = true // also if it had not begun
	}
}

// read decrypts p, which must hold whole records, into dst. It returns how much plaintext there is
// and what is left of p; errWouldBlock when p is used up. io.EOF is the peer's close_notify; any
// other error ends the connection.
func (e *engine) read(dst, p []byte) (n int, rest []byte, err error) {
	single := !e.more && nextRecord(p) == len(p)
	e.mem.in = p
	for err == nil && len(dst)-n > 0 {
		var k int
		k, err = e.conn.Read(dst[n:])
		n += k
		if single && k > 0 && err == nil && n < len(dst) {
			err = errWouldBlock // as crypto/tls would say, if it were asked
		}
	}
	e.more = err == nil
	rest, e.mem.in = e.mem.in, nil
	if err == io.EOF && e.mem.asked {
		err = ErrTruncated
	}
	return n, rest, err
}

// write encrypts p and appends the records to mem.out.
func (e *engine) write(p []byte) error {
	_, err := e.conn.Write(p)
	return err
}

// whole returns how many of the bytes of p are to be handed over: whole records only, or all if
// that cannot be a record, so that crypto/tls says what is wrong with it.
func whole(p []byte) int {
	at := 0
	for {
		n := nextRecord(p[at:])
		switch {
		case n < 0:
			return len(p)
		case n == 0 || n > len(p)-at:
			return at
		}
		at += n
	}
}

// nextRecord is the length of the record that p begins with, header included; 0 when its header is
// not complete, and -1 if that is no header of a record.
func nextRecord(p []byte) int {
	if len(p) < recordHeader {
		return 0
	}
	n := int(p[3])<<8 | int(p[4])
	if p[0] < 20 || p[0] > 23 || p[1] != 3 || n > recordMost {
		return -1
	}
	return recordHeader + n
}

// temporary reports whether a read only says that there are no more bytes yet.
func temporary(err error) bool { return err == errWouldBlock }
