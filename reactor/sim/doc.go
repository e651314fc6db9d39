// Package sim runs reactors on a system that is made up: a network, descriptors and a clock that live in memory, and
// that go wrong on purpose. The loop, the ports and the transports are the real ones of package reactor; only what is
// below them, [reactor.System], is replaced. All that happens is drawn from one seed, so what a test has seen once it
// can see again.
//
//	sim.Check(t, 1, 1000, sim.Config{}, func(w *sim.World) { // the seeds 1 to 1000
//		r := w.Reactor("server", reactor.Config{})
//		port, err := r.ListenTCP("127.0.0.1:0", factory, nil)
//		...
//		w.Go("client", func() {
//			conn, err := w.Dial(port.Addr())
//			...
//			fmt.Fprint(conn, "hello")
//		})
//	})
//
// A [World] holds any number of reactors, and scripts: functions started by [World.Go] that play the peers. A script is
// written as an ordinary client is, with calls that wait; [Conn] is a net.Conn. World.Run, or Check for many seeds,
// runs all of them in turns until the scripts have returned, then stops the reactors and looks at what they have left
// behind.
//
// A test can also drive a world, without scripts and without Run: outside of all scripts, the calls that wait run the world
// for as long as they wait. [World.End] ends such a world. In a bubble of testing/synctest, with [Config.Bubble], the
// goroutines of the test have the world's time.
//
// # Turns
//
// Everything runs on one goroutine at a time: a script until it waits for something, a reactor for one tick. Who of
// those that can go on does so is drawn from the seed. Time is virtual. It passes when no task can go on, and then at
// once to where the next thing happens; and a little with each system call. An hour costs nothing. A script must wait
// only through this package: through Conn, [World.Sleep], [World.Wait]; it must not wait for a channel or a lock.
//
// When no task can go on and nothing is due, nothing can ever happen again. Run then fails and says who waits for what.
// But while calls of [reactor.Reactor.CallInThread] are outstanding, or something that [World.Outside] has announced,
// time passes as the real one does and Run waits for them. Such runs are not the same each time.
//
// # What goes wrong
//
// Bytes are delayed, cut and merged at any place; reads and writes move less than they could, or say EAGAIN or EINTR
// for nothing; buffers are small, so that writers really have to wait; connections are reset under way; accept finds no
// descriptor, or a connection that has gone; connecting is refused or times out; datagrams are lost, doubled and
// overtaken. A poll reports in any order, leaves some out, reports what is not ready and what was meant for an earlier
// owner of the descriptor; a wait ends early or late, and the clock leaps. Descriptor numbers are used again at once,
// the lowest first. [Config] says how often.
//
// What goes wrong is only ever what may go wrong on a real machine, and it shows as there: a peer that closes a socket
// with input unread resets it, and the peer may lose what it had not yet read.
//
// # What is checked
//
// Run fails when a callback panics, unless ReportError is set; when a descriptor is used that is not open; when a
// descriptor is left open. Bytes that DataReceived was lent are overwritten with [Poison] as soon as the loop cannot be
// in that callback any more, when it reads again or looks for what is ready, so that who keeps them soon keeps rubbish.
// A failure gives the seed and the last things that happened; SIM_SEED in the environment has Check run that seed
// alone. SIM_SEEDS=10 has tests that count their seeds with [Seeds] make ten times as many worlds.
package sim
