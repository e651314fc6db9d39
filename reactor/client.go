package reactor

// The client's side. A Connector is one destination: it connects, tells its factory when that fails, and can be asked to
// connect again. Each time that it connects is an attempt: a name is looked up off the loop, the addresses are tried in
// turn, and either a connection comes of it or a failure, told once, at the end of a tick and never from inside the call
// that began it. An attempt is a Descriptor like any other and leaves the loop by the same door.

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

const (
	defaultConnectTimeout = 30 * time.Second // Twisted's

	// addressMin is the least time that one address of several is given, as long as there is so much: a share that is
	// shorter than a lost packet's repetition would fail for nothing.
	addressMin = 2 * time.Second

	// backlogRetry is how soon a Unix socket whose backlog was full is tried again. The kernel has no event for that.
	backlogRetry = 10 * time.Millisecond
)

// A ClientFactory makes the protocol of each connection that a Connector opens. BuildProtocol may refuse one, as a port's
// may; that is a failure with ErrRefused.
type ClientFactory interface {
	Factory

	// ConnectionFailed is called on the loop when an attempt to connect has come to nothing: so each attempt ends either
	// in a Protocol, which gets ConnectionMade and in the end ConnectionLost, or here. The connector may be asked to
	// Connect again at once, or by a timer. The reason is ErrConnectFailed (with the errno for each address, or what the
	// resolver said), ErrTimeout, ErrCancelled, ErrRefused, ErrShutdown, or a *PanicError of BuildProtocol.
	ConnectionFailed(c *Connector, reason error)
}

// A ConnectorWatcher is a ClientFactory that follows what becomes of its connectors: Twisted's startedConnecting and
// clientConnectionLost.
type ConnectorWatcher interface {
	// StartedConnecting is called by each Connect, before anything else becomes of it; also inside ConnectTCP and
	// ConnectUnix, which have not returned c yet.
	StartedConnecting(c *Connector)

	// ClientConnectionLost is called when a connection of c is lost, after the protocol was told. The connector may be asked
	// to Connect again.
	ClientConnectionLost(c *Connector, reason error)
}

// ConnectOptions are the options of ConnectTCP and ConnectUnix. Nil and the zero value are the defaults.
type ConnectOptions struct {
	// TransportOptions are those of the connection.
	TransportOptions

	// Timeout is how long an attempt may take, looking the name up included. Default 30 s; negative: as long as the
	// kernel tries. When there are several addresses, each gets its share of what is left.
	Timeout time.Duration

	// From is our end: an address of this machine, and a port if that is not 0. Addresses of the other family are not
	// tried. The zero AddrPort lets the kernel choose.
	From netip.AddrPort

	// Lookup finds the addresses of a host; nil asks net.DefaultResolver. It is called on a goroutine of the reactor's
	// pool, where it may block until ctx is done, and never for a literal address.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

func (o *ConnectOptions) withDefaults() ConnectOptions {
	var d ConnectOptions
	if o != nil {
		d = *o
	}
	d.TransportOptions = d.TransportOptions.withDefaults()
	if d.Timeout == 0 {
		d.Timeout = defaultConnectTimeout
	}
	if d.Lookup == nil {
		d.Lookup = lookup
	}
	d.From = netip.AddrPortFrom(d.From.Addr().Unmap(), d.From.Port()) // as the addresses that are tried
	return d
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// ConnectorState is what a Connector is doing.
type ConnectorState uint8

// The states of a Connector.
const (
	Disconnected ConnectorState = iota
	Connecting
	Connected
)

// String gives the state in lower case, for logs.
func (s ConnectorState) String() string {
	return [...]string{"disconnected", "connecting", "connected"}[s]
}

// A Connector is a destination, and what has become of connecting to it. Its methods are for the loop, or before Run.
type Connector struct {
	r       *Reactor
	factory ClientFactory
	options ConnectOptions
	network string    // tcp or unix
	target  string    // as it was given
	host    string    // a name, a literal address, or empty for this machine
	port    string    // and its port, perhaps by the name of a service
	known   []Address // if nothing has to be looked up
	state   ConnectorState
	attempt *attempt // the one that is being made
	started bool     // the factory was told
}

// ConnectTCP connects to addr, "host:port", and has f make the protocol of the connection. A literal address is tried at
// once; a name is looked up off the loop, and its addresses are tried in turn. An empty host is this machine. It is for
// the loop, or before Run.
//
// The error is ErrStopped, or a *net.AddrError; f gets all else, later.
func (r *Reactor) ConnectTCP(addr string, f ClientFactory, o *ConnectOptions) (*Connector, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	c := &Connector{r: r, factory: f, options: o.withDefaults(), network: "tcp", target: addr, host: host, port: port}
	if number, err := strconv.ParseUint(port, 10, 16); err == nil {
		c.known = addresses(literal(host), uint16(number))
	}
	if err := c.Connect(); err != nil {
		return nil, err
	}
	return c, nil
}

// ConnectUnix connects to the Unix socket at path, as ConnectTCP does to an address; on Linux "@name" is one in the
// abstract namespace. A backlog that is full is tried again until the Timeout. The only error is ErrStopped.
func (r *Reactor) ConnectUnix(path string, f ClientFactory, o *ConnectOptions) (*Connector, error) {
	c := &Connector{r: r, factory: f, options: o.withDefaults(), network: "unix", target: path}
	c.known = []Address{{Path: path}}
	if err := c.Connect(); err != nil {
		return nil, err
	}
	return c, nil
}

// literal is what has not to be looked up: a literal address, and this machine; nil is a name.
func literal(host string) []netip.Addr {
	if host == "" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}
	}
	return nil
}

