package server_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"
)

// The switch in a simulated world: however the network cuts and delays what is sent, the protocol gets each byte that
// followed the request, once and in order, and is lost exactly once.

// echoing gives back what comes, and its peer's end.
type echoing struct {
	t          reactor.Transport
	made, lost *int
}

func (e *echoing) ConnectionMade(t reactor.Transport) { e.t = t; *e.made++ }
func (e *echoing) DataReceived(p []byte)              { e.t.Write(p) }
func (e *echoing) ReadConnectionLost()                { e.t.LoseConnection() }
func (e *echoing) ConnectionLost(error)               { *e.lost++ }

func TestUpgradeInSimulation(t *testing.T) {
	for name, c := range map[string]sim.Config{"restless": restless(), "with resets": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim.Check(t, 1, sim.Seeds(100), c, func(w *sim.World) { playUpgrade(w, name == "restless") })
		})
	}
}

func playUpgrade(w *sim.World, strict bool) {
	made, lost, clients, gone := 0, 0, 1+w.Rand().IntN(3), 0
	port := host(w, func(*reactor.Reactor) server.HandlerFunc {
		return func(rw *server.Response, r *server.Request) {
			if err := rw.Upgrade("echo", &echoing{made: &made, lost: &lost}); err != nil {
				w.Errorf("%v", err)
			}
		}
	})
	for i := range clients {
		w.Go(fmt.Sprint("client", i), func() {
			defer func() { gone++ }()
			upgradeClient(w, port, strict)
		})
	}
	w.Go("judge", func() {
		w.Wait("the clients to leave", func() bool { return gone == clients })
		w.Sleep(5 * time.Minute)
		if made != lost {
			w.Errorf("%d protocols were made, and %d lost", made, lost)
		}
	})
}

func upgradeClient(w *sim.World, port *reactor.Port, strict bool) {
	rnd := w.Rand()
	conn, err := w.Dial(port.Addr())
	if err != nil {
		return // refused, in a world with trouble
	}
	defer conn.Close()
	content := strings.Repeat("0123456789", rnd.IntN(1<<rnd.IntN(12)))
	all := "GET / HTTP/1.1\r\nHost: sim\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n" + content
	done := false
	w.Go("writer", func() {
		defer func() { done = true }()
		for rest := all; rest != ""; {
			n := 1 + rnd.IntN(len(rest))
			if _, err := io.WriteString(conn, rest[:n]); err != nil {
				excuse(w, "write", err, strict)
				return
			}
			rest = rest[n:]
			if rnd.IntN(4) == 0 {
				w.Sleep(time.Duration(rnd.Int64N(int64(200 * time.Millisecond))))
			}
		}
		if err := conn.CloseWrite(); err != nil {
			excuse(w, "half-close", err, strict)
		}
	})
	got, err := io.ReadAll(bufio.NewReader(conn))
	w.Wait("the writer", func() bool { return done })
	if err != nil {
		excuse(w, "read", err, strict)
		return
	}
	head, echoed, _ := strings.Cut(string(got), "\r\n\r\n")
	if strict && (!strings.HasPrefix(head, "HTTP/1.1 101 ") || echoed != content) {
		w.Errorf("%q, and %d bytes of %d", head, len(echoed), len(content))
	}
	late := strings.HasPrefix(head, "HTTP/1.1 408 ") // trouble, and sleep between the pieces, may take longer than a head may
	if !strict && !late && !strings.HasPrefix(content, echoed) {
		w.Errorf("%d bytes that were not sent", len(echoed))
	}
}
