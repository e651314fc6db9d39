package main

// WebSocket: CPU time per echoed message against an echo of the reactor alone, and the memory of an idle connection.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	wsYardstick = "echo"
	wsPath      = "/ws/echo"
)

var wsCases = []loadCase{
	{"64", "64 WebSockets", load{Connections: 64, Pipeline: 1}},
	{"512", "512 WebSockets", load{Connections: 512, Pipeline: 1}},
}

var wsServers = []server{
	{name: wsYardstick, about: "the yardstick: the reactor's echo of bench echo, without WebSocket", prepare: buildWSYardstick, ask: askEcho},
	{name: "microhttp", about: "this repository's program, one loop", prepare: buildMicrohttp, ask: askWS, path: wsPath},
	{name: "gorilla", about: "github.com/gorilla/websocket on net/http", prepare: buildPeer("gorilla"), ask: askWS, path: wsPath},
	{name: "coder", about: "github.com/coder/websocket on net/http", prepare: buildPeer("coder"), ask: askWS, path: wsPath},
	{name: "gws", about: "github.com/lxzan/gws on net/http", prepare: buildPeer("gws"), ask: askWS, path: wsPath},
}

const wsHelp = `
CPU time (user and system) per echoed WebSocket message of 64 bytes, as a ratio to an echo of 64 bytes by this repository's
reactor without any protocol, which runs before and after the others in the same round. One core serves, another runs the
client. Then the memory of an idle WebSocket that has echoed one message, in user space. Nothing is compressed.

The time it takes: rounds x cases x (servers + 1) x (duration + 2 s), and some 20 s a server for the memory.`

func ws(ctx context.Context, args []string, stdout io.Writer) error {
	run := contest{
		options: options{servers: wsServers},
		unit:    "message", yardstick: wsYardstick, all: wsCases, needs: []string{"gcc"}, press: pressEcho,
	}
	f := newFlags("ws", wsHelp, "microhttp,gorilla,coder,gws", &run.options)
	n := f.Int("n", 10_000, "how many WebSockets are idle; 0 leaves that out")
	if err := run.run(ctx, f, args, stdout); err != nil || *n == 0 {
		return err
	}
	return run.idleWS(ctx, *n, stdout)
}

// idleWS measures memory.
func (run *contest) idleWS(ctx context.Context, n int, stdout io.Writer) error {
	if err := raiseDescriptorLimit(n + spareDescriptors); err != nil {
		return err
	}
	shop, err := openWorkshop(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	selected, err := run.selected()
	if err != nil {
		return err
	}
	var list []server
	for _, s := range selected {
		if s.name != wsYardstick {
			list = append(list, s)
		}
	}
	all, err := shop.prepare(ctx, list)
	if err != nil {
		return err
	}
	var results []idleResult
	for _, who := range all {
		progress("%s: %d idle WebSockets", who.name, n)
		r, err := measureIdle(ctx, who, run.serverCPU, n, 10*time.Second, exchangeWS)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		results = append(results, r)
	}
	fmt.Fprintln(stdout)
	reportIdle(stdout, whence(ctx, shop), "WebSocket", results)
	return nil
}

func buildWSYardstick(ctx context.Context, w *workshop) (launcher, error) {
	if _, err := buildCEcho(ctx, w); err != nil { // which builds the client, too
		return nil, err
	}
	return buildEcho("epoll")(ctx, w)
}

// askWS has one message echoed.
func askWS(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp4", addr, askTimeout)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return messageSize + 2, exchangeWS(conn, bufio.NewReader(conn))
}

// exchangeWS opens a WebSocket on conn and has one message echoed, which r reads.
func exchangeWS(conn net.Conn, r *bufio.Reader) error {
	conn.SetDeadline(time.Now().Add(askTimeout))
	_, err := io.WriteString(conn, "GET "+wsPath+" HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	message := bytes.Repeat([]byte{'m'}, messageSize)
	frame := append([]byte{0x82, 0x80 | messageSize, 0, 0, 0, 0}, message...) // a mask of zeros leaves it as it is
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	got := make([]byte, 2+messageSize)
	if _, err := io.ReadFull(r, got); err != nil {
		return err
	}
	if want := append([]byte{0x82, messageSize}, message...); !bytes.Equal(got, want) {
		return fmt.Errorf("want %x, got %x", want, got)
	}
	return nil
}
