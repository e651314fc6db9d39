package reactortest

import (
	"errors"
	"net/netip"
	"syscall"

	"microhttp/reactor"
)

// adopting is about taking over connections. Those that are there to be taken over are the reactor's own, detached.
var adopting = []promise{
	scripted("WhatWasDetachedGoesOn", func(s *script) {
		server, client := s.connect(setting{})
		sent := pattern(100_000)
		client.Write(sent)
		server.Write(sent)
		for _, name := range []string{"the second server", "the third"} {
			d, err := server.Detach()
			if err != nil {
				s.Fatal(err)
			}
			next := s.newEnd(name)
			next.data = server.data // which goes on
			next.onMade = func() { next.Write(d.Unsent) }
			remote := server.Info().RemoteAddr()
			must(0, s.r.AdoptFD(d.FD, reactor.FactoryFunc(func(told netip.AddrPort) reactor.Protocol {
				if told != remote {
					s.Errorf("%s is told of the peer %v, not %v", name, told, remote)
				}
				return next.protocol()
			}), nil))(s)
			if !next.made {
				s.Errorf("%s was not told ConnectionMade at once", name)
			}
			wantReason(server, reactor.ErrDetached)
			s.tick()
			next.Write(sent)
			server = next
		}
		server.receives(sent)
		client.receives(append(append(pattern(100_000), sent...), sent...))
		client.LoseConnection()
		wantReason(server, reactor.ErrConnectionDone)
	}),
	scripted("AFactoryMayRefuseIt", func(s *script) {
		server, client := s.connect(setting{})
		d, err := server.Detach()
		if err != nil {
			s.Fatal(err)
		}
		refuse := reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return nil })
		if err := s.r.AdoptFD(d.FD, refuse, nil); err != nil {
			s.Error(err)
		}
		wantReason(client, reactor.ErrConnectionDone)
	}),
	scripted("APortIsNoConnection", func(s *script) {
		p := s.listen(nil, func() *end { return nil })
		fd := s.r.Readers()[0].FD()
		never := reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { s.Error("asked for a protocol"); return nil })
		if err := s.r.AdoptFD(fd, never, nil); !errors.Is(err, syscall.EINVAL) {
			s.Errorf("a port: %v", err)
		}
		p.StopListening()
	}),
}
