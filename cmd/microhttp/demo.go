package main

// The life of demo: read the flags, bind, say where, serve until a signal, drain, exit.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"syscall"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

func runDemo(args []string, stdout, stderr io.Writer) int {
	var o options
	switch err := o.parse(args, stdout); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return misuse(stderr, "microhttp demo", err)
	}
	out := zerolog.SyncWriter(stderr) // shared by the loops' log and us
	if err := serve(o.newServer(out), &o, out); err != nil {
		fmt.Fprintf(out, "microhttp demo: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// newServer makes the server of the options, which logs to out.
func (o *options) newServer(out io.Writer) *server.Server {
	log := zerolog.New(out).Level(o.level).With().Timestamp().Logger()
	s := &o.server
	if s.Loops == 0 {
		s.Loops = runtime.GOMAXPROCS(0) // as the server would, but we want to say it
	}
	s.Logger = &log
	s.Handler = newRoutes()
	if o.accessLog {
		s.Handler = middleware.RequestID(middleware.AccessLog(&log)(s.Handler))
	}
	s.Handler = middleware.Recover(&log)(s.Handler)
	return s
}

// serve runs s until the first SIGINT or SIGTERM, and then until it has drained. A second
// signal finds its default action in place again and ends the process there and then.
func serve(s *server.Server, o *options, out io.Writer) error {
	addr, err := s.Listen()
	if err != nil {
		return err
	}
	told, untold := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer untold()
	fmt.Fprintf(out, "microhttp demo: listening on http://%v (%s)\n", addr, loops(s.Loops))

	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	select {
	case err := <-ended:
		return err
	case <-told.Done():
	}
	untold()
	fmt.Fprintf(out, "microhttp demo: shutting down, for at most %v\n", o.grace)

	ctx, cancel := context.WithTimeout(context.Background(), o.grace)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		fmt.Fprintf(out, "microhttp demo: gave up waiting: connections were cut off\n")
	}
	if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
		return err
	}
	return nil
}

func loops(n int) string {
	if n == 1 {
		return "1 loop"
	}
	return fmt.Sprintf("%d loops", n)
}
