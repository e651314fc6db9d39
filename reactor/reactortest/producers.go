package reactortest

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"microhttp/reactor"
)

// held is more than two sockets hold of what nobody reads.
const held = 4 << 20

// What a connection and its producer promise each other, beside the water marks, which are with the output.
var producers = []promise{
	scripted("LoseConnectionWaitsForAProducer", func(s *script) {
		server, client := s.connect(setting{client: func(e *end) { e.onEOF = func() {} }})
		p := &notedProducer{}
		server.RegisterProducer(p)
		server.Write([]byte("some"))
		server.LoseConnection()
		s.pass(50 * time.Millisecond)
		if server.losses > 0 || client.eof {
			s.Fatalf("lost with %v, half-closed %v", server.reason, client.eof)
		}
		server.Write([]byte(" and the rest"))
		server.LoseConnection() // which says nothing new
		server.RegisterProducer(nil)
		server.Write([]byte(" but this"))
		wantReason(server, reactor.ErrConnectionDone)
		client.receives([]byte("some and the rest"))
		p.wants(s)
	}),
	scripted("CloseWriteWaitsForAProducer", func(s *script) {
		server, client := s.connect(setting{client: func(e *end) { e.onEOF = func() {} }})
		p := &notedProducer{}
		server.RegisterProducer(p)
		server.CloseWrite()
		client.Write([]byte("still read"))
		server.receives([]byte("still read"))
		server.Write([]byte("all of it"))
		s.pass(20 * time.Millisecond)
		if client.eof || server.halfClosed {
			s.Error("half-closed with a producer registered")
		}
		server.RegisterProducer(nil)
		s.until("the half-close", func() bool { return client.eof && server.halfClosed })
		client.receives([]byte("all of it"))
		p.wants(s)
	}),
	scripted("TheEndOfCloseWriteIsTold", func(s *script) {
		server, client := s.connect(setting{client: func(e *end) { e.onEOF = func() {} }})
		client.PauseReading()
		want := pattern(held)
		server.Write(want)
		server.CloseWrite()
		s.pass(20 * time.Millisecond)
		s.wantHeld(server)
		if server.halfClosed {
			s.Error("told while output waits")
		}
		client.ResumeReading()
		s.until("WriteConnectionLost", func() bool { return server.halfClosed })
		if n := server.Buffered(); n > 0 || server.losses > 0 {
			s.Errorf("told with %d bytes unsent, lost: %v", n, server.reason)
		}
		client.receives(want)
		server.CloseWrite() // an end sees to it that it is told once
		client.LoseConnection()
		wantReason(server, reactor.ErrConnectionDone)
		wantReason(client, reactor.ErrConnectionDone)
	}),
	scripted("WriteConnectionLostMayEndTheConnection", func(s *script) {
		for _, tc := range []struct {
			act  func(e *end)
			want error
		}{
			{func(e *end) { e.LoseConnection() }, reactor.ErrConnectionDone},
			{func(e *end) { e.AbortConnection() }, reactor.ErrAborted},
		} {
			server, client := s.connect(setting{})
			server.onHalfClosed = func() { tc.act(server) }
			server.Write([]byte("all of it"))
			server.CloseWrite()
			wantReason(server, tc.want)
			client.lost()
		}
	}),
	scripted("ALostConnectionStopsItsProducer", func(s *script) {
		for name, lose := range map[string]func(server, client *end){
			"abort":      func(server, client *end) { server.AbortConnection() },
			"reset":      func(server, client *end) { client.AbortConnection() },
			"peer's end": func(server, client *end) { client.LoseConnection() },
			"timeout":    func(server, client *end) { server.SetTimeout(1) },
		} {
			server, client := s.connect(setting{})
			p, late := &notedProducer{}, &notedProducer{}
			p.onStop = func() {
				if server.losses > 0 {
					s.Errorf("%s: stopped after ConnectionLost", name)
				}
			}
			server.onLost = func(error) {
				p.wants(s, "stop")
				server.RegisterProducer(late)
				late.wants(s, "stop")
				server.RegisterProducer(nil)
			}
			server.RegisterProducer(p)
			lose(server, client)
			server.lost()
			client.lost()
			p.wants(s, "stop")
		}
	}),
	{"StopStopsThem", func(t *testing.T, c Setup) {
		p := &notedProducer{}
		play(t, c, func(s *script) {
			server, _ := s.connect(setting{})
			server.RegisterProducer(p)
		})
		if !slices.Equal(p.told, []string{"stop"}) {
			t.Errorf("the producer was told %v", p.told)
		}
	}},
	scripted("APanicInStopProducingIsReportedAndNoMore", func(s *script) {
		server, client := s.connect(setting{})
		server.RegisterProducer(&notedProducer{onStop: func() { panic("in StopProducing") }})
		server.AbortConnection()
		wantReason(server, reactor.ErrAborted)
		wantPanic(s, s.expectReport(1), "in StopProducing")
		client.lost()
	}),
	scripted("ASecondProducerPanics", func(s *script) {
		server, client := s.connect(setting{})
		a, b := &notedProducer{}, &notedProducer{}
		server.RegisterProducer(a)
		for _, p := range []reactor.Producer{a, b, client} {
			if v := recovered(func() { server.RegisterProducer(p) }); v == nil {
				s.Error("a second producer was accepted")
			}
		}
		server.RegisterProducer(nil)
		server.RegisterProducer(b)
		server.AbortConnection()
		server.lost()
		client.lost()
		a.wants(s)
		b.wants(s, "stop")
	}),
	scripted("AnEndByThePeerIsNotInFrontOfWhatIsQueued", func(s *script) {
		server, client := s.connect(setting{client: func(e *end) { e.onEOF = func() {} }})
		client.PauseReading()
		want := pattern(held)
		server.Write(want)
		client.CloseWrite()
		s.pass(50 * time.Millisecond)
		if server.losses > 0 {
			s.Fatalf("lost with %v", server.reason)
		}
		s.wantHeld(server)
		client.ResumeReading()
		client.receives(want)
		wantReason(server, reactor.ErrConnectionDone)
		s.until("the end", func() bool { return client.eof })
	}),
	scripted("AnEndByThePeerInFrontOfAPausedProducerIsAReset", func(s *script) {
		server, client := s.connect(setting{client: func(e *end) { e.onEOF = func() {} }})
		client.PauseReading()
		p := &notedProducer{}
		server.RegisterProducer(p)
		server.Write(pattern(held))
		s.until("a pause", func() bool { return len(p.told) > 0 })
		client.CloseWrite()
		wantReason(server, reactor.ErrConnectionLost)
		if !errors.Is(server.reason, io.ErrShortWrite) {
			s.Errorf("lost with %v", server.reason)
		}
		client.ResumeReading()
		wantReason(client, reactor.ErrConnectionLost)
		p.wants(s, "pause", "stop")
	}),
	scripted("AConnectionMayProduceForItself", func(s *script) { // as an echo does
		server, client := s.connect(setting{server: func(e *end) { e.echo(); e.onEOF = func() { e.LoseConnection() } }})
		server.RegisterProducer(server.Transport)
		client.PauseReading()
		want := pattern(held)
		client.Write(want)
		client.CloseWrite()
		s.pass(50 * time.Millisecond)
		s.wantHeld(client)
		if n := server.Buffered(); n > 1<<20 {
			s.Errorf("%d bytes are queued", n)
		}
		client.ResumeReading()
		client.receives(want)
		wantReason(server, reactor.ErrConnectionDone)
	}),
	{"AConnectionMayProduceForAnother", func(t *testing.T, c Setup) {
		for name, end := range map[string]func(s *script, far, near *end){
			"UntilTheFarEndIsLost": func(s *script, far, near *end) {
				far.LoseConnection()
				wantReason(near, reactor.ErrConnectionDone)
			},
			"UntilTheNearEndIsLost": func(s *script, far, near *end) {
				near.LoseConnection()
				wantReason(far, reactor.ErrConnectionDone)
			},
			"UntilTheFarEndIsReset": func(s *script, far, near *end) {
				far.AbortConnection()
				near.lost()
			},
			"UntilTheNearEndIsReset": func(s *script, far, near *end) {
				near.AbortConnection()
				far.lost()
			},
		} {
			t.Run(name, func(t *testing.T) { play(t, c, func(s *script) { forward(s, end) }) })
		}
	}},
}