// addresses gives each a port.
func addresses(ips []netip.Addr, port uint16) (all []Address) {
	for _, ip := range ips {
		all = append(all, Address{IP: netip.AddrPortFrom(ip.Unmap(), port)})
	}
	return all
}

// Connect begins to connect again, in ConnectionFailed or ConnectionLost or at any time after. The error is ErrStopped, or
// ErrConnectorBusy when it is connecting or connected.
func (c *Connector) Connect() error {
	if c.r.over() {
		return ErrStopped
	}
	if c.state != Disconnected {
		return ErrConnectorBusy
	}
	if !c.started {
		c.r.startFactory(c.factory)
		c.started = true
	}
	c.tellStarted()
	c.state = Connecting
	a := &attempt{c: c, fd: -1, deadline: never}
	c.attempt = a
	c.r.attempts[a] = struct{}{}
	a.begin()
	return nil
}

// tellStarted tells a ConnectorWatcher. If that panics, nothing has begun.
func (c *Connector) tellStarted() {
	if w, ok := c.factory.(ConnectorWatcher); ok {
		defer c.rest()
		w.StartedConnecting(c)
		c.state = Connecting
	}
}

// Cancel gives up connecting: the factory gets ConnectionFailed with ErrCancelled. It does nothing when there is a
// connection already, or none under way.
func (c *Connector) Cancel() {
	if c.attempt != nil {
		c.attempt.end(ErrCancelled)
	}
}

// State says what the connector is doing. In ConnectionFailed and in ConnectionLost it is Disconnected already.
func (c *Connector) State() ConnectorState { return c.state }

// Reactor is the loop that the connector lives on.
func (c *Connector) Reactor() *Reactor { return c.r }

// Target is what the connector was made to connect to, as it was given.
func (c *Connector) Target() string { return c.target }

// lost is called when a connection that c has opened is closed. Without a protocol it was never made.
func (c *Connector) lost(t *transport, reason error) {
	c.state = Disconnected
	defer c.rest()
	if t.proto == nil {
		c.factory.ConnectionFailed(c, reason)
		return
	}
	if w, ok := c.factory.(ConnectorWatcher); ok {
		defer w.ClientConnectionLost(c, reason) // also when the protocol panics
	}
	t.proto.ConnectionLost(reason)
}

