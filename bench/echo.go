package main

// CPU time per message of an echo server: what the reactor costs by itself, without HTTP. The client is a C program, for a
// client in Go would be the slower side.

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// messageSize is what is echoed: a small message, so that the cost is the loop's and the system calls'.
const messageSize = 64

var echoCases = []loadCase{
	{"64", "64 connections", load{Connections: 64, Pipeline: 1}},
	{"512", "512 connections", load{Connections: 512, Pipeline: 1}},
}

var echoServers = []server{
	{name: "c-echo", about: "the yardstick: a minimal C server (cecho/server.c)", prepare: buildCEcho, ask: askEcho},
	{name: "epoll", about: "this repository's reactor on epoll", prepare: buildEcho("epoll"), ask: askEcho},
	{name: "poll", about: "this repository's reactor on poll(2)", prepare: buildEcho("poll"), ask: askEcho},
	{name: "select", about: "this repository's reactor on select(2)", prepare: buildEcho("select"), ask: askEcho},
}

const echoHelp = `
CPU time (user and system) per echoed message of 64 bytes, as a ratio to a minimal C epoll server that runs before and
after the others in the same round. One core serves, another runs the client. Prints a table for each case.

The time it takes: rounds x cases x (servers + 2) x (duration + 2 s).`

func echo(ctx context.Context, args []string, stdout io.Writer) error {
	run := contest{
		options: options{servers: echoServers},
		unit:    "message", yardstick: "c-echo", all: echoCases, needs: []string{"gcc"}, press: pressEcho,
	}
	f := newFlags("echo", echoHelp, "epoll", &run.options)
	return run.run(ctx, f, args, stdout)
}

func buildCEcho(ctx context.Context, w *workshop) (launcher, error) {
	for _, name := range []string{"server", "client"} {
		out := filepath.Join(w.dir, "echo-"+name)
		if err := w.build(ctx, w.bench, "gcc", "-O2", "-o", out, "cecho/"+name+".c"); err != nil {
			return nil, err
		}
	}
	return always([]string{filepath.Join(w.dir, "echo-server")}), nil
}

func buildEcho(poller string) func(context.Context, *workshop) (launcher, error) {
	return func(ctx context.Context, w *workshop) (launcher, error) {
		out := filepath.Join(w.dir, "echo")
		if err := w.build(ctx, w.bench, "go", "build", "-o", out, "./peers/echo"); err != nil {
			return nil, err
		}
		return always([]string{out, "-reactor", poller}), nil
	}
}

// pressEcho runs the client, which buildCEcho has built: the yardstick is always there.
func pressEcho(ctx context.Context, c *contest, l load, addr string, d time.Duration) (wrkResult, error) {
	addr, path, _ := strings.Cut(addr, "/") // with a path, it is an echo by WebSocket
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return wrkResult{}, err
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(c.clientCPU), filepath.Join(c.shop.dir, "echo-client"),
		port, strconv.Itoa(l.Connections), strconv.Itoa(messageSize), strconv.Itoa(int(d.Seconds())), path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("the client: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

// askEcho has one message echoed on a connection of its own.
func askEcho(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp4", addr, askTimeout)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(askTimeout))
	sent, got := make([]byte, messageSize), make([]byte, messageSize)
	for i := range sent {
		sent[i] = byte(i)
	}
	if _, err := conn.Write(sent); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, got); err != nil {
		return 0, err
	}
	if string(got) != string(sent) {
		return 0, fmt.Errorf("sent %x, got %x", sent, got)
	}
	return messageSize, nil
}
