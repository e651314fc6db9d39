package reactor

// A client that connects again: Twisted's ReconnectingClientFactory.

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	defaultInitialDelay = time.Second
	defaultMaxDelay     = 2 * time.Minute // Twisted's is an hour
	defaultFactor       = 2.718           // Twisted's e
	defaultJitter       = 0.2

	// stableAfter is how many times InitialDelay a connection must last for the delays to begin anew: else a server that
	// accepts and hangs up would be called on as if it were well.
	stableAfter = 10
)

// A ReconnectingClientFactory is the ClientFactory of a client that is to stay connected. When an attempt to connect fails,
// or the connection is lost for whatever reason, it waits and connects again. The waits grow from one to the next, so that a
// server in trouble is left alone, and differ at random, so that many clients do not come back at the same moment.
//
//	f := &reactor.ReconnectingClientFactory{Factory: mine}
//	c, err := r.ConnectTCP("example.com:7", f, nil)
//
// The delays begin anew when a connection has lasted for ten times InitialDelay, or with ResetDelay. It gives up when the
// reactor shuts down, after Connector.Cancel or StopTrying, and when the connection was detached.
//
// It is for one Connector. Its fields must not be changed once that has begun to connect, and its methods are for the loop.
type ReconnectingClientFactory struct {
	// Factory makes the protocols. It may be a FactoryStarter and a FactoryStopper.
	Factory Factory

	// InitialDelay is the first delay, and each is Factor times the one before, up to MaxDelay, before the jitter. Default
	// 1 s, 2.718 and 2 minutes. A Factor below 1 is the default.
	InitialDelay, MaxDelay time.Duration
	Factor                 float64

	// Jitter is by what part of itself a delay is longer or shorter, at most, at random. Default 0.2, which is 20 %; negative
	// is none.
	Jitter float64

	// MaxRetries is how many delays there may be in a row before it gives up. Default 0: it never does.
	MaxRetries int

	// Retrying is called, if it is not nil, when an attempt has failed or a connection was lost, and the next attempt comes
	// after that delay. Connector.Target names the destination for a log.
	Retrying func(c *Connector, reason error, delay time.Duration)

	// GaveUp is called, if it is not nil, when there have been MaxRetries delays in a row.
	GaveUp func(c *Connector, reason error)

	connector *Connector
	next      *DelayedCall  // connects; nil when there was no delay yet
	delay     time.Duration // the next one, without jitter; 0 is the first
	retries   int
	stopped   bool
	made      int64          // when the connection was
	draw      func() float64 // from 0 to 1; nil is at random
}

var (
	_ ClientFactory    = (*ReconnectingClientFactory)(nil)
	_ ConnectorWatcher = (*ReconnectingClientFactory)(nil)
	_ FactoryStarter   = (*ReconnectingClientFactory)(nil)
	_ FactoryStopper   = (*ReconnectingClientFactory)(nil)
)

// StartFactory and StopFactory pass on what they are told.
func (f *ReconnectingClientFactory) StartFactory() {
	if s, ok := f.Factory.(FactoryStarter); ok {
		s.StartFactory()
	}
}

// StopFactory implements FactoryStopper.
func (f *ReconnectingClientFactory) StopFactory() {
	if s, ok := f.Factory.(FactoryStopper); ok {
		s.StopFactory()
	}
}

// StartedConnecting implements ConnectorWatcher.
func (f *ReconnectingClientFactory) StartedConnecting(c *Connector) {
	if f.connector != nil && f.connector != c {
		panic("reactor: a ReconnectingClientFactory is for one Connector")
	}
	f.connector, f.stopped = c, false
	f.cancel()
}

// BuildProtocol has Factory build it.
func (f *ReconnectingClientFactory) BuildProtocol(remote netip.AddrPort) Protocol {
	f.made = f.connector.r.clock()
	return f.Factory.BuildProtocol(remote)
}

// ConnectionFailed connects again, later.
func (f *ReconnectingClientFactory) ConnectionFailed(c *Connector, reason error) { f.retry(reason) }

// ClientConnectionLost connects again, later.
func (f *ReconnectingClientFactory) ClientConnectionLost(c *Connector, reason error) {
	if lasted := c.r.clock() - f.made; lasted >= stableAfter*int64(f.initialDelay()) {
		f.ResetDelay()
	}
	f.retry(reason)
}

// ResetDelay has the delays begin anew, and MaxRetries count anew. Call it when all is well sooner than the time of a
// connection shows, after a login for one.
func (f *ReconnectingClientFactory) ResetDelay() { f.delay, f.retries = 0, 0 }

// StopTrying ends it: an attempt that is under way is cancelled, and its end is not reported; a connection lives
// on, and is not replaced when it is lost. Connector.Connect begins again.
func (f *ReconnectingClientFactory) StopTrying() {
	f.stopped = true
	f.cancel()
	if f.connector != nil {
		f.connector.Cancel()
	}
}

// Retries is how many delays there have been in a row.
func (f *ReconnectingClientFactory) Retries() int { return f.retries }

// cancel takes back the attempt that is to come.
func (f *ReconnectingClientFactory) cancel() {
	if f.next != nil {
		_ = f.next.Cancel() // it may just have been called
	}
}

// retry connects again after the delay, unless that is not wanted.
func (f *ReconnectingClientFactory) retry(reason error) {
	c := f.connector
	switch {
	case f.stopped, c.State() != Disconnected: // another call was quicker
		return
	case errors.Is(reason, ErrShutdown), errors.Is(reason, ErrCancelled), errors.Is(reason, ErrDetached):
		return
	case f.MaxRetries > 0 && f.retries >= f.MaxRetries:
		if f.GaveUp != nil {
			f.GaveUp(c, reason)
		}
		return
	}
	f.retries++
	delay := f.nextDelay()
	f.next = c.r.CallLater(delay, func() {
		_ = c.Connect() // at the end of the reactor, or when another call was quicker, it does not matter
	})
	if f.Retrying != nil {
		f.Retrying(c, reason, delay)
	}
}

func (f *ReconnectingClientFactory) initialDelay() time.Duration {
	return orDefault(f.InitialDelay, defaultInitialDelay)
}

// nextDelay is the delay that comes now.
func (f *ReconnectingClientFactory) nextDelay() time.Duration {
	most := float64(orDefault(f.MaxDelay, defaultMaxDelay))
	factor, jitter, draw := f.Factor, f.Jitter, f.draw
	if factor < 1 {
		factor = defaultFactor
	}
	if jitter == 0 {
		jitter = defaultJitter
	}
	if draw == nil {
		draw = rand.Float64
	}
	if f.delay == 0 {
		f.delay = f.initialDelay()
	}
	delay := min(float64(f.delay), most)
	f.delay = time.Duration(min(delay*factor, most))
	return time.Duration(delay * (1 + min(max(jitter, 0), 1)*(2*draw()-1)))
}