// rest tells the factory that it is not used any more, unless it has connected again. It is deferred: a callback that panics
// does not keep the factory in use.
func (c *Connector) rest() {
	if c.started && c.state == Disconnected {
		c.started = false
		c.r.stopFactory(c.factory)
	}
}

// An attempt is one way from Connect to its outcome.
type attempt struct {
	c        *Connector
	fd       int       // of the address that is being tried; -1 if none is
	to       Address   // that address
	left     []Address // to try after it
	failures []error   // of those before it
	deadline int64
	retry    *DelayedCall       // tries a Unix socket again; nil if that was not needed
	timer    *DelayedCall       // ends the time of the address, or of all; nil without a Timeout
	stop     context.CancelFunc // ends the look-up; nil when nothing was looked up
	ended    bool               // a reason is on its way
	over     bool               // and was told, or there is a connection
}

func (a *attempt) begin() {
	c := a.c
	if c.options.Timeout > 0 {
		a.deadline = c.r.after(c.options.Timeout)
		a.timer = c.r.CallLater(c.options.Timeout, a.late)
	}
	if len(c.known) > 0 {
		a.found(c.known, nil)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	err := c.r.CallInThread(func() {
		var addresses []Address
		err := errLookup // unless it returns
		defer func() { c.r.CallFromThread(func() { a.found(addresses, err) }) }()
		addresses, err = c.lookup(ctx)
	})
	if err != nil {
		a.found(nil, err)
	}
}

var errLookup = errors.New("reactor: the look-up panicked")

// lookup finds the addresses, off the loop.
func (c *Connector) lookup(ctx context.Context) ([]Address, error) {
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", c.port)
	if err != nil {
		return nil, err
	}
	ips := literal(c.host)
	if ips == nil {
		if ips, err = c.options.Lookup(ctx, c.host); err != nil {
			return nil, err
		}
	}
	if len(ips) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: c.host, IsNotFound: true}
	}
	return addresses(ips, uint16(port)), nil
}

// found is given the addresses to try.
func (a *attempt) found(all []Address, err error) {
	switch {
	case a.ended:
		return
	case err != nil:
		a.failures = append(a.failures, err)
	}
	from := a.c.options.From
	for _, to := range all {
		if !from.IsValid() || to.Path != "" || from.Addr().Is4() == to.IP.Addr().Is4() {
			a.left = append(a.left, to)
		}
	}
	if len(a.left) < len(all) && len(a.left) == 0 {
		a.failures = append(a.failures, a.failure(all[0], syscall.EADDRNOTAVAIL))
	}
	a.next()
}

// next tries the next address, and the one after it if that fails at once.
func (a *attempt) next() {
	for !a.ended && len(a.left) > 0 {
		a.to, a.left = a.left[0], a.left[1:]
		err := a.try()
		if err == nil {
			return
		}
		a.failures = append(a.failures, err)
	}
	a.end(&connectError{a.failures})
}

// try begins to connect to one address. A connection that is made at once is writable at once, so it comes the same way as
// any other.
func (a *attempt) try() error {
	c := a.c
	fd, errno := c.r.sys.Connect(a.to, c.options.From)
	switch {
	case errno == 0 || errno == syscall.EINPROGRESS:
	case errno == syscall.EAGAIN && a.to.Path != "":
		a.again()
		return nil
	default:
		return a.failure(a.to, errno)
	}
	a.fd = fd
	c.options.tune(c.r.sys, fd)
	c.r.fds.claim(fd, nil)
	if err := c.r.AddWriter(a); err != nil {
		a.drop()
		return err
	}
	a.limit()
	return nil
}

// again comes back to a Unix socket whose backlog is full, as long as there is time.
func (a *attempt) again() {
	a.left = append([]Address{a.to}, a.left...)
	a.retry = a.c.r.CallLater(backlogRetry, a.next)
}

// limit gives the address that is being tried its share of the time.
func (a *attempt) limit() {
	if a.timer == nil {
		return
	}
	rest := time.Duration(a.deadline - a.c.r.after(0))
	_ = a.timer.Reset(min(rest, max(rest/time.Duration(len(a.left)+1), addressMin))) // it is pending, or a has ended
}

