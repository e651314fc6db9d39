package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// Requests that arrive in time are answered, however long the loop was held up and however many came meanwhile.
func TestRequestsThatArriveInTimeAreAnswered(t *testing.T) {
	const clients, seeds = 40, 20
	c := restless()
	c.Withhold = 0.9 // most polls leave some out, as one does that finds more than it has room for
	sim.Check(t, 1, seeds, c, func(w *sim.World) {
		held := false
		loop := w.Reactor("server", reactor.Config{})
		nop := server.Zerolog(zerolog.Nop())
		s := &server.Server{Log: nop, IdleTimeout: 3 * time.Second, Handler: server.HandlerFunc(func(rw *server.Response, r *server.Request) {
			if r.Path() == "/hold" {
				held = true
				w.Spend(4 * time.Second) // holds up the loop, as a handler that does not belong there
			}
		})}
		port, err := loop.ListenTCP("127.0.0.1:80", s.Factory(loop), nil)
		if err != nil {
			w.Errorf("listen: %v", err)
			return
		}
		ask := func(conn *sim.Conn, path string) error {
			_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && res.StatusCode != 200 {
				err = errors.New(res.Status)
			}
			return err
		}
		idle := 0
		for i := range clients {
			w.Go(fmt.Sprint("client", i), func() {
				conn, err := w.Dial(port.Addr())
				if err != nil {
					w.Errorf("dial: %v", err)
					return
				}
				defer conn.Close()
				if err := ask(conn, "/"); err != nil {
					w.Errorf("the first answer: %v", err)
				}
				idle++
				if i == 0 {
					w.Wait("the others", func() bool { return idle == clients })
					if err := ask(conn, "/hold"); err != nil {
						w.Errorf("the one that holds: %v", err)
					}
					return
				}
				w.Wait("the loop to be held up", func() bool { return held })
				if err := ask(conn, "/"); err != nil {
					w.Errorf("a request that came in time: %v", err)
				}
			})
		}
	})
}
