package server

import (
	"context"
	"io"
	"log/slog"

	"microhttp/reactor"
	"microhttp/server/internal/driven"

	"github.com/rs/zerolog"
)

// What package servertest asks of a server: loops that it runs itself, on a system of its own.

func init() {
	driven.Listen = func(s any, on reactor.System, onError func(string)) (*driven.Server, error) {
		return s.(*Server).listenOn(on, onError)
	}
	driven.Text = func(dst, lines []byte) []byte { return appendText(dst, lines, stylePlain) }
}

// listenOn is Listen on a system, and the part of Run that comes before the loops. onError gets the message of each line of level
// error.
func (s *Server) listenOn(on reactor.System, onError func(message string)) (*driven.Server, error) {
	s.init()
	s.log = s.log.watched(onError)
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

// watched is l with f called for each line of level error, also if l does not write it.
func (l *Log) watched(f func(message string)) *Log {
	if l.h != nil {
		return &Log{h: &watchedHandler{l.h, f}}
	}
	z := l.z
	if z.GetLevel() > zerolog.ErrorLevel {
		z = zerolog.New(io.Discard).Level(zerolog.ErrorLevel)
	}
	return &Log{z: z.Hook(zerolog.HookFunc(func(_ *zerolog.Event, level zerolog.Level, message string) {
		if level == zerolog.ErrorLevel {
			f(message)
		}
	}))}
}

type watchedHandler struct {
	slog.Handler
	f func(message string)
}

func (h *watchedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || h.Handler.Enabled(ctx, level)
}

func (h *watchedHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.f(r.Message)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// waitForPeers returns how many handlers off the loops wait for their peers.
func (p *places) waitForPeers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.in[jobWaiting].n + p.in[jobKeeping].n + int(p.ownWaiting.Load())
}
