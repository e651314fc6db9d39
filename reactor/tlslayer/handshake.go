package tlslayer

// The handshake of one connection, as its loop sees it: ciphertext is collected until there is a
// whole record, a step computes off the loop (handshakes.go), and what it has written is sent.
// Between two steps the handshake is a suspended coroutine.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"microhttp/reactor"
)

const (
	// mostWaiting is how much ciphertext waits while a step computes, before reading pauses. One
	// read may come on top.
	mostWaiting = 16 << 10

	// lingerTime is how long a connection on which TLS has failed waits for its peer to end, and
	// lingerMost how much of what it still sends is read. A close with unread bytes is a reset, and
	// would overtake the alert.
	lingerTime = 500 * time.Millisecond
	lingerMost = 256 << 10
)

// shaking is a handshake that is under way.
type shaking struct {
	c        *Conn
	of       *Handshakes
	acceptor Acceptor
	config   *tls.Config // until it has begun
	client   bool

	plain    bool // no function of the tls.Config is called after the first step
	answered bool // the first step has come back
	stepped  bool // a step has come back
	crowded  bool // others need the place
	begun    bool // of a client: its hello is on the way
	pausing  bool // reading, since enough waits
	givenUp  atomic.Bool

	// What a step takes and gives, which belongs to the step while it computes.
	in   []byte
	eof  bool
	over bool
	err  error

	input []byte // the loop's buffer that in lies in

	place
}

// advance begins the next step, if there is something to do for it.
func (hs *shaking) advance() {
	c := hs.c
	if c.computing || hs.stepped {
		if len(c.pending) >= mostWaiting && !hs.pausing {
			hs.pausing = true
			c.below.PauseReading()
		}
		return
	}
	cut := c.flags&cutOff != 0
	k := whole(c.pending)
	if cut {
		k = len(c.pending)
	}
	switch {
	case hs.client && !hs.begun:
		hs.begun = true
	case k == 0 && !cut:
		return
	}
	hs.in, hs.eof, hs.input = c.pending, cut, c.pending
	c.pending = nil
	if rest := hs.in[k:]; len(rest) > 0 {
		c.keep(rest)
		hs.in = hs.in[:k]
	}
	if hs.plain && hs.answered && finishes(hs.in) {
		hs.of.resume(hs)
		hs.compute()
		hs.stepped = true
		return // settle follows
	}
	c.computing = true
	hs.of.submit(hs)
}

// isPlain reports whether a server with that configuration calls no function of it after its first
// answer, unless the client begins anew.
func isPlain(c *tls.Config) bool {
	return c != nil && c.ClientAuth == tls.NoClientCert && c.GetConfigForClient == nil && c.WrapSession == nil
}

// finishes reports whether p, which holds whole records, can only be the last flight of a client of
// TLS 1.3 that sends no certificate: a message of Finished, perhaps after a change_cipher_spec. What
// there is to compute for it takes some microseconds, less than the way to another goroutine and
// back. A message in plaintext, as a second ClientHello or any of TLS 1.2, is not one.
func finishes(p []byte) bool {
	const changeCipherSpec, applicationData = 20, 23
	if len(p) > 0 && p[0] == changeCipherSpec {
		n := nextRecord(p)
		if n <= 0 || n > len(p) {
			return false
		}
		p = p[n:]
	}
	return len(p) > 0 && p[0] == applicationData
}

// compute is a step, on a goroutine of its own.
func (hs *shaking) compute() {
	in := hs.in
	hs.in, hs.over, hs.err = nil, true, errGoexit // if it does not return
	if hs.givenUp.Load() {
		return
	}
	hs.in, hs.over, hs.err = hs.c.e.advance(in, hs.eof)
}

// settle goes on with what a step has found.
func (hs *shaking) settle() {
	c := hs.c
	switch {
	case hs.crowded:
		hs.fail(errCrowded, false)
		return
	case !hs.stepped:
		return
	}
	hs.stepped, hs.answered = false, true
	if rest := hs.in; len(rest) > 0 {
		hs.in = append(rest, c.pending...)
		c.freeInput()
		c.keep(hs.in)
		c.begun = len(rest)
	}
	if hs.err == nil {
		c.loop.giveSmall(hs.input)
	}
	hs.in, hs.input = nil, nil
	if hs.pausing {
		hs.pausing = false
		c.below.ResumeReading()
	}
	c.sendAlerts()
	switch {
	case hs.err != nil:
		hs.fail(hs.err, true)
	case hs.over:
		hs.complete()
	default:
		hs.of.wait(hs)
		if hs.advance(); hs.stepped {
			hs.settle()
		}
	}
}

// complete introduces the connection to its protocol.
func (hs *shaking) complete() {
	c := hs.c
	hs.of.end(hs)
	c.hs = nil
	c.e.mem.eof = false
	c.e.shrink()
	c.flags |= inEngine
	c.below.SetTimeout(0)
	was := c.enter()
	defer c.leave(was)
	c.proto = hs.acceptor.BuildProtocol(c)
	if c.proto == nil {
		c.flags |= losing
		return
	}
	c.proto.ConnectionMade(c)
}

// fail ends the connection, and says why. lingers is for when the peer is to see an alert.
func (hs *shaking) fail(err error, lingers bool) {
	c := hs.c
	hs.of.end(hs)
	c.hs = nil
	hs.giveUp()
	c.flags |= failed
	_, silenced := err.(*reactor.PanicError)
	silenced = silenced && c.e.mem.wrote // alerts are encrypted, and crypto/tls sends none
	defer func() {
		switch {
		case silenced:
			c.below.AbortConnection()
		case lingers:
			c.linger()
		default:
			c.below.LoseConnection()
		}
		if p, ok := errors.AsType[*reactor.PanicError](err); ok {
			c.r.CallFromThread(func() { panic(p) }) // so that it is reported; this connection has its alert to send
		}
	}()
	hs.acceptor.HandshakeFailed(c, err)
}

// lost is the loss of the connection.
func (hs *shaking) lost(reason error) {
	hs.of.end(hs)
	hs.giveUp()
	hs.acceptor.HandshakeFailed(hs.c, fmt.Errorf("%w: %w", ErrHandshake, reason))
}

// giveUp ends the coroutine, or, while a step computes, has that end it.
func (hs *shaking) giveUp() {
	if hs.givenUp.Store(true); !hs.c.computing {
		hs.c.e.abandon()
	}
}

// back takes a step back to the loop.
func (hs *shaking) back() {
	c := hs.c
	c.computing = false
	if c.hs != hs { // the connection has ended meanwhile
		c.e.abandon()
		return
	}
	hs.stepped = true
	c.touch()
}

// fail ends a connection on which TLS has failed. Its protocol is lost with reason when the peer
// has seen the alert.
func (c *Conn) fail(reason error) {
	c.uncommon().fate = reason
	c.flags |= failed
	c.dropOutput()
	c.linger()
}

// linger half-closes, and waits for the end of the peer for a while.
func (c *Conn) linger() {
	c.freeInput()
	c.unfeed()
	c.below.ResumeReading()
	c.below.CloseWrite()
	if c.flags&cutOff != 0 {
		c.below.LoseConnection()
		return
	}
	c.below.SetTimeout(lingerTime)
}

// drain counts what arrives while the connection lingers.
func (c *Conn) drain(n int) {
	u := c.uncommon()
	if u.drained += n; u.drained > lingerMost {
		c.below.AbortConnection()
	}
}
