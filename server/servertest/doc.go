// Package servertest tests handlers and whole servers in memory: a request in, an answer out, in one line. No port is opened,
// no time is waited for, and nothing is left running.
//
//	func TestHello(t *testing.T) {
//		servertest.Get(t, routes(), "/hello/Ann").Want(200).WantText("Hello, Ann!\n")
//	}
//
// What runs is the real thing: the parser, the server with its bounds and time-outs, the loop with its transports. Only the
// kernel below is replaced, by package reactor/sim. The clock is virtual, and Server.DetectLateUse is on.
//
// # Clients
//
// [Get] and [Do] make a server for one request. [New] makes a [Client] for several requests to one handler, and [Serve] one for
// a [server.Server] with bounds and hooks of its own. Handlers of net/http are tested through nethttp.From.
//
//   - A request is "METHOD target" and its parts: [Header], [Body], [JSON], [Form], [Multipart], [Chunks], [Expect100], [From]
//     and others.
//   - A [Response] has Want, WantHeader, WantText, WantContains and WantJSON, which can be chained, and JSON, which decodes.
//   - [Client.Start] is for what takes its time: an [Exchange] sends an upload in pieces, and reads a stream or events as they
//     come.
//   - [Client.Upgrade] and [Client.Dial] give a [Conn], for other protocols and for bytes that no client would send. Package
//     server/websocket/websockettest is a WebSocket client, which talks through a Conn: websockettest.New(c.Dial(), nil).
//   - [Client.Shutdown] ends the server as a program does.
//   - [Response.Conversation] is what was said on the wire. Package golden compares it with a file.
//   - [Seeds] and [Client.Crowd] have peers that are slow, leave and vanish, by the dice of a seed.
//
// What fails is reported with the conversation and the server's log. A panic of a handler fails the test; see [MayPanic].
// What cannot go on, such as an answer that never comes, ends the test by Fatalf.
//
// # Time
//
// The loops run only while a call waits: Do for the answer, Event for the next event. Between two calls everything stands
// still, so a handler on the loop and the test share variables without a lock. Start and Send return when the server has
// nothing more to do at that moment.
//
// Time is virtual. It begins at 2026-01-01 00:00:00 UTC and passes when a call waits for something that only time can bring:
// a timer of the loop (Reactor.CallLater), or a time-out of the server. So a Get whose handler answers after a minute
// returns at once. A call fails the test after an hour of virtual time. [Client.Advance] lets time pass without waiting for
// anything. All of it happens in the order of time, and takes no real time.
//
// A file that the test has written is younger than that, and no condition on its time holds: see os.Chtimes.
//
// # Blocking handlers
//
// A Blocking handler runs on a goroutine of its own, in real time: while it works, virtual time stands still and the call waits
// for it, for at most 10 s. A handler that waits for its peer, in BodyReader or in Write of a Stream, does not keep
// time from passing, unless it has set a deadline for that, which is real time. Advance, Start and Send do not wait for a handler that waits for something else, such as a channel: when
// the goroutines have been silent for a millisecond, they go on.
//
// A handler that looks at the clock itself (time.Sleep, time.After, context.WithTimeout) wants a test in a bubble of
// testing/synctest. There the server and all goroutines of the test have the same virtual time, and nothing depends on how
// fast the machine is:
//
//	func TestSlowReport(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			c := servertest.New(t, server.BlockingFunc(report)) // it sleeps for an hour
//			c.Get("/report").Want(200)                          // at once
//		})
//	}
//
// In a bubble, time begins at 2000-01-01 00:00:00 UTC, as package testing/synctest has it.
package servertest
