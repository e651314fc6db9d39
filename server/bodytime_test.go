package server_test

import (
	"bufio"
	"fmt"
	"net/http"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"
)

// The time for a body, with the defaults. An upload that makes progress is taken to its end; one that stops, or that
// would go on for hours, is answered with 408. Three worlds at most: in others the network is slower than the client.
func TestTimeForABody(t *testing.T) {
	t.Parallel()
	const allowed = 8 << 20 // the default of MaxBodyBytes
	for _, c := range []struct {
		name          string
		rate          int           // bytes a second
		stops         int           // after so many bytes
		status        int           // of the answer
		least, within time.Duration // when that comes
	}{
		{"260 kB/s", 260_000, allowed, 200, 30 * time.Second, 40 * time.Second},
		{"15 kB/s", 15_000, allowed, 200, 9 * time.Minute, 10 * time.Minute},
		{"12 kB/s", 12_000, allowed, 408, 10*time.Minute - time.Second, 10*time.Minute + time.Second},
		{"just above MinDataRate", 250, allowed, 408, 10*time.Minute - time.Second, 10*time.Minute + time.Second},
		{"just below it", 230, allowed, 408, 10 * time.Second, 3 * time.Minute},
		{"stops early", 260_000, 100, 408, 4 * time.Second, 7 * time.Second},
		{"stops late", 260_000, 4 << 20, 408, 40 * time.Second, 50 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			sim.Check(t, 1, min(sim.Seeds(1), 3), restless(), func(w *sim.World) {
				port := host(w, func(*reactor.Reactor) server.HandlerFunc { return func(*server.Response, *server.Request) {} })
				w.Go("client", func() {
					conn, err := w.Dial(port.Addr())
					if err != nil {
						w.Errorf("dial: %v", err)
						return
					}
					defer conn.Close()
					began := w.Now()
					answered := false
					w.Go("reader", func() {
						res, err := http.ReadResponse(bufio.NewReader(conn), nil)
						took := w.Now().Sub(began)
						answered = true
						if err != nil || res.StatusCode != c.status || took < c.least || took > c.within {
							w.Errorf("%v after %v, %v; want %d from %v to %v", res, took, err, c.status, c.least, c.within)
						}
					})
					fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", allowed)
					piece := make([]byte, max(c.rate/10, 1))
					for sent := 0; sent < c.stops && !answered; {
						n, err := conn.Write(piece[:min(len(piece), c.stops-sent)])
						if sent += n; err != nil {
							break
						}
						w.Sleep(time.Duration(float64(time.Second)*float64(sent)/float64(c.rate)) - w.Now().Sub(began))
					}
					w.Wait("the answer", func() bool { return answered })
				})
			})
		})
	}
}