// forward puts a forwarder, as Twisted's, between a far end that sends much and a near one that does not read for a while,
// and ends one of them.
func forward(s *script, finish func(s *script, far, near *end)) {
	a, far := s.connect(setting{})
	b, near := s.connect(setting{})
	for _, pair := range [][2]*end{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		from.onData = func(p []byte) { to.Write(p) }
		to.RegisterProducer(from.Transport) // so that from does not read while to cannot send
	}
	near.PauseReading()
	want := pattern(held)
	far.Write(want)
	near.Write([]byte("and back"))
	far.receives([]byte("and back"))
	s.until("the far end to be held back", func() bool {
		n := far.Buffered()
		s.pass(20 * time.Millisecond)
		return n > 0 && n == far.Buffered()
	})
	if n := b.Buffered(); n > 1<<20 {
		s.Errorf("%d bytes are queued in between", n)
	}
	near.ResumeReading()
	near.receives(want)
	finish(s, far, near)
	a.lost()
	b.lost()
}

// wantHeld checks that a test tests something.
func (s *script) wantHeld(e *end) {
	s.Helper()
	if e.Buffered() == 0 {
		s.Errorf("%s: the kernel has taken all that was written", e.name)
	}
}

// A notedProducer notes what it is told.
type notedProducer struct {
	told   []string
	onStop func()
}

func (p *notedProducer) PauseProducing()  { p.told = append(p.told, "pause") }
func (p *notedProducer) ResumeProducing() { p.told = append(p.told, "resume") }

func (p *notedProducer) StopProducing() {
	if p.told = append(p.told, "stop"); p.onStop != nil {
		p.onStop()
	}
}

// wants compares what the producer was told.
func (p *notedProducer) wants(s *script, want ...string) {
	s.Helper()
	if !slices.Equal(p.told, want) {
		s.Errorf("the producer was told %v, want %v", p.told, want)
	}
}
