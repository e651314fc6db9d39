package server

import (
	"time"

	"microhttp/reactor"
)

// Peers that read their answers slowly, or not at all. While output waits in the transport the reactor watches them: see
// reactor/pace.go for the law, and TransportOptions for what it is told. What the kernel has taken is nobody's but the
// kernel's; a connection that is silent because its peer is still taking that is not idle, and stillTakes finds that out.

// TransportOptions returns the options for the port of a Factory, so that SendTimeout, MinDataRate and MaxUnsentBytes hold
// for its connections as they do for those of Listen:
//
//	port, err := loop.ListenTCP(addr, s.Factory(loop), &reactor.TCPOptions{TransportOptions: s.TransportOptions()})
//
// It may be called from any goroutine, once the fields of s are set.
func (s *Server) TransportOptions() reactor.TransportOptions {
	s.init()
	return reactor.TransportOptions{
		WriteTimeout: s.conf.sendTimeout, MinWriteRate: s.conf.rate,
		HighWater: s.conf.unsent, LowWater: s.conf.unsent / 4,
		LingerTimeout: -1, // SendTimeout is for both
		MaxBuffered:   -1, // an answer is in memory already; how many there are is bounded by MaxUnsentBytes
	}
}

// looksAtTaker is how often, in the time of a phase, the server looks whether a silent peer has taken all.
const looksAtTaker = 8

// takesOn is called when the peer has begun to take output that waited. If the connection is silent otherwise, its time
// begins when the peer has all.
func (c *conn) takesOn() {
	conf := &c.w.srv.conf
	if c.phase != phaseIdle || c.w.closing || conf.sendTimeout == 0 || conf.timeouts[phaseIdle] == 0 {
		return
	}
	c.behind = c.w.clock() + int64(reactor.WriteCredit)
	c.ends = int64(c.t.Unacknowledged())
	c.t.SetTimeout(max(conf.timeouts[phaseIdle]/looksAtTaker, 1))
}

// stillTakes reports that the peer still takes the last answer, and gives the phase more time. It is asked when the time of
// a phase is over and the connection would be closed for the peer's silence. The peer pays by the law of reactor/pace.go,
// with a credit that is full at first. In silent phases c.behind is the time that it has paid for, 0 while all is
// acknowledged, and c.ends what was not acknowledged at the last look.
func (c *conn) stillTakes() bool {
	conf := &c.w.srv.conf
	if c.w.closing || conf.sendTimeout == 0 {
		return false
	}
	const end = 1 // the end of the stream counts as a byte, and is not waited for
	now, left := c.w.clock(), int64(c.t.Unacknowledged())
	took := min(c.ends-left, 1<<32) // which does not overflow below
	switch {
	case left <= end && c.behind == 0:
		return false
	case left <= end:
		c.behind = 0 // now it is silent
		c.t.SetTimeout(conf.timeouts[c.phase])
		return true
	case c.behind == 0, took > 0 && conf.rate == 0:
		c.behind = now + int64(reactor.WriteCredit)
	case took > 0:
		c.behind = min(c.behind+took*int64(time.Second)/int64(conf.rate), now+int64(reactor.WriteCredit))
	}
	c.ends = left
	c.t.SetTimeout(max(conf.timeouts[c.phase]/looksAtTaker, 1))
	return now < c.behind+int64(conf.sendTimeout)
}
