package main

// Memory of connections over TLS. As in idle.go it is the resident size with N connections open, less the one before, divided
// by N; kernel memory is not counted.

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const tlsIdleHelp = `
Memory of each server for a connection over TLS, in each of these states:

  idle        it made one request and then was silent
  uploaded    it has sent a body of 64 KiB, and then was silent
  handshake   it has sent the first half of a ClientHello
  hello       it has sent a whole ClientHello, and does not finish
  unread      it has asked for 10 MB and reads nothing (100 connections)`

// tlsStates are what a connection does before memory is read.
var tlsStates = []struct {
	name string
	most int // connections; 0 is any
	do   func(conn net.Conn) error
}{
	{"idle", 0, func(conn net.Conn) error {
		c := tlsClient(conn)
		return exchange(c, bufio.NewReader(c))
	}},
	{"uploaded", 0, upload},
	{"handshake", 0, halfHello},
	{"hello", 0, wholeHello},
	{"unread", 100, func(conn net.Conn) error {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10) // what the kernel takes is not the server's
		}
		_, err := io.WriteString(tlsClient(conn), "GET /bytes/10485760 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return err
	}},
}

func upload(conn net.Conn) error {
	c := tlsClient(conn)
	body := make([]byte, 64<<10)
	if _, err := fmt.Fprintf(c, "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// halfHello sends the first half of what a client begins a handshake with.
func halfHello(conn net.Conn) error {
	hello := aHello()
	_, err := conn.Write(hello[:len(hello)/2])
	return err
}

// wholeHello sends all of it.
func wholeHello(conn net.Conn) error {
	_, err := conn.Write(aHello())
	return err
}

// aHello is what a client begins a handshake with.
var aHello = sync.OnceValue(func() []byte {
	var hello recorder
	_ = tls.Client(&hello, &tls.Config{ServerName: "localhost"}).Handshake() // fails, when it wants an answer
	return hello.sent
})

// recorder is a connection to nowhere that keeps what is written to it.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.sent = append(r.sent, p...)
	return len(p), nil
}
func (r *recorder) Read([]byte) (int, error)    { return 0, io.EOF }
func (r *recorder) SetDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                { return nil }

func tlsIdle(ctx context.Context, args []string, stdout io.Writer) error {
	o := options{servers: tlsServers}
	f := newFlags("tlsidle", tlsIdleHelp, "microhttp,net/http,fasthttp,nginx", &o)
	n := f.Int("n", 2000, "how many connections")
	settle := f.Duration("settle", 5*time.Second, "how long they are silent before memory is read")
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
	rows := [][]string{{"server"}}
	for _, st := range tlsStates {
		rows[0] = append(rows[0], st.name)
	}
	for _, who := range all {
		row := []string{who.name}
		for _, st := range tlsStates {
			count := *n
			if st.most > 0 {
				count = min(count, st.most)
			}
			progress("%s: %d connections, %s", who.name, count, st.name)
			per, err := tlsMemory(ctx, who, o.serverCPU, count, *settle, st.do)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", who.name, st.name, err)
			}
			row = append(row, fmt.Sprint(per))
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(stdout, "%s\nBytes of resident memory of a connection over TLS (%d open; 100 unread):\n\n", whence(ctx, shop), *n)
	table(stdout, rows)
	return nil
}

// tlsMemory is what one of n connections holds after each has done what is said.
func tlsMemory(ctx context.Context, who contestant, cpu, n int, settle time.Duration, do func(net.Conn) error) (int64, error) {
	s, err := who.start(ctx, cpu)
	if err != nil {
		return 0, err
	}
	defer s.end()
	if err := pause(ctx, time.Second); err != nil {
		return 0, err
	}
	before, err := memoryOf(s.pid)
	if err != nil {
		return 0, err
	}
	var from sources
	var conns []net.Conn
	defer func() { closeAll(conns) }()
	for i := range n {
		conn, err := from.dial(s.addr)
		if err != nil {
			return 0, s.failed(fmt.Sprintf("connection %d: %v", i+1, err))
		}
		conns = append(conns, conn)
		_ = conn.SetDeadline(time.Now().Add(askTimeout))
		if err := do(conn); err != nil {
			return 0, s.failed(fmt.Sprintf("connection %d: %v", i+1, err))
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	after, err := memoryOf(s.pid)
	if err != nil {
		return 0, err
	}
	return after.less(before).per(n).RSS, nil
}