// late is when the time is over: that of all, or that of the address.
func (a *attempt) late() {
	r := a.c.r
	if a.fd >= 0 && a.outcome() == 0 { // made in time, and the loop comes to it only now
		a.connected()
		return
	}
	if r.clock() >= a.deadline || len(a.left) == 0 {
		a.end(ErrTimeout)
		return
	}
	a.timer = r.CallLater(time.Duration(a.deadline-r.clock()), a.late)
	a.drop()
	a.failures = append(a.failures, a.failure(a.to, syscall.ETIMEDOUT))
	a.next()
}

// drop closes the socket of an address that has come to nothing.
func (a *attempt) drop() {
	a.c.r.RemoveWriter(a)
	a.c.r.sys.Close(a.fd)
	a.fd = -1
}

// failure is what went wrong with one address.
func (a *attempt) failure(to Address, errno syscall.Errno) error {
	return &net.OpError{Op: "connect", Net: a.c.network, Addr: to.netAddr(), Err: errno}
}

// FD is the descriptor of the address that is being tried.
func (a *attempt) FD() int { return a.fd }

// DoWrite is called when it is decided whether the connection is made.
func (a *attempt) DoWrite() error {
	switch errno := a.outcome(); errno {
	case syscall.EINPROGRESS, syscall.EALREADY:
	case 0:
		a.connected()
	default:
		a.drop()
		a.failures = append(a.failures, a.failure(a.to, errno))
		a.next()
	}
	return nil
}

// outcome is how connecting to the address has ended; EINPROGRESS or EALREADY when it has not.
func (a *attempt) outcome() syscall.Errno {
	errno := a.c.r.sys.ConnectError(a.fd)
	if errno == 0 && a.reachedItself() {
		return syscall.ECONNREFUSED
	}
	return errno
}

// reachedItself reports whether the kernel chose the very port that no socket listens on: two ends that open at the same time
// are connected (RFC 9293, section 3.5), and here they are one.
func (a *attempt) reachedItself() bool {
	return a.to.Path == "" && a.c.options.From.Port() == 0 && a.c.r.sys.LocalAddr(a.fd) == a.to.IP
}

// connected makes a connection of the socket.
func (a *attempt) connected() {
	c, r := a.c, a.c.r
	t := &transport{
		r: r, options: &c.options.TransportOptions, fd: int32(a.fd), remote: a.to.IP, cold: &cold{connector: c},
	}
	a.fd = -1
	a.leave()
	c.state = Connected
	r.fds.inherit(t)
	defer t.contain()
	if reason := t.open(c.factory); reason != nil {
		r.lose(t, reason)
	}
}

// end is the way out without a connection.
func (a *attempt) end(reason error) {
	if !a.ended {
		a.ended = true
		a.c.r.lose(a, reason)
	}
}

// ConnectionLost is called by the reap step.
func (a *attempt) ConnectionLost(reason error) {
	if a.over {
		return
	}
	if a.fd >= 0 {
		a.c.r.sys.Close(a.fd)
		a.fd = -1
	}
	a.leave()
	a.c.state = Disconnected
	defer a.c.rest()
	a.c.factory.ConnectionFailed(a.c, reason)
}

// leave takes back all that was begun for the attempt.
func (a *attempt) leave() {
	a.ended, a.over = true, true
	for _, call := range []*DelayedCall{a.timer, a.retry} {
		if call != nil {
			_ = call.Cancel() // it may just have been called
		}
	}
	if a.stop != nil {
		a.stop()
	}
	delete(a.c.r.attempts, a)
	a.c.attempt = nil
}

// connectError is ErrConnectFailed with what went wrong for each address.
type connectError struct{ failures []error }

func (e *connectError) Error() string {
	return ErrConnectFailed.Error() + ": " + errors.Join(e.failures...).Error()
}

func (e *connectError) Unwrap() []error { return append([]error{ErrConnectFailed}, e.failures...) }
