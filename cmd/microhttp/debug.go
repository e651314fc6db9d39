package main

// What an operator looks at is served on a listener of its own, which strangers do not reach: profiles,
// health and metrics.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"

	"microhttp/middleware"
	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
)

var errNotReady = errors.New("shutting down, or not yet up")

// debugRoutes are what -debug-addr serves of s, whose requests t counts.
func debugRoutes(s *server.Server, t *tally) server.Handler {
	r := router.New()
	profiles := http.NewServeMux()
	profiles.HandleFunc("/debug/pprof/", pprof.Index)
	profiles.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	profiles.HandleFunc("/debug/pprof/profile", pprof.Profile)
	profiles.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	profiles.HandleFunc("/debug/pprof/trace", pprof.Trace)
	r.Handle("/debug/pprof/", nethttp.From(profiles))
	r.Handle("GET /alive", middleware.Alive())
	r.Handle("GET /ready", middleware.Readiness(func() error {
		if !s.Ready() {
			return errNotReady
		}
		return nil
	}))
	r.Handle("GET /metrics", serveMetrics(s, t))
	return r
}

// startDebug serves debugRoutes on a loop of their own until stop is called. Without an address it does nothing.
func startDebug(o *options, command string, s *server.Server, out io.Writer) (stop func(), err error) {
	if o.debugAddr == "" {
		return func() {}, nil
	}
	d := &server.Server{Addr: o.debugAddr, Loops: 1, MaxConns: 64, Log: s.Log, Handler: debugRoutes(s, o.tally)}
	if _, err := d.Listen(); err != nil {
		return nil, fmt.Errorf("-debug-addr: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.Run() // ErrServerClosed
	}()
	fmt.Fprintf(out, "%s: profiles, health and metrics on %s, for operators\n", command, where(d.Addrs(), false))
	return func() {
		_ = d.Close()
		<-ended
	}, nil
}
