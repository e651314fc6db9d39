package server

import (
	"context"
	"io"
	"log/slog"

	"microhttp/server/internal/driven"

	"github.com/rs/zerolog"
)

// What package servertest asks of a server: loops that it runs itself, on a system of its own.

func init() {
	driven.Listen = func(s any, in driven.World) (*driven.Server, error) { return s.(*Server).listenIn(in) }
	driven.Text = func(dst, lines []byte) []byte { return appendText(dst, lines, stylePlain) }
}

// listenIn is Listen in a world, and the part of Run that comes before the loops.
func (s *Server) listenIn(in driven.World) (*driven.Server, error) {
	s.init()
	s.log = s.log.watched(in.OnError)
	s.system, s.clock = in.System, in.Clock
	if _, err := s.Listen(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return &driven.Server{
		Loops:   s.group.Reactors(),
		Waiting: func() int { return int(s.places.resting.Load()) },
		Ended:   s.finish,

		Announce: func() { s.announce() },
		Drain:    s.drain,
		Drained:  s.drained,
		Stop:     s.group.Stop,
		Abort:    s.abort,
	}, nil
}

// drained reports whether the loops have no connection left, after drain.
func (s *Server) drained() bool {
	for _, w := range s.workers {
		select {
		case <-w.drained:
		default:
			return false
		}
	}
	return true
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

// rest is the wait of a handler off the loop for its peer. The code that wakes the handler ends it, under the same lock: so at no
// time does a handler count as resting that is about to go on. See driven.Server.
type rest struct{ on bool }

// begin begins a wait, which has a deadline. One that is set is real time, and then the handler does not count.
func (r *rest) begin(x *exchange, d *deadline) {
	switch {
	case d.timer != nil:
		r.end(x)
	case !r.on:
		r.on = true
		x.req.conn.w.srv.places.resting.Add(1)
	}
}

func (r *rest) end(x *exchange) {
	if r.on {
		r.on = false
		x.req.conn.w.srv.places.resting.Add(-1)
	}
}
