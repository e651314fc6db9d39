package main

// Files: what it costs to send one from the kernel's cache, for a server that has it open, and for one that serves a
// directory with all that belongs to it.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// The files that are asked for. Their names begin with different letters: csendfile tells them apart by those.
const (
	smallFile, smallSize = "small.bin", 64 << 10
	largeFile, largeSize = "large.bin", 1 << 20
)

var staticCases = []loadCase{
	{"64k", "64 KiB, 64 connections", load{Connections: 64, Pipeline: 1, Path: "/" + smallFile}},
	{"1m", "1 MiB, 16 connections", load{Connections: 16, Pipeline: 1, Path: "/" + largeFile}},
}

var staticServers = []server{
	{name: "c-sendfile", about: "the yardstick: a minimal C server, no parsing (csendfile/csendfile.c)", prepare: buildCSendfile, ask: askFiles},
	{name: "sendfile", about: "Response.SendFile of an open file (peers/sendfile)", prepare: buildFilePeer("sendfile"), ask: askFiles},
	{name: "static", about: "microhttp serve: middleware/static, the whole package", prepare: buildServe, ask: askFiles},
	{name: "nginx", about: "sendfile and tcp_nopush on, as Debian has it", prepare: buildNginxFiles(""), ask: askFiles},
	{
		name: "nginx-cache", about: "the same, with an open_file_cache",
		prepare: buildNginxFiles("open_file_cache max=256;"), ask: askFiles,
	},
	{name: "fasthttp", about: "fasthttp.FS", prepare: buildFilePeer("fastfiles"), ask: askFiles},
	{name: "net/http", about: "http.FileServer", prepare: buildFilePeer("netfiles"), ask: askFiles},
}

const staticHelp = `
CPU time (user and system) per file of 64 KiB and of 1 MiB, as a ratio to a minimal C server that sends by sendfile from files
that it has open, and that runs before and after the others in the same round. One core serves, another runs wrk. Prints
a table for each case.

The time it takes: rounds x cases x (servers + 2) x (duration + 2 s).`

func static(ctx context.Context, args []string, stdout io.Writer) error {
	run := contest{
		options: options{servers: staticServers},
		unit:    "file", yardstick: "c-sendfile", all: staticCases, needs: []string{"wrk", "gcc"},
		press: func(ctx context.Context, c *contest, l load, addr string, d time.Duration) (wrkResult, error) {
			return runWrk(ctx, c.shop, l, addr+l.Path, c.clientCPU, d)
		},
	}
	f := newFlags("static", staticHelp, "sendfile,static,nginx,nginx-cache,fasthttp,net/http", &run.options)
	return run.run(ctx, f, args, stdout)
}

// site makes the files, once, and returns their directory.
func site(w *workshop) (string, error) {
	dir := filepath.Join(w.dir, "site")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for name, size := range map[string]int{smallFile: smallSize, largeFile: largeSize} {
		if err := os.WriteFile(filepath.Join(dir, name), fileContent(size), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// fileContent is what a file of that size holds: the same each time, and nothing that a filter could make smaller.
func fileContent(size int) []byte {
	var seed [32]byte
	p := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(p) // never fails
	return p
}

func buildCSendfile(ctx context.Context, w *workshop) (launcher, error) {
	dir, err := site(w)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(w.dir, "csendfile")
	if err := w.build(ctx, w.bench, "gcc", "-O2", "-o", out, "csendfile/csendfile.c"); err != nil {
		return nil, err
	}
	return always([]string{out, filepath.Join(dir, smallFile), filepath.Join(dir, largeFile)}), nil
}

func buildFilePeer(pkg string) func(context.Context, *workshop) (launcher, error) {
	return func(ctx context.Context, w *workshop) (launcher, error) {
		dir, err := site(w)
		if err != nil {
			return nil, err
		}
		launch, err := buildPeer(pkg)(ctx, w)
		if err != nil {
			return nil, err
		}
		program, err := launch()
		return always(append(program.argv, dir)), err
	}
}

func buildServe(ctx context.Context, w *workshop) (launcher, error) {
	dir, err := site(w)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(w.dir, "microhttp")
	if err := w.build(ctx, filepath.Dir(w.bench), "go", "build", "-o", out, "./cmd/microhttp"); err != nil {
		return nil, err
	}
	return always([]string{out, "serve", "-addr", "127.0.0.1:0", "-loops", "1", dir}), nil
}

// buildNginxFiles is an nginx that serves the directory, with one more line in its configuration.
func buildNginxFiles(line string) func(context.Context, *workshop) (launcher, error) {
	return func(ctx context.Context, w *workshop) (launcher, error) {
		if err := need("nginx"); err != nil {
			return nil, err
		}
		dir, err := site(w)
		if err != nil {
			return nil, err
		}
		prefix, err := os.MkdirTemp(w.dir, "nginx-")
		if err != nil {
			return nil, err
		}
		location := fmt.Sprintf("location / { root %s; sendfile on; tcp_nopush on; %s }", dir, line)
		return launchNginx(prefix, location), nil
	}
}

// askFiles checks that both files come as they are, and returns the size of the small one.
func askFiles(addr string) (int, error) {
	client := http.Client{Timeout: askTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	for name, size := range map[string]int{smallFile: smallSize, largeFile: largeSize} {
		res, err := client.Get("http://" + addr + "/" + name)
		if err != nil {
			return 0, err
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return 0, err
		}
		if res.StatusCode != http.StatusOK || !bytes.Equal(got, fileContent(size)) {
			return 0, fmt.Errorf("%s: status %d and %d other bytes", name, res.StatusCode, len(got))
		}
	}
	return smallSize, nil
}
