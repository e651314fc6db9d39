package reactor

// What things are called in logs. A name says what its thing is and how it stands, for people; programs use the methods
// that return values.

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// String names the port, as "tcp 127.0.0.1:80" or "unix /run/a.sock", with ", closed" when it is. It is for the loop, or
// before Run.
func (p *Port) String() string {
	name := p.network() + " " + p.at.String()
	if p.closed {
		name += ", closed"
	}
	return name
}

// String names the connector by its target and its state, as "tcp example.com:80, connecting". It is for the loop, or before
// Run.
func (c *Connector) String() string {
	return fmt.Sprintf("%s %s, %s", c.network, c.target, c.state)
}

// String names the call by its function and says when it is due, as "call of main.main.func1 in 1.5s", or that it was
// called or cancelled. It is for the loop, or before Run.
func (c *DelayedCall) String() string {
	switch c.state {
	case callDone:
		return "call, made"
	case callCancelled:
		return "call, cancelled"
	}
	return fmt.Sprintf("call of %s in %v", functionName(c.f), time.Duration(c.when-c.r.reading()).Round(time.Microsecond))
}

// functionName is the name of f, as stacks show it.
func functionName(f func()) string {
	return strings.TrimSuffix(runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(), "-fm") // which marks a method value
}

func (t *transport) String() string {
	name := "tcp " + t.remote.String()
	if !t.remote.IsValid() {
		name = "unix"
		if peer, err := t.Info().Socket().UnixPeer(); err == nil {
			name += " " + peer.String()
		}
	}
	switch {
	case t.flags&gone != 0:
		name += ", lost"
	case t.flags&(losing|loseLater|doomed) != 0:
		name += ", ending"
	}
	return name
}
