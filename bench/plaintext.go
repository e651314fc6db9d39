package main

// CPU time per request of HTTP servers, pressed by wrk.

import (
	"context"
	"io"
	"time"
)

var loadCases = []loadCase{
	{"64", "64 connections", load{Connections: 64, Pipeline: 1}},
	{"512", "512 connections", load{Connections: 512, Pipeline: 1}},
	{"pipelined", "64 connections, pipelined 16 deep", load{Connections: 64, Pipeline: 16}},
}

const plaintextHelp = `
CPU time (user and system) per plaintext request of each server, as a ratio to a minimal C epoll server that runs
before and after the others in the same round. One core serves, another runs wrk. Prints a table for each case.

The time it takes: rounds x cases x (servers + 2) x (duration + 2 s).`

func plaintext(ctx context.Context, args []string, stdout io.Writer) error {
	run := contest{
		unit: "request", yardstick: yardstickName, all: loadCases, needs: []string{"wrk"},
		press: func(ctx context.Context, c *contest, l load, addr string, d time.Duration) (wrkResult, error) {
			return runWrk(ctx, c.shop, l, addr+target, c.clientCPU, d)
		},
	}
	f := newFlags("plaintext", plaintextHelp, "microhttp,net/http,fasthttp,nginx,fiber,hertz", &run.options)
	return run.run(ctx, f, args, stdout)
}
