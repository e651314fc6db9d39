package main

// The life of demo: read the flags, bind, say where, serve until a signal, drain, exit.

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"microhttp/middleware"
	"microhttp/middleware/compress"
	"microhttp/middleware/figures"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// flushPatience is how long the end of the program waits for a log that is stuck.
const flushPatience = time.Second

func runDemo(args []string, stdout, stderr io.Writer) int {
	var o options
	switch err := o.parse(args, stdout); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return misuse(stderr, "microhttp demo", err)
	case o.routes:
		if err := newRoutes().WriteTable(stdout); err != nil {
			fmt.Fprintf(stderr, "microhttp demo: %v\n", err)
			return exitFailed
		}
		return exitOK
	}
	out := server.NewLogWriter(stderr) // shared by the loops' log and us
	defer out.Flush(flushPatience)
	if err := serve(o.newServer(out), &o, out); err != nil {
		fmt.Fprintf(out, "microhttp demo: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// newServer makes the server of the options, which logs to out.
func (o *options) newServer(out io.Writer) *server.Server {
	log := server.Zerolog(zerolog.New(out).Level(o.level).With().Timestamp().Logger())
	around := append([]server.Middleware{middleware.Recover(log)}, o.accessLog.middleware(log, out)...)
	if o.compress {
		around = append(around, compress.New(compress.Config{}))
	}
	return o.withHandler(server.Chain(around...)(newRoutes()), log)
}

// withHandler makes the server of the options, with what it serves.
func (o *options) withHandler(h server.Handler, log *server.Log) *server.Server {
	s := &o.server
	if s.Loops == 0 {
		s.Loops = runtime.GOMAXPROCS(0) // as the server would, but we want to say it
	}
	s.Log, s.Handler = log, o.begin.around(h)
	if o.debugAddr != "" {
		o.tally = newTally()
		s.Handler = figures.Middleware(o.tally)(s.Handler)
	}
	return s
}

// serve binds s, says where, and runs it until SIGINT or SIGTERM.
func serve(s *server.Server, o *options, out io.Writer) error {
	command := "microhttp " + cmp.Or(o.command, "demo")
	if err := o.begin.listen(s, command, out); err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	defer reloadOnHangup(s)()
	fmt.Fprintf(out, "%s: listening on %s (%s)\n", command, where(o.begin.served(s), o.begin.secure()), loops(s.Loops))
	stopDebug, err := startDebug(o, command, s, out)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer stopDebug()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.RunUntil(ctx, o.grace) }()
	select {
	case err := <-ended:
		return err
	case <-signals:
	}
	fmt.Fprintf(out, "%s: shutting down, for at most %v\n", command, max(s.ShutdownDelay, 0)+o.grace)
	stop()
	select {
	case err := <-ended:
		if errors.Is(err, context.DeadlineExceeded) {
			fmt.Fprintf(out, "%s: cut off what was still open after %v\n", command, o.grace)
			return nil
		}
		return err
	case sig := <-signals: // of a user who cannot wait for that
		return fmt.Errorf("ended at once: %v", sig)
	}
}

// reloadOnHangup has SIGHUP read the certificates again, until stop is called. What comes of it is logged.
func reloadOnHangup(s *server.Server) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangups {
			_ = s.ReloadCertificates()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
	}
}

// where lists what the server listens on.
func where(addrs []net.Addr, secure bool) string {
	var all []string
	for _, a := range addrs {
		prefix := "http://"
		if secure {
			prefix = "https://"
		}
		if a.Network() == "unix" {
			prefix = "unix:"
		}
		all = append(all, prefix+a.String())
	}
	return strings.Join(all, ", ")
}

func loops(n int) string {
	if n == 1 {
		return "1 loop"
	}
	return fmt.Sprintf("%d loops", n)
}
