package main

// The servers under measurement, as a table. Each is one process (no master and workers), so that the clock, the
// memory and the descriptors of one process id are the whole truth. Peers live in programs of their own under peers/,
// so that nobody's memory holds code of the others.

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	yardstickName = "c-epoll"
	// listenBacklog is what nginx is told; Go's servers take the same from net.core.somaxconn by themselves.
	listenBacklog = 4096
	// nginxConnections is the table that nginx allocates at start, large enough for every measurement here.
	nginxConnections = 20000
)

// A server is an entry of the table: prepare builds it once, and the launcher it returns is asked for a command at
// every start.
type server struct {
	name    string
	about   string
	prepare func(ctx context.Context, w *workshop) (launcher, error)
	ask     func(addr string) (answer int, err error) // checks that it answers; nil asks for the plaintext
	path    string                                    // what is pressed, if that differs between servers
}

type launcher func() (command, error)

// A command is what to run. Without an address, the server is expected to print it.
type command struct {
	argv []string
	addr string
}

// httpServers answer GET /plaintext.
var httpServers = []server{
	{name: yardstickName, about: "the yardstick: a minimal C server, no parsing (cepoll/cepoll.c)", prepare: buildCEpoll},
	{name: "microhttp", about: "this repository's program, one loop", prepare: buildMicrohttp},
	{name: "net/http", about: "the standard library", prepare: buildPeer("nethttp")},
	{name: "from", about: "a handler of net/http on our server, by nethttp.From", prepare: buildPeer("from")},
	{name: "fasthttp", about: "github.com/valyala/fasthttp", prepare: buildPeer("fasthttp")},
	{name: "nginx", about: "the nginx that is installed, one process, `return 200`", prepare: buildNginx},
	{name: "fiber", about: "github.com/gofiber/fiber/v3", prepare: buildPeer("fiber")},
	{name: "hertz", about: "github.com/cloudwego/hertz on netpoll", prepare: buildPeer("hertz")},
}

func findServer(servers []server, name string) (server, bool) {
	for _, s := range servers {
		if s.name == name {
			return s, true
		}
	}
	return server{}, false
}

func serverNames(servers []server) string {
	var names []string
	for _, s := range servers {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func demoArgs(program string) []string {
	return []string{program, "demo", "-addr", "127.0.0.1:0", "-loops", "1"}
}

func buildMicrohttp(ctx context.Context, w *workshop) (launcher, error) {
	out := filepath.Join(w.dir, "microhttp")
	if err := w.build(ctx, filepath.Dir(w.bench), "go", "build", "-o", out, "./cmd/microhttp"); err != nil {
		return nil, err
	}
	return always(demoArgs(out)), nil
}

// prebuilt is a microhttp that somebody else built: the other side of a comparison.
func prebuilt(name, path string) server {
	return server{name: name, about: path, prepare: func(context.Context, *workshop) (launcher, error) {
		full, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(full); err != nil {
			return nil, err
		}
		return always(demoArgs(full)), nil
	}}
}

func buildCEpoll(ctx context.Context, w *workshop) (launcher, error) {
	if err := need("gcc"); err != nil {
		return nil, err
	}
	out := filepath.Join(w.dir, "cepoll")
	if err := w.build(ctx, w.bench, "gcc", "-O2", "-o", out, "cepoll/cepoll.c"); err != nil {
		return nil, err
	}
	return always([]string{out}), nil
}

func buildPeer(pkg string) func(context.Context, *workshop) (launcher, error) {
	return func(ctx context.Context, w *workshop) (launcher, error) {
		out := filepath.Join(w.dir, pkg)
		if err := w.build(ctx, w.bench, "go", "build", "-o", out, "./peers/"+pkg); err != nil {
			return nil, err
		}
		return always([]string{out}), nil
	}
}

func always(argv []string) launcher {
	return func() (command, error) { return command{argv: argv}, nil }
}

// nginx cannot say which port it got, so the port is chosen here for each start. Between the choice and the bind
// another process could take it: then nginx fails to start, and says so.
func buildNginx(_ context.Context, w *workshop) (launcher, error) {
	if err := need("nginx"); err != nil {
		return nil, err
	}
	prefix := filepath.Join(w.dir, "nginx")
	if err := os.Mkdir(prefix, 0o755); err != nil {
		return nil, err
	}
	location := fmt.Sprintf(`location = %s { default_type text/plain; return 200 "Hello, World!"; }`, target)
	return launchNginx(prefix, location), nil
}

// launchNginx starts an nginx in a directory of its own, with one location.
func launchNginx(prefix, location string) launcher {
	return func() (command, error) {
		addr, err := freeAddr()
		if err != nil {
			return command{}, err
		}
		conf := filepath.Join(prefix, "nginx.conf")
		if err := os.WriteFile(conf, nginxConf(addr, location), 0o644); err != nil {
			return command{}, err
		}
		return command{argv: []string{"nginx", "-p", prefix, "-c", conf, "-e", "stderr"}, addr: addr}, nil
	}
}

func nginxConf(addr, location string) []byte {
	return fmt.Appendf(nil, `daemon off;
master_process off;
worker_processes 1;
error_log stderr error;
pid nginx.pid;
events { worker_connections %d; }
http {
	access_log off;
	server_tokens off;
	keepalive_requests 1000000000;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen %s backlog=%d;
		%s
	}
}
`, nginxConnections, addr, listenBacklog, location)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// A workshop is the temporary directory in which servers are built; remove it when done.
type workshop struct {
	bench string // the directory of this module
	dir   string
}

func openWorkshop(ctx context.Context) (*workshop, error) {
	if err := need("taskset"); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	path, bench, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || path != "microhttp/bench" {
		return nil, fmt.Errorf("run it inside the repository's bench directory")
	}
	dir, err := os.MkdirTemp("", "microhttp-bench-")
	if err != nil {
		return nil, err
	}
	return &workshop{bench: bench, dir: dir}, nil
}

func (w *workshop) remove() { os.RemoveAll(w.dir) }

func (w *workshop) build(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// A contestant is a server that has been built and can be started.
type contestant struct {
	name   string
	launch launcher
	ask    func(addr string) (int, error)
	path   string
}

func (w *workshop) prepare(ctx context.Context, list []server) ([]contestant, error) {
	var out []contestant
	for _, s := range list {
		progress("building %s", s.name)
		launch, err := s.prepare(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		out = append(out, contestant{s.name, launch, s.ask, s.path})
	}
	return out, nil
}

// packages says which Debian package brings a tool.
var packages = map[string]string{
	"gcc":     "gcc libc6-dev",
	"haproxy": "haproxy",
	"nginx":   "nginx-light (or leave nginx out with -servers)",
	"strace":  "strace",
	"taskset": "util-linux",
	"wrk":     "wrk",
}

func need(tool string) error {
	if _, err := exec.LookPath(tool); err != nil {
		return fmt.Errorf("%s is not installed; on Debian: apt-get install %s", tool, packages[tool])
	}
	return nil
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
