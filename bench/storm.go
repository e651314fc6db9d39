package main

// The storm: ways in which a client can fail its server, as a table, and the workers that go through it. Every way
// ends in a reset (SO_LINGER 0), the rudest end that a program can make. The storm is bounded in time, in clients at
// the same time, in all its connections, and in what each sends.

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxStorm   = time.Minute
	maxWorkers = 256
	// maxAbuses bounds the connections of one storm: below the ports of one loopback address.
	maxAbuses = 20000
	// maxHeld bounds the connections that vanish, which stay open until the storm is over.
	maxHeld = 256
	// unreadRequests is sent without reading: its answers outgrow every socket buffer and every sane queue.
	unreadRequests = 20000
	// unreadPatience is how long such a client pushes on once the server has stopped reading.
	unreadPatience = 50 * time.Millisecond
	// dribblePause is the time between the bytes of a slow head.
	dribblePause = time.Millisecond
)

// An abuseKind is one way to misbehave on a fresh connection. The connection is reset when do returns; if it is to be
// held, when the storm is over.
type abuseKind struct {
	name string
	held bool
	do   func(c net.Conn)
}

var abuseKinds = []abuseKind{
	{"reset at once", false, func(net.Conn) {}},
	{"half a head", false, sending("GET / HTTP/1.1\r\nHost: bench.exa")},
	{"half a body", false, sending("POST / HTTP/1.1\r\nHost: bench.example\r\nContent-Length: 100000\r\n\r\nhalf")},
	{"half a chunk", false, sending("POST / HTTP/1.1\r\nHost: bench.example\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nhalf")},
	{"no interest in the answer", false, sending(request)},
	{"half of the second request", false, sending(request + request[:25])},
	{"reads half an answer", false, func(c net.Conn) {
		sending(request)(c)
		io.ReadFull(c, make([]byte, 20))
	}},
	{"a slow head", false, func(c net.Conn) {
		for i := range request[:25] {
			sending(request[i : i+1])(c)
			time.Sleep(dribblePause)
		}
	}},
	{"a pipeline that nobody reads", false, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(unreadPatience))
		sending(pipelineOfMany())(c)
	}},
	{"nonsense", false, sending("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")},
	{"vanishes in a head", true, sending("GET / HTTP/1.1\r\nHost: ben")},
	{"vanishes in a body", true, sending("POST / HTTP/1.1\r\nHost: bench.example\r\nContent-Length: 10\r\n\r\nhalf")},
}

// sending makes an abuse that sends text. Errors are the server's good right: it may have hung up.
func sending(text string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text) }
}

// pipelineOfMany is built once, at first use.
var pipelineOfMany = sync.OnceValue(func() string { return strings.Repeat(request, unreadRequests) })

// A gale is one storm: it hands out turns and remembers what was done.
type gale struct {
	addr string
	turn atomic.Int64

	mu   sync.Mutex
	done map[string]int
	held []net.Conn
}

// storm runs workers for d and returns how often each abuse was done, and the most descriptors that the server had.
func storm(ctx context.Context, s *running, workers int, d time.Duration) (map[string]int, int) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	g := gale{addr: s.addr, done: make(map[string]int)}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { g.blow(ctx) })
	}
	peak := 0
	for ctx.Err() == nil {
		if n, err := descriptors(s.pid); err == nil {
			peak = max(peak, n)
		}
		pause(ctx, watchEvery)
	}
	wg.Wait()
	closeAll(g.held)
	return g.done, peak
}

// blow takes turns until the storm is over: one abuse of the table after the other.
func (g *gale) blow(ctx context.Context) {
	for ctx.Err() == nil {
		turn := g.turn.Add(1) - 1
		if turn >= maxAbuses {
			return
		}
		g.abuse(abuseKinds[turn%int64(len(abuseKinds))])
	}
}

func (g *gale) abuse(kind abuseKind) {
	conn, err := net.DialTimeout("tcp4", g.addr, askTimeout)
	if err != nil {
		return // the server may refuse us; it may not refuse the well-behaved, and that is checked there
	}
	conn.SetDeadline(time.Now().Add(askTimeout))
	kind.do(conn)

	g.mu.Lock()
	defer g.mu.Unlock()
	g.done[kind.name]++
	if kind.held && len(g.held) < maxHeld {
		g.held = append(g.held, conn)
		return
	}
	reset(conn)
}
