package reactortest

import (
	"errors"
	"syscall"
	"time"

	"microhttp/reactor"
)

var ending = []promise{
	scripted("LoseConnectionSendsWhatIsQueued", func(s *script) {
		server, client := s.connect(setting{})
		want := pattern(4 << 20)
		server.Write(want)
		server.LoseConnection()
		server.Write([]byte("too late"))
		wantReason(client, reactor.ErrConnectionDone)
		wantReason(server, reactor.ErrConnectionDone)
		client.receives(want)
	}),
	scripted("LoseConnectionStopsReading", func(s *script) {
		server, client := s.connect(setting{})
		server.onData = func([]byte) { server.LoseConnection() }
		client.Write([]byte("x"))
		wantReason(server, reactor.ErrConnectionDone)
		client.Write([]byte("more"))
		client.lost()
		if string(server.data) != "x" {
			s.Errorf("received %q", server.data)
		}
	}),
	scripted("AGreetingThatIsAllReachesThePeer", func(s *script) {
		_, client := s.connect(setting{server: func(e *end) {
			e.onMade = func() { e.Write([]byte("sorry")); e.LoseConnection() }
		}})
		wantReason(client, reactor.ErrConnectionDone)
		client.receives([]byte("sorry"))
	}),
	scripted("AbortConnectionResets", func(s *script) {
		server, client := s.connect(setting{})
		client.PauseReading()
		server.Write(pattern(16 << 20))
		server.AbortConnection()
		if server.losses > 0 {
			s.Error("lost inside the call")
		}
		wantReason(server, reactor.ErrAborted)
		client.ResumeReading()
		wantReason(client, reactor.ErrConnectionLost)
		if !errors.Is(client.reason, syscall.ECONNRESET) {
			s.Errorf("the peer was lost with %v", client.reason)
		}
		if len(client.data) == 16<<20 {
			s.Error("all was sent")
		}
	}),
	scripted("AbortConnectionBeatsLoseConnection", func(s *script) {
		server, client := s.connect(setting{})
		server.LoseConnection()
		server.LoseConnection()
		server.AbortConnection()
		wantReason(server, reactor.ErrAborted)
		wantReason(client, reactor.ErrConnectionLost)
	}),
	scripted("APausedConnectionCanEnd", func(s *script) {
		server, client := s.connect(setting{})
		server.PauseReading()
		server.LoseConnection()
		wantReason(server, reactor.ErrConnectionDone)
		wantReason(client, reactor.ErrConnectionDone)
	}),
	scripted("APeerThatTakesNothingTimesOut", func(s *script) {
		server, client := s.connect(setting{listen: reactor.TransportOptions{WriteTimeout: 100 * time.Millisecond}})
		client.PauseReading()
		begun := s.r.Now()
		server.Write(pattern(16 << 20))
		wantReason(server, reactor.ErrTimeout)
		if d := s.r.Now().Sub(begun); d < 100*time.Millisecond {
			s.Errorf("lost after %v", d)
		}
	}),
	scripted("LingeringTimesOut", func(s *script) {
		server, client := s.connect(setting{listen: reactor.TransportOptions{LingerTimeout: 100 * time.Millisecond}})
		client.PauseReading()
		server.Write(pattern(16 << 20))
		s.pass(200 * time.Millisecond)
		if server.losses > 0 {
			s.Fatalf("lost with %v", server.reason)
		}
		server.LoseConnection()
		wantReason(server, reactor.ErrTimeout)
	}),
	scripted("UseAfterTheEndIsHarmless", func(s *script) {
		server, client := s.connect(setting{})
		use := func() {
			server.Write([]byte("too late"))
			server.Commit(append(server.Room(0), "too late"...))
			server.Send(reactor.Lent([]byte("too")), reactor.Lent([]byte("late")))
			f := &file{content: []byte("too late")}
			server.Send(reactor.FileRange(f, 0, 8))
			server.CloseWrite()
			server.PauseReading()
			server.ResumeReading()
			server.SetTimeout(1)
			server.RegisterProducer(nil)
			server.LoseConnection()
			server.AbortConnection()
			if _, err := server.Detach(); err == nil {
				s.Error("a lost connection was detached")
			}
		}
		server.onLost = func(error) { use() }
		server.Write([]byte("in time"))
		server.LoseConnection()
		wantReason(client, reactor.ErrConnectionDone)
		server.lost()
		use()
		s.pass(200 * time.Millisecond)
		client.receives([]byte("in time"))
		if server.Buffered() != 0 {
			s.Error("a lost connection holds output")
		}
	}),
	scripted("NobodyIsToldFromInsideTheirOwnCall", func(s *script) {
		for _, act := range []func(e *end){
			func(e *end) { e.LoseConnection() },
			func(e *end) { e.AbortConnection() },
			func(e *end) { e.CloseWrite(); e.LoseConnection() },
		} {
			server, client := s.connect(setting{})
			told := true
			server.onData = func([]byte) { act(server); told = server.losses > 0 }
			client.Write([]byte("x"))
			server.lost()
			if told {
				s.Error("told within the call")
			}
		}
	}),
	scripted("RemoveAllTellsNobody", func(s *script) {
		server, client := s.connect(setting{server: (*end).echo})
		p := s.listen(nil, func() *end { return nil })
		all := s.r.RemoveAll()
		if n := len(all); n != 3 {
			s.Errorf("%d were removed, want two connections and a port", n)
		}
		if len(s.r.Readers())+len(s.r.Writers()) != 0 {
			s.Error("somebody is left")
		}
		s.tick()
		for _, d := range all {
			if err := s.r.AddReader(d.(reactor.Reader)); err != nil {
				s.Error(err)
			}
		}
		if n := len(s.r.Readers()); n != 3 {
			s.Errorf("%d readers", n)
		}
		client.Write([]byte("hello"))
		client.receives([]byte("hello"))
		if server.losses > 0 {
			s.Errorf("lost with %v", server.reason)
		}
		p.StopListening()
	}),
}
