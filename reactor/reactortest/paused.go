package reactortest

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
)

// What a connection notices that does not read: its peer's reset, and nothing of what stands behind unread bytes.
var paused = []promise{
	{"AResetIsNoticed", func(t *testing.T, c Setup) {
		if c.Poller == "select" {
			t.Skip("select(2) tells of a reset only whom it would also tell of bytes")
		}
		unread := func(server, client *end) {
			client.Write(pattern(100))
			server.s.tick()
		}
		for name, before := range map[string]func(server, client *end){
			"WithNothingUnread": func(server, client *end) { server.PauseReading() },
			"BehindUnreadBytes": func(server, client *end) { server.PauseReading(); unread(server, client) },
			"PausedByDataReceived": func(server, client *end) {
				server.onData = func([]byte) { server.PauseReading() }
				unread(server, client)
				server.s.until("the bytes", func() bool { return len(server.data) > 0 })
				unread(server, client)
			},
			"AfterItsHalfClose": func(server, client *end) {
				client.CloseWrite()
				server.s.until("the half-close", func() bool { return server.eof })
			},
			"BehindAnUnreadHalfClose": func(server, client *end) {
				server.PauseReading()
				unread(server, client)
				client.CloseWrite()
				server.s.tick()
			},
			"AfterOurHalfClose": func(server, client *end) {
				server.PauseReading()
				server.CloseWrite()
				client.PauseReading()
				unread(server, client)
			},
		} {
			t.Run(name, func(t *testing.T) {
				play(t, c, func(s *script) {
					halfCloses := func(e *end) { e.onEOF = func() {} }
					server, client := s.connect(setting{server: halfCloses, client: halfCloses})
					before(server, client)
					s.tick()
					client.AbortConnection()
					wantReason(server, reactor.ErrConnectionLost)
					var errno syscall.Errno
					if !errors.As(server.reason, &errno) || errno != syscall.ECONNRESET && errno != syscall.EPIPE {
						s.Errorf("lost with %v, want a reset", server.reason)
					}
				})
			})
		}
	}},
	scripted("AHalfCloseBehindUnreadBytesIsNoLoss", func(s *script) {
		server, client := s.connect(setting{server: func(e *end) { e.onEOF = func() {} }})
		server.PauseReading()
		want := pattern(1000)
		client.Write(want)
		client.CloseWrite()
		s.restsFor(50 * time.Millisecond)
		if server.losses > 0 || len(server.data) > 0 || server.eof {
			s.Fatalf("%d bytes received while paused, lost: %v", len(server.data), server.reason)
		}
		server.Write([]byte("an answer"))
		client.receives([]byte("an answer"))
		server.ResumeReading()
		server.receives(want)
		s.until("the end of its bytes", func() bool { return server.eof })
	}),
	// Both directions are closed then, which every poller calls a hang-up, for as long as the bytes are there.
	scripted("TwoHalfClosesAroundUnreadBytesAreNoLoss", func(s *script) {
		server, client := s.connect(setting{
			server: func(e *end) { e.onEOF = func() {} },
			client: func(e *end) { e.onEOF = func() {} },
		})
		server.PauseReading()
		want := pattern(1000)
		client.Write(want)
		server.CloseWrite()
		s.until("our half-close", func() bool { return client.eof })
		client.CloseWrite()
		s.restsFor(50 * time.Millisecond)
		if server.losses > 0 || len(server.data) > 0 {
			s.Fatalf("%d bytes received while paused, lost: %v", len(server.data), server.reason)
		}
		server.ResumeReading()
		server.receives(want)
		wantReason(server, reactor.ErrConnectionDone)
	}),
}

// restsFor lets d pass, in which the loop must have next to nothing to do.
func (s *script) restsFor(d time.Duration) {
	const most = 20
	before := s.r.Lag().Count()
	s.pass(d)
	if n := s.r.Lag().Count() - before; n > most {
		s.Errorf("%d ticks in %v: the loop spins", n, d)
	}
}
