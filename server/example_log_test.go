package server_test

import (
	"log/slog"
	"os"

	"microhttp/server"
)

// A server that logs where the rest of its program does, and middleware that uses the same log.
func ExampleSlog() {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	out := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime}))
	log := server.Slog(out)
	s := &server.Server{Addr: "127.0.0.1:0", Log: log}

	log.Line(slog.LevelInfo).Str("addr", s.Addr).Msg("about to listen")
	// Output:
	// level=INFO msg="about to listen" addr=127.0.0.1:0
}
