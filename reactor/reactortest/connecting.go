package reactortest

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"microhttp/reactor"
)

var connecting = []promise{
	scripted("BothEndsAreMadeAndKnowEachOther", func(s *script) {
		server, client := s.connect(setting{})
		if server.Info().RemoteAddr() != client.Info().LocalAddr() || client.Info().RemoteAddr() != server.Info().LocalAddr() || !client.Info().LocalAddr().IsValid() {
			s.Errorf("the server is %v and sees %v, the client is %v and sees %v",
				server.Info().LocalAddr(), server.Info().RemoteAddr(), client.Info().LocalAddr(), client.Info().RemoteAddr())
		}
		if server.Reactor() != s.r || client.Reactor() != s.r {
			s.Error("they are on another reactor")
		}
		if _, err := server.Info().Socket().UnixPeer(); !errors.Is(err, syscall.EPROTOTYPE) {
			s.Errorf("UnixPeer of a TCP connection: %v", err)
		}
		name := "tcp " + server.Info().RemoteAddr().String()
		if got := server.String(); got != name {
			s.Errorf("named %q, want %q", got, name)
		}
		server.LoseConnection()
		if got := server.String(); got != name+", ending" {
			s.Errorf("named %q when it is asked to end", got)
		}
		server.lost()
		if got := server.String(); server.Info().LocalAddr().IsValid() || got != name+", lost" {
			s.Errorf("a lost connection has the address %v, and is named %q", server.Info().LocalAddr(), got)
		}
	}),
	scripted("AnAddressIsTakenOnce", func(s *script) {
		p := s.listen(nil, func() *end { return nil })
		_, err := s.r.ListenTCP(p.Addr().String(), reactor.FactoryFunc(nil), nil)
		var op *net.OpError
		if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) {
			s.Errorf("a second port: %v", err)
		}
		p.StopListening()
		p.StopListening()
		again := must(s.r.ListenTCP(p.Addr().String(), reactor.FactoryFunc(nil), nil))(s)
		if again.Addr() != p.Addr() {
			s.Errorf("it listens on %v, not on %v", again.Addr(), p.Addr())
		}
	}),
	scripted("AClosedPortIsAFailureToldOnce", func(s *script) {
		p := s.listen(nil, func() *end { return nil })
		p.StopListening()
		client := s.newEnd("client")
		c := s.dial(p, client, nil)
		if client.failures > 0 {
			s.Error("told inside the call")
		}
		wantReason(client, reactor.ErrConnectFailed)
		if !errors.Is(client.reason, syscall.ECONNREFUSED) {
			s.Errorf("failed with %v", client.reason)
		}
		s.tick()
		if client.failures != 1 || client.made || c.State() != reactor.Disconnected {
			s.Errorf("%d failures, made %v, %v", client.failures, client.made, c.State())
		}
	}),
	scripted("AFailureMayBeTriedAgain", func(s *script) {
		p := s.listen(nil, func() *end { return nil })
		p.StopListening()
		client := s.newEnd("client")
		d := &dialler{end: client}
		d.again = func(c *reactor.Connector) {
			if client.failures == 3 { // now somebody is there
				must(s.r.ListenTCP(p.Addr().String(), reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
					return s.newEnd("server")
				}), nil))(s)
			}
			if err := c.Connect(); err != nil {
				s.Error(err)
			}
		}
		c := must(s.r.ConnectTCP(p.Addr().String(), d, nil))(s)
		s.until("the connection", func() bool { return client.made })
		if client.failures != 3 || c.State() != reactor.Connected {
			s.Errorf("%d failures, %v", client.failures, c.State())
		}
		if err := c.Connect(); err != reactor.ErrConnectorBusy {
			s.Errorf("Connect when connected: %v", err)
		}
	}),
	scripted("Cancelled", func(s *script) {
		p := s.listen(nil, func() *end { return s.newEnd("server") })
		client := s.newEnd("client")
		c := s.dial(p, client, nil)
		c.Cancel()
		c.Cancel()
		wantReason(client, reactor.ErrCancelled)
		s.tick()
		if client.failures != 1 || client.made {
			s.Errorf("%d failures, made %v", client.failures, client.made)
		}
	}),
	scripted("AFactoryMayRefuse", func(s *script) {
		asked := 0
		p := s.listen(nil, func() *end { asked++; return nil })
		client := s.newEnd("client")
		s.dial(p, client, nil)
		client.lost()
		if asked != 1 || len(client.data) > 0 {
			s.Errorf("asked %d times; the client got %q", asked, client.data)
		}
	}),
	scripted("FactoriesAreToldOfTheirUse", func(s *script) {
		f := &countedFactory{}
		a := must(s.r.ListenTCP("127.0.0.1:0", f, nil))(s)
		b := must(s.r.ListenTCP("127.0.0.1:0", f, nil))(s)
		a.StopListening()
		if f.starts != 1 || f.stops != 0 {
			s.Errorf("started %d times, stopped %d times while a port is open", f.starts, f.stops)
		}
		b.StopListening()
		s.tick()
		if f.starts != 1 || f.stops != 1 {
			s.Errorf("started %d times, stopped %d times", f.starts, f.stops)
		}
		must(s.r.ListenTCP("127.0.0.1:0", f, nil))(s).StopListening()
		s.tick()
		if f.starts != 2 || f.stops != 2 {
			s.Errorf("started %d times, stopped %d times with another port", f.starts, f.stops)
		}
	}),
	scripted("APanicInStartFactoryLeavesNothing", func(s *script) {
		f := &badFactory{}
		if v := recovered(func() { _, _ = s.r.ListenTCP("127.0.0.1:0", f, nil) }); v != "in StartFactory" {
			s.Errorf("ListenTCP: %v", v)
		}
		if v := recovered(func() { _, _ = s.r.ConnectTCP("127.0.0.1:1", f, nil) }); v != "in StartFactory" {
			s.Errorf("ConnectTCP: %v", v)
		}
		s.tick()
		if n := len(s.r.Readers()) + len(s.r.Writers()); n != 0 || f.stops+f.failures != 0 {
			s.Errorf("%d descriptors are watched, %d stops, %d failures to connect", n, f.stops, f.failures)
		}
	}),
	scripted("AClosedPortServesThoseInItsQueue", func(s *script) {
		var servers, clients []*end
		p := s.listen(nil, func() *end {
			e := s.newEnd("server")
			e.echo()
			servers = append(servers, e)
			return e
		})
		const n = 5
		for range n {
			e := s.newEnd("client")
			e.onMade = func() { e.Write([]byte("hello")) }
			clients = append(clients, e)
			s.dial(p, e, nil)
		}
		s.until("the clients", func() bool {
			for _, e := range clients {
				if !e.made {
					return false
				}
			}
			return true
		})
		p.StopListening()
		for _, e := range clients {
			e.receives([]byte("hello"))
		}
		if len(servers) != n {
			s.Errorf("%d connections", len(servers))
		}
	}),
	scripted("ManyAtOnceGetEachTheirOwn", func(s *script) {
		const n = 100
		p := s.listen(nil, func() *end {
			e := s.newEnd("server")
			e.echo()
			e.onEOF = func() { e.LoseConnection() }
			return e
		})
		var clients []*end
		for i := range n {
			e := s.newEnd("client")
			e.onMade = func() { e.Write(pattern(10 * i)); e.CloseWrite() }
			clients = append(clients, e)
			s.dial(p, e, nil)
		}
		for i, e := range clients {
			if err := e.lost(); err != reactor.ErrConnectionDone {
				s.Errorf("client %d: lost with %v", i, err)
			}
			if len(e.data) != 10*i || string(e.data) != string(pattern(10*i)) {
				s.Errorf("client %d got %d bytes, want %d", i, len(e.data), 10*i)
			}
		}
	}),
	scripted("APanicInBuildProtocolCostsOneConnection", func(s *script) {
		first := true
		p := s.listen(nil, func() *end {
			if first {
				first = false
				panic("in BuildProtocol")
			}
			e := s.newEnd("server")
			e.echo()
			return e
		})
		client := s.newEnd("client")
		s.dial(p, client, nil)
		client.lost()
		wantPanic(s, s.expectReport(1), "in BuildProtocol")
		next := s.newEnd("next client")
		next.onMade = func() { next.Write([]byte("hello")) }
		s.dial(p, next, nil)
		next.receives([]byte("hello"))
	}),
}

// A countedFactory counts what it is told.
type countedFactory struct{ starts, stops int }

func (f *countedFactory) BuildProtocol(netip.AddrPort) reactor.Protocol { return nil }
func (f *countedFactory) StartFactory()                                 { f.starts++ }
func (f *countedFactory) StopFactory()                                  { f.stops++ }

// A badFactory is one that does not start.
type badFactory struct {
	countedFactory
	failures int
}

func (f *badFactory) StartFactory()                              { panic("in StartFactory") }
func (f *badFactory) ConnectionFailed(*reactor.Connector, error) { f.failures++ }
