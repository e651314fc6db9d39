package main

// Memory of an idle keep-alive connection: thousands of connections are opened, each makes one request and then says
// nothing; after some seconds the server's memory is compared with what it was before. This is user space alone: what
// the kernel keeps for a socket is the same for every server, and is not counted.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	// maxSources bounds how many loopback addresses connections are opened from; each is good for the thousands of
	// ports of net.ipv4.ip_local_port_range.
	maxSources = 16
	// spareDescriptors is what the tool and a server need beside the connections.
	spareDescriptors = 200
	// dialBurst bounds connections opened without looking at the context.
	dialBurst = 100
)

const idleHelp = `
Memory of each server for an idle keep-alive connection: the resident size with N connections open, each of which made
one request and then was silent, less the resident size before, divided by N. Kernel memory is not counted.

It needs N descriptors in the tool and in the server, so a hard limit (ulimit -Hn) somewhat above N.`

type idleResult struct {
	Server        string `json:"server"`
	Connections   int    `json:"connections"`
	Before        memory `json:"before"`
	After         memory `json:"after"`
	PerConnection memory `json:"per_connection"`
}

func idle(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	f := newFlags("idle", idleHelp, "microhttp,net/http,fasthttp,nginx", &o)
	n := f.Int("n", 9000, "how many connections")
	settle := f.Duration("settle", 10*time.Second, "how long they are idle before memory is read")
	if err := o.parse(f, args); err != nil {
		return err
	}
	if err := allowConnections(*n); err != nil {
		return err
	}
	shop, all, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	var results []idleResult
	for _, who := range all {
		progress("%s: %d connections, then %v of silence", who.name, *n, *settle)
		r, err := measureIdle(ctx, who, o.serverCPU, *n, *settle, exchange)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		results = append(results, r)
	}
	from := whence(ctx, shop)
	reportIdle(stdout, from, "keep-alive connection", results)
	return writeJSON(o.json, from, results)
}

// talk is what each connection does before it is idle.
type talk func(conn net.Conn, r *bufio.Reader) error

func measureIdle(ctx context.Context, who contestant, cpu, n int, settle time.Duration, first talk) (idleResult, error) {
	s, err := who.start(ctx, cpu)
	if err != nil {
		return idleResult{}, err
	}
	defer s.end()
	if err := pause(ctx, time.Second); err != nil { // what a server does after its start, it has done by then
		return idleResult{}, err
	}
	before, err := memoryOf(s.pid)
	if err != nil {
		return idleResult{}, err
	}
	open, err := descriptors(s.pid)
	if err != nil {
		return idleResult{}, err
	}

	conns, err := openIdle(ctx, s.addr, n, first)
	defer closeAll(conns)
	if err != nil {
		return idleResult{}, s.failed(err.Error())
	}
	if err := pause(ctx, settle); err != nil {
		return idleResult{}, err
	}
	after, err := memoryOf(s.pid)
	if err != nil {
		return idleResult{}, err
	}
	if now, err := descriptors(s.pid); err != nil || now-open < n {
		return idleResult{}, s.failed(fmt.Sprintf("it holds %d of %d connections", now-open, n))
	}
	return idleResult{who.name, n, before, after, after.less(before).per(n)}, nil
}

func (m memory) less(o memory) memory {
	return memory{m.RSS - o.RSS, m.PSS - o.PSS, m.Anonymous - o.Anonymous, m.VmRSS - o.VmRSS}
}

func (m memory) per(n int) memory {
	d := int64(n)
	return memory{m.RSS / d, m.PSS / d, m.Anonymous / d, m.VmRSS / d}
}

// openIdle opens n connections, one after the other, and does first on each. It returns what it opened even when it fails.
func openIdle(ctx context.Context, addr string, n int, first talk) ([]net.Conn, error) {
	var (
		conns []net.Conn
		from  sources
		r     = bufio.NewReader(nil)
	)
	for i := range n {
		if i%dialBurst == 0 && ctx.Err() != nil {
			return conns, ctx.Err()
		}
		conn, err := from.dial(addr)
		if err != nil {
			return conns, fmt.Errorf("connection %d: %w", i+1, err)
		}
		conns = append(conns, conn)
		r.Reset(conn)
		if err := first(conn, r); err != nil {
			return conns, fmt.Errorf("request on connection %d: %w", i+1, err)
		}
	}
	return conns, nil
}

// sources dials from 127.0.0.1, and from the next loopback address when the ports of one have run out.
type sources struct{ used byte }

func (s *sources) dial(addr string) (net.Conn, error) {
	for {
		d := net.Dialer{Timeout: askTimeout}
		if s.used > 0 {
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1+s.used)}
		}
		conn, err := d.Dial("tcp4", addr)
		exhausted := errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE)
		if !exhausted || s.used == maxSources {
			return conn, err
		}
		s.used++
	}
}

// closeAll resets connections, so that thousands of ports do not linger in TIME_WAIT until the next server's turn.
func closeAll(conns []net.Conn) {
	for _, c := range conns {
		reset(c)
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// allowConnections checks -n, and raises the limit of descriptors to it.
func allowConnections(n int) error {
	if n < 1 || n > nginxConnections-spareDescriptors {
		return fmt.Errorf("-n must be between 1 and %d", nginxConnections-spareDescriptors)
	}
	return raiseDescriptorLimit(n + spareDescriptors)
}

// raiseDescriptorLimit raises this process's limit, which children inherit, to n at least and to the hard limit if that
// is more.
func raiseDescriptorLimit(n int) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	hard := r.Max
	r.Max = max(r.Max, uint64(n)) // beyond the hard limit only with privilege
	r.Cur = r.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("%d descriptors are needed, the hard limit is %d: %w", n, hard, err)
	}
	return nil
}

func reportIdle(w io.Writer, from provenance, what string, results []idleResult) {
	fmt.Fprintf(w, "%s\nBytes of an idle %s (%d open, one request each):\n\n", from, what, results[0].Connections)
	rows := [][]string{{"server", "RSS", "PSS", "anonymous", "VmRSS", "RSS before, KiB", "RSS after, KiB"}}
	for _, r := range results {
		p := r.PerConnection
		rows = append(rows, []string{
			r.Server, fmt.Sprint(p.RSS), fmt.Sprint(p.PSS), fmt.Sprint(p.Anonymous), fmt.Sprint(p.VmRSS),
			fmt.Sprint(r.Before.RSS >> 10), fmt.Sprint(r.After.RSS >> 10),
		})
	}
	table(w, rows)
}
