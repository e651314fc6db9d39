package server_test

import (
	"io"
	"testing"

	"microhttp/server"
	"microhttp/server/servertest"
)

// Streaming is for the leaf, wherever it stands among the middleware of this package.
func TestStreamingAnywhere(t *testing.T) {
	pass := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) { next.Serve(w, r) })
	bound := server.MaxBody(1 << 10)
	for name, mw := range map[string][]server.Middleware{
		"inside":            {server.Blocking, server.Streaming},
		"outside":           {server.Streaming, server.Blocking},
		"twice":             {server.Streaming, server.Blocking, server.Streaming},
		"around a buffer":   {server.Blocking, server.Streaming, server.AtHead},
		"around middleware": {server.Streaming, pass, server.Blocking, pass, bound, server.AtHead},
		"around MaxBody":    {server.Streaming, bound, server.OwnGoroutine},
	} {
		t.Run(name, func(t *testing.T) {
			began := make(chan bool, 1)
			c := servertest.New(t, server.Chain(mw...)(server.HandlerFunc(func(w *server.Response, r *server.Request) {
				began <- r.Complete()
				b, err := io.ReadAll(r.BodyReader())
				if err != nil {
					t.Error(err)
				}
				w.Text(200, string(b))
			})))
			x := c.Start("POST /", servertest.Upload(4))
			if <-began {
				t.Error("the body was whole when the handler began")
			}
			x.Send("ab")
			x.Send("cd")
			x.Response().Want(200).WantText("abcd")
		})
	}
}
