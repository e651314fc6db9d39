package server

import (
	"microhttp/reactor"
	"microhttp/server/internal/driven"
)

// What package servertest asks of a server: loops that it runs itself, on a system of its own.

func init() {
	driven.Listen = func(s any, on reactor.System) (*driven.Server, error) { return s.(*Server).listenOn(on) }
	driven.Text = func(dst, lines []byte) []byte { return appendText(dst, lines, stylePlain) }
}

// listenOn is Listen on a system, and the part of Run that comes before the loops.
func (s *Server) listenOn(on reactor.System) (*driven.Server, error) {
	s.system = on
	if _, err := s.Listen(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return &driven.Server{
		Loops:   s.group.Reactors(),
		Waiting: s.places.waitForPeers,
		Ended:   s.finish,
	}, nil
}

// waitForPeers returns how many jobs wait for their peers.
func (p *places) waitForPeers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.in[jobWaiting].n + p.in[jobKeeping].n
}
