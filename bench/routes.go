package main

// What a lookup costs a whole server: one with two hundred routes is pressed at a path without parameters, and at one
// with two. The first is the yardstick, so the ratio says it all. The router by itself is measured by the benchmarks in
// routes/.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"time"
)

const parametersTarget = "/users/123/posts/456"

var routeServers = []server{
	{name: "plaintext", about: "the yardstick: GET " + target, prepare: buildPeer("routes"), path: target},
	{name: "parameters", about: "GET " + parametersTarget, prepare: buildPeer("routes"), path: parametersTarget, ask: askParameters},
}

const routesHelp = `
CPU time (user and system) per request of a server with 200 routes, for a path with two parameters, as a ratio to a path
without, which is pressed before and after in the same round. One core serves, another runs wrk.

The time it takes: rounds x cases x 3 x (duration + 2 s).`

func routed(ctx context.Context, args []string, stdout io.Writer) error {
	run := contest{
		options: options{servers: routeServers},
		unit:    "request", yardstick: "plaintext", all: loadCases, needs: []string{"wrk"},
		press: func(ctx context.Context, c *contest, l load, addr string, d time.Duration) (wrkResult, error) {
			return runWrk(ctx, c.shop, l, addr, c.clientCPU, d)
		},
	}
	f := newFlags("routes", routesHelp, "parameters", &run.options)
	return run.run(ctx, f, args, stdout)
}

// askParameters checks that the two parameters are found.
func askParameters(addr string) (int, error) {
	client := http.Client{Timeout: askTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + parametersTarget)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := httputil.DumpResponse(res, true)
	if want := "\r\n\r\n123 wrote 456"; err == nil && (res.StatusCode != http.StatusOK || !bytes.HasSuffix(answer, []byte(want))) {
		err = fmt.Errorf("want 200 and %q, got %q", want, answer)
	}
	return len(answer), err
}
