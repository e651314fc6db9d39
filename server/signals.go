package server

import (
	"context"
	"log/slog"
	"os/signal"
	"syscall"
	"time"
)

// RunUntilSignal serves until the process gets SIGINT or SIGTERM, and then shuts down gracefully. It is all that main needs:
//
//	s := &server.Server{Addr: ":8080", Handler: routes}
//	if err := s.RunUntilSignal(10 * time.Second); err != nil {
//		log.Fatal(err)
//	}
//
// It is [Server.RunUntil] with a context of these signals. For each address a line in the log, at level info, says where it
// serves, and one that it shuts down. A second signal ends the process at once.
func (s *Server) RunUntilSignal(grace time.Duration) error {
	if err := s.listenOnce(); err != nil {
		return err
	}
	signaled, restore := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer restore()
	for _, url := range s.urls() {
		s.log.Line(slog.LevelInfo).Str("url", url).Msg("serving")
	}
	defer context.AfterFunc(signaled, func() {
		restore()
		s.log.Line(slog.LevelInfo).Dur("grace", grace).Msg("shutting down")
	})()
	return s.RunUntil(signaled, grace)
}

// urls returns where the server listens, as a client names it.
func (s *Server) urls() (all []string) {
	for i, at := range s.Addrs() {
		switch {
		case at.Network() == "unix":
			all = append(all, unixPrefix+at.String())
		case s.secured[i]:
			all = append(all, "https://"+at.String())
		default:
			all = append(all, "http://"+at.String())
		}
	}
	return all
}
