package main

// wrk as the client: it runs on a core of its own, and what it reports is read from its text. A run with a single
// lost connection or refused request is no measurement, so those are errors.

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A load says how wrk is to press: so many connections, so many requests sent at once on each.
type load struct {
	Connections int
	Pipeline    int
	Path        string // "" is the one that the measurement has
	Handshake   string // "full" or "resumed": a connection for each request
}

// wrkResult is what wrk counted.
type wrkResult struct {
	Requests uint64
	Elapsed  time.Duration
}

//go:embed pipeline.lua
var pipelineScript []byte

// runWrk presses what is at addr, an address and a path, for d, pinned to a core, and returns what it counted.
func runWrk(ctx context.Context, w *workshop, l load, addr string, cpu int, d time.Duration) (wrkResult, error) {
	script := filepath.Join(w.dir, "pipeline.lua")
	if err := os.WriteFile(script, pipelineScript, 0o644); err != nil {
		return wrkResult{}, err
	}
	argv := []string{
		"taskset", "-c", strconv.Itoa(cpu),
		"wrk", "-t1", fmt.Sprintf("-c%d", l.Connections), fmt.Sprintf("-d%ds", int(d.Seconds())),
		"--timeout", "10s", // a busy machine takes longer than the 2 s from which on wrk calls an answer lost
	}
	if l.Pipeline > 1 {
		argv = append(argv, "-s", script)
	}
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	argv = append(argv, addr)
	if l.Pipeline > 1 {
		argv = append(argv, "--", strconv.Itoa(l.Pipeline))
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	r, err := parseWrk(string(out))
	if err != nil {
		return wrkResult{}, fmt.Errorf("%w; wrk said:\n%s", err, out)
	}
	return r, nil
}

var (
	wrkTotal  = regexp.MustCompile(`(?m)^\s*(\d+) requests in ([0-9.]+)(us|ms|s|m|h),`)
	wrkErrors = regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx or 3xx responses): .*$`)
)

// parseWrk reads wrk's report. Socket errors, refused requests and a report without any request are errors.
func parseWrk(text string) (wrkResult, error) {
	if m := wrkErrors.FindString(text); m != "" {
		return wrkResult{}, errors.New(strings.TrimSpace(m))
	}
	m := wrkTotal.FindStringSubmatch(text)
	if m == nil {
		return wrkResult{}, errors.New("wrk counted nothing")
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		return wrkResult{}, err
	}
	elapsed, err := time.ParseDuration(m[2] + m[3])
	if err != nil {
		return wrkResult{}, err
	}
	if n == 0 || elapsed <= 0 {
		return wrkResult{}, errors.New("wrk counted no request")
	}
	return wrkResult{n, elapsed}, nil
}
