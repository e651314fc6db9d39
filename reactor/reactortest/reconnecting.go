package reactortest

import (
	"net/netip"
	"time"

	"microhttp/reactor"
)

var reconnecting = []promise{
	scripted("UntilSomebodyIsThereAndAgainWhenItIsLost", func(s *script) {
		p := s.listen(nil, func() *end { return nil })
		at := p.Addr().String()
		p.StopListening()
		var clients, servers []*end
		var listening *reactor.Port
		open := func() {
			listening = must(s.r.ListenTCP(at, reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
				servers = append(servers, s.newEnd("server"))
				return servers[len(servers)-1]
			}), nil))(s)
		}
		failures := 0
		f := &reactor.ReconnectingClientFactory{
			InitialDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond,
			Factory: reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
				clients = append(clients, s.newEnd("client"))
				return clients[len(clients)-1]
			}),
			Retrying: func(_ *reactor.Connector, reason error, delay time.Duration) {
				if delay <= 0 || delay > 6*time.Millisecond {
					s.Errorf("a delay of %v", delay)
				}
				if failures++; failures == 5 {
					open()
				}
			},
		}
		c := must(s.r.ConnectTCP(at, f, nil))(s)
		for n := 1; n <= 3; n++ {
			s.until("a connection", func() bool { return len(clients) == n && clients[n-1].made && len(servers) == n })
			if n < 3 {
				servers[n-1].LoseConnection()
				wantReason(clients[n-1], reactor.ErrConnectionDone)
			}
		}
		if failures < 7 {
			s.Errorf("%d failures and losses", failures)
		}
		listening.StopListening()
		f.StopTrying()
		servers[2].LoseConnection()
		wantReason(clients[2], reactor.ErrConnectionDone)
		s.pass(20 * time.Millisecond)
		if c.State() != reactor.Disconnected || len(clients) != 3 {
			s.Errorf("%v, %d connections after StopTrying", c.State(), len(clients))
		}
	}),
}
