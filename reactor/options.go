package reactor

// What connections and ports can be told. Each option has a default that is right for production, and the zero value of
// every struct here, like a nil pointer to it, is all of the defaults.

import "time"

const (
	defaultBacklog   = 4096     // the kernel clips it to somaxconn
	defaultHighWater = 16 << 10 // beside what a socket buffers by itself, which is much more
	defaultLowWater  = 4 << 10

	defaultMaxBuffered = 64 << 20
	defaultLinger      = 30 * time.Second

	// TCP's own keep-alive finds a peer that has vanished without a word while nothing is owed to it by time: after a
	// minute of silence it is asked each 15 seconds, and after a second minute without an answer the connection is lost.
	defaultKeepAliveIdle     = 60 * time.Second
	defaultKeepAliveInterval = 15 * time.Second
	defaultKeepAliveCount    = 4
)

// TransportOptions are the options of a connection, whichever end has opened it.
type TransportOptions struct {
	// WriteTimeout is how long output may wait for a peer that has no credit left: see MinWriteRate. Then the connection is
	// reset, and lost with ErrTimeout or ErrSlowReader. Default 0, which waits for ever: set it, or a peer that does not
	// read keeps its output in memory. Without a MinWriteRate it begins anew with each byte that the peer takes.
	//
	// What a peer takes is what its kernel has acknowledged. On systems other than Linux, and for a Unix socket, it is what
	// the socket has accepted. It is looked at several times in each WriteTimeout, at least once in 10 s.
	WriteTimeout time.Duration

	// MinWriteRate is the rate, in bytes a second, at which a peer must take the output that waits for it. Each byte that
	// it takes buys 1/MinWriteRate seconds, also of earlier output, and up to WriteCredit is saved. The time in which no
	// output waits costs nothing. WriteTimeout does not run while there is credit, and does not begin anew before what was
	// overdrawn is paid. So a peer that reads faster than this is never cut off while its windows open within its credit
	// and WriteTimeout; one that reads nothing is cut off after WriteTimeout and the credit of what its buffer has taken;
	// and one that reads more slowly is cut off when its credit and WriteTimeout are used up. Default 0, which is no rate.
	MinWriteRate int

	// LingerTimeout stands for WriteTimeout after LoseConnection, if it is shorter. Default 30 s; negative leaves it to
	// WriteTimeout. For a deadline whatever is taken, use SetTimeout.
	LingerTimeout time.Duration

	// MaxBuffered is how many unsent bytes may wait in memory for a peer that does not read. Beyond, the connection is reset
	// and lost with ErrWriteBound. Default 64 MiB; negative is no bound. Who writes more than a little should watch the
	// water marks, and never meets it.
	MaxBuffered int

	// HighWater and LowWater are the marks, in unsent bytes, above which a Producer is paused and to which output must
	// drain for it to resume. Default 16 KiB and 4 KiB.
	HighWater, LowWater int

	// Nagle leaves Nagle's algorithm on, which holds small writes back while earlier ones are under way. By default it is
	// off (TCP_NODELAY), because a loop gathers its output itself.
	Nagle bool

	// KeepAlive is after how much silence TCP asks whether the peer is still there (default a minute; negative: never),
	// KeepAliveInterval the time between such questions (default 15 s), and KeepAliveCount how many go unanswered before
	// the connection is lost with ETIMEDOUT (default 4). Systems count whole seconds, and Linux no more than nine hours of
	// them.
	KeepAlive, KeepAliveInterval time.Duration
	KeepAliveCount               int
}

func (o TransportOptions) withDefaults() TransportOptions {
	if o.LingerTimeout == 0 {
		o.LingerTimeout = defaultLinger
	}
	if o.MaxBuffered == 0 {
		o.MaxBuffered = defaultMaxBuffered
	}
	o.HighWater = orDefault(o.HighWater, defaultHighWater)
	o.LowWater = min(orDefault(o.LowWater, defaultLowWater), o.HighWater)
	if o.KeepAlive == 0 {
		o.KeepAlive = defaultKeepAliveIdle
	}
	o.KeepAliveInterval = orDefault(o.KeepAliveInterval, defaultKeepAliveInterval)
	o.KeepAliveCount = orDefault(o.KeepAliveCount, defaultKeepAliveCount)
	return o
}

// tune tells a socket what differs from how the System makes them. A socket that refuses works all the same.
func (o *TransportOptions) tune(sys System, fd int) {
	if o.Nagle {
		sys.SetOption(fd, OptionNoDelay, 0)
	}
	if o.KeepAlive != defaultKeepAliveIdle || o.KeepAliveInterval != defaultKeepAliveInterval ||
		o.KeepAliveCount != defaultKeepAliveCount {
		o.setKeepAlive(sys, fd)
	}
}

// tuneAll is tune for a socket that the System has not made.
func (o *TransportOptions) tuneAll(sys System, fd int) {
	noDelay := 1
	if o.Nagle {
		noDelay = 0
	}
	sys.SetOption(fd, OptionNoDelay, noDelay)
	o.setKeepAlive(sys, fd)
}

func (o *TransportOptions) setKeepAlive(sys System, fd int) {
	sys.SetKeepAlive(fd, max(o.KeepAlive, 0), o.KeepAliveInterval, o.KeepAliveCount)
}

// TCPOptions are the options of ListenTCP. Nil and the zero value are the defaults, right for production.
type TCPOptions struct {
	// TransportOptions are those of the connections that the port accepts.
	TransportOptions

	// Backlog is how many connections may wait in the kernel to be accepted. Default 4096; the kernel clips it.
	Backlog int

	// Shared lets other reactors Share the port.
	Shared bool

	// ReusePort lets other processes listen on the same address if they ask for it too (SO_REUSEPORT), and the kernel
	// spreads connections over all of them: for a new version of a program that takes over from the old one. By default a
	// second process gets EADDRINUSE, rather than half of the traffic.
	ReusePort bool

	// V6Only keeps an empty host to IPv6.
	V6Only bool
}

func (o *TCPOptions) withDefaults() TCPOptions {
	var d TCPOptions
	if o != nil {
		d = *o
	}
	d.TransportOptions = d.TransportOptions.withDefaults()
	d.Backlog = orDefault(d.Backlog, defaultBacklog)
	return d
}
