package main

// Handshakes that are begun and never finished. Good clients come and go all the time: alone, while the others come, and
// while they are held.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const unfinishedHelp = `
Clients that behave open a TLS connection each, make one request and close it, again and again: first alone, then while
others begin handshakes and never finish them. Half of those send a part of a ClientHello, and half a whole one. The mark:
no good request is lost. microhttp runs with its default of -max-handshakes, and with the one that -limit names.`

const (
	// goodPause is the time between two requests of a good client, so that they leave the cores idle for the most part.
	goodPause = 5 * time.Millisecond
	// begunApart is the time between two handshakes that are begun. All at once, the good would wait for what they compute.
	begunApart = time.Millisecond
)

// visitors are good clients, and what they have seen in each phase.
type visitors struct {
	phase atomic.Int32
	mu    sync.Mutex
	took  [2][]time.Duration
	lost  [2]int
	first error
}

// visit makes one request on a connection of its own.
func visit(addr string) error {
	conn, err := net.DialTimeout("tcp4", addr, askTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(askTimeout))
	c := tlsClient(conn)
	return exchange(c, bufio.NewReader(c))
}

func (a *visitors) attend(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		phase, begin := a.phase.Load(), time.Now()
		err := visit(addr)
		a.mu.Lock()
		if err != nil {
			a.lost[phase]++
			a.first = err
		} else {
			a.took[phase] = append(a.took[phase], time.Since(begin))
		}
		a.mu.Unlock()
		_ = pause(ctx, goodPause)
	}
}

func unfinished(ctx context.Context, args []string, stdout io.Writer) error {
	o := options{servers: tlsServers}
	f := newFlags("unfinished", unfinishedHelp, "microhttp,net/http,nginx", &o)
	n := f.Int("n", 2000, "how many handshakes are begun")
	limit := f.Int("limit", 1000, "-max-handshakes of a second microhttp")
	good := f.Int("good", 4, "clients that behave")
	lasts := f.Duration("duration", 4*time.Second, "how long each phase lasts; handshakes time out after 10 s")
	if err := o.parse(f, args); err != nil {
		return err
	}
	if err := allowConnections(*n + *good); err != nil {
		return err
	}
	shop, all, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	if i := slices.IndexFunc(all, func(who contestant) bool { return who.name == "microhttp" }); i >= 0 {
		all = slices.Insert(all, i+1, all[i].with(" -max-handshakes "+strconv.Itoa(*limit)))
	}
	rows := [][]string{{"server", "good requests", "lost", "median alone", "worst alone", "median", "worst", "begun", "still held"}}
	lost := 0
	for _, who := range all {
		progress("%s: %d handshakes", who.name, *n)
		row, missed, err := who.withUnfinished(ctx, o.serverCPU, *n, *good, *lasts)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		rows = append(rows, row)
		if strings.HasPrefix(who.name, "microhttp") {
			lost += missed
		}
	}
	fmt.Fprintf(stdout, "%s\n%d handshakes that are never finished, beside %d clients that behave:\n\n", whence(ctx, shop), *n, *good)
	table(stdout, rows)
	if lost > 0 {
		return fmt.Errorf("microhttp has lost %d good requests", lost)
	}
	return nil
}

// with is the same server with further arguments.
func (who contestant) with(args string) contestant {
	launch := who.launch
	who.name += args
	who.launch = func() (command, error) {
		c, err := launch()
		c.argv = append(slices.Clone(c.argv), strings.Fields(args)...)
		return c, err
	}
	return who
}

// withUnfinished runs one server, and returns its row and how many good requests it has lost.
func (who contestant) withUnfinished(ctx context.Context, cpu, n, good int, lasts time.Duration) ([]string, int, error) {
	s, err := who.start(ctx, cpu)
	if err != nil {
		return nil, 0, err
	}
	defer s.end()
	var a visitors
	var present sync.WaitGroup
	attending, leave := context.WithCancel(ctx)
	defer present.Wait()
	defer leave()
	for range good {
		present.Go(func() { a.attend(attending, s.addr) })
	}
	if err := pause(ctx, lasts); err != nil {
		return nil, 0, err
	}
	a.phase.Store(1)
	var conns []net.Conn
	defer func() { closeAll(conns) }()
	var from sources
	for i := range n {
		conn, err := from.dial(s.addr)
		if err != nil {
			return nil, 0, s.failed(fmt.Sprintf("connection %d: %v", i+1, err))
		}
		conns = append(conns, conn)
		begin := halfHello
		if i%2 == 1 {
			begin = wholeHello
		}
		_ = begin(conn) // the server may have ended it
		if err := pause(ctx, begunApart); err != nil {
			return nil, 0, err
		}
	}
	if err := pause(ctx, lasts); err != nil {
		return nil, 0, err
	}
	open, err := descriptors(s.pid)
	if err != nil {
		return nil, 0, err
	}
	leave()
	present.Wait()
	missed := a.lost[0] + a.lost[1]
	if missed > 0 {
		progress("%s: %v", who.name, a.first)
	}
	if len(a.took[0]) == 0 || len(a.took[1]) == 0 {
		return nil, 0, s.failed(fmt.Sprintf("no good request in one of the phases: %v", a.first))
	}
	row := []string{who.name, fmt.Sprint(len(a.took[0]) + len(a.took[1])), fmt.Sprint(missed)}
	for _, took := range a.took {
		slices.Sort(took)
		row = append(row, took[len(took)/2].Round(10*time.Microsecond).String(), took[len(took)-1].Round(10*time.Microsecond).String())
	}
	return append(row, fmt.Sprint(n), fmt.Sprint(open)), missed, nil
}
