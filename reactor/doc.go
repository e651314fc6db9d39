// Package reactor is Twisted's event loop, rethought for Go: one goroutine that owns descriptors, timers, and the calls
// that other goroutines post to it. It accepts connections, moves their bytes, and tells protocols about them.
//
//	r, err := reactor.New(reactor.Config{})
//	...
//	port, err := r.ListenTCP("localhost:8007", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
//		return &echo{}
//	}), nil)
//	...
//	err = r.Run()
//
// Everything that a protocol gets, and everything that it does through its Transport, happens on the goroutine that is
// in Run: there are no locks to take, and nothing may block. Other goroutines come in through [Reactor.CallFromThread];
// work that blocks goes out through [Reactor.CallInThread], and its result comes back with [DeferToThread]. A callback that
// keeps the loop all the same is reported while it does ([Config.StallLimit], [Reactor.Serving]), and [Reactor.Lag] says
// how long the loop is away from its connections. [Reactor.Shares] says what its time goes to.
//
// Connections are accepted by [Reactor.ListenTCP], [Reactor.ListenUnix] and [Reactor.ListenFD], and opened by
// [Reactor.ConnectTCP] and [Reactor.ConnectUnix]; [Reactor.AdoptConn] and [Reactor.AdoptFD] take over those that were opened
// elsewhere. A [ReconnectingClientFactory] keeps a client connected. To a Protocol all are alike. Why one has ended is said by
// an error that errors.Is tells apart, and [ReasonName] names for logs. Datagrams come and go through [Reactor.ListenUDP].
//
// A reactor is a value. There may be many in one process, each on a goroutine of its own; a connection stays where it was
// accepted. A [Group] is one loop for each core, started and stopped together; [Port.Share] has several reactors accept from
// one port. [Default] is a singleton for programs that need one loop only. [Reactor.Iterate] is for a program that has a loop
// already.
//
// # What holds
//
// Each connection gets ConnectionLost exactly once, last, and never from inside another of its callbacks. A panic in a
// callback is reported and costs the connection that it happened in. A peer that reads a clean end has received all output that
// was accepted before; else it gets a reset. A port survives what accept(2) may say. A loop that has nothing to do does nothing: no
// wake-ups. When Run returns, no descriptor and no goroutine is left.
//
// # How it is cut
//
// loop.go is one tick, and calls everything else: the descriptor table (fdset.go), posted calls (calls.go), timers
// (timers.go), timeouts of connections (sweep.go), the events of its life (triggers.go). listen.go binds, port.go and accept.go accept,
// client.go connects and reconnect.go connects again; transport.go and output.go are a connection, and producer.go,
// sendfile.go, detach.go and adopt.go the rarer things that it can do; lines.go is a protocol on top of one; udp.go is a UDP
// port. stall.go and shares.go watch the loop. All of them know the kernel through one interface, System (system.go), which a simulation
// can replace; what is below it is a poller and the socket calls, in files of their own for each kind of system.
package reactor
