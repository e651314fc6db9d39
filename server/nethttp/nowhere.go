package nethttp

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"microhttp/reactor"
)

// nowhere is a System without descriptors: a loop on it has timers and calls, and that is all. It holds memory only, so
// a loop that never ran may be left to the collector. What is embedded is nil: those methods are about descriptors, and
// there are none, since whatever opens one fails.
type nowhere struct{ reactor.System }

func (nowhere) Now() time.Time    { return time.Now() }
func (nowhere) Pollers() []string { return []string{"none"} }

func (nowhere) NewPoller(string) (reactor.Poller, error) {
	return &waiter{woken: make(chan struct{}, 1)}, nil
}

func (nowhere) Listen(reactor.Address, reactor.ListenOptions) (int, error) {
	return -1, errors.ErrUnsupported
}

func (nowhere) Connect(reactor.Address, netip.AddrPort) (int, syscall.Errno) {
	return -1, syscall.ENOSYS
}

func (nowhere) Adopt(int) (reactor.Address, netip.AddrPort, bool, error) {
	return reactor.Address{}, netip.AddrPort{}, false, errors.ErrUnsupported
}

func (nowhere) ListenDatagram(netip.AddrPort, reactor.DatagramOptions) (int, error) {
	return -1, errors.ErrUnsupported
}

func (nowhere) Reserve() (int, syscall.Errno) { return -1, syscall.ENOSYS }

// waiter is a Poller that only waits.
type waiter struct{ woken chan struct{} }

// Update refuses to watch anything.
func (*waiter) Update(int, uint32, reactor.Interest, reactor.Interest) error {
	return errors.ErrUnsupported
}

func (*waiter) Forget(int, reactor.Interest)      {}
func (*waiter) Poll([]reactor.Event) (int, error) { return 0, nil }
func (*waiter) Close() error                      { return nil }

// Wait implements reactor.Poller.
func (p *waiter) Wait(_ []reactor.Event, until time.Time) (int, error) {
	var due <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-p.woken:
	case <-due:
	}
	return 0, nil
}

// Wake implements reactor.Poller.
func (p *waiter) Wake() {
	select {
	case p.woken <- struct{}{}:
	default: // it is awake, or about to be
	}
}
