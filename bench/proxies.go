package main

// microhttp behind proxies that keep their connections to it: does each request get its own answer? A proxy and a
// server that disagree about where a message ends give one client's answer to another, or serve a request that nobody
// made. So every request here is named, by an X-Request-Id that the demo repeats in its answer and writes to its access
// log, and three parties are compared: what the clients sent (proxymix.go, proxyshapes.go), what they were answered,
// and what microhttp says that it saw (witness.go).
//
// The laws: an answer that carries a name answers the request of that name, in the order of sending. What microhttp
// saw, a client had sent, and it was seen once. Who sent it has the answer.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const proxiesHelp = `
Runs microhttp behind nginx and HAProxy, each as Debian configures it and as lax as it can be told to be, with keep-alive
connections between them, and sends them thousands of mixed requests from several clients, then the known shapes of
request smuggling, each followed by probes through the same connections. Each request is named; it must get its own
answer, and microhttp may see no other. If not, the exit status is 1.`

const (
	// proxyLanes is how many smuggling shapes are tried side by side through one proxy, each over an upstream connection
	// of its own: some have to wait until nothing more comes.
	proxyLanes = 4
	// maxProxied bounds -requests: each is a line in memory.
	maxProxied = 200_000
)

// A proxyKind is one proxy in one configuration.
type proxyKind struct {
	name, tool string
	config     func(listen []string, upstream string) []byte
	argv       func(prefix, conf string) []string
}

var proxyKinds = []proxyKind{
	{"nginx", "nginx", nginxProxy(false), nginxArgv},
	{"nginx, lax", "nginx", nginxProxy(true), nginxArgv},
	{"haproxy", "haproxy", haproxyConf(false), haproxyArgv},
	{"haproxy, lax", "haproxy", haproxyConf(true), haproxyArgv},
}

type proxyResult struct {
	Proxy    string        `json:"proxy"`
	Requests int           `json:"requests"`
	Shapes   int           `json:"shapes"`
	Served   int           `json:"shapes_served"`
	Same     int           `json:"probes_behind_them_on_their_connection"`
	Upstream int           `json:"upstream_connections"`
	Took     time.Duration `json:"took_ns"`
	Broken   []string      `json:"broken,omitempty"`
}

func proxies(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("proxies", flag.ContinueOnError)
	n := f.Int("requests", 5000, "mixed requests through each proxy")
	clients := f.Int("clients", 16, "clients that make them side by side")
	seed := f.Uint64("seed", uint64(time.Now().UnixNano()), "makes the same mix again")
	file := f.String("json", "", "write the results to `FILE` as JSON")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: go run . proxies [flags]\n\n%s\n\nFlags:\n", strings.TrimSpace(proxiesHelp))
		f.PrintDefaults()
	}
	f.SetOutput(os.Stderr)
	if err := f.Parse(args); err != nil {
		return err
	}
	if *n < 1 || *n > maxProxied || *clients < 1 || *clients > maxWorkers {
		return fmt.Errorf("-requests must be 1 to %d, -clients 1 to %d", maxProxied, maxWorkers)
	}
	shop, err := openWorkshop(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	launch, err := buildMicrohttp(ctx, shop)
	if err != nil {
		return err
	}
	progress("seed %d", *seed)
	var results []proxyResult
	for _, kind := range proxyKinds {
		progress("%s: %d requests, %d shapes", kind.name, *n, len(shapes))
		r, err := measureProxy(ctx, shop, kind, launch, *n, *clients, *seed)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		results = append(results, r)
	}
	from := whence(ctx, shop)
	if err := writeJSON(*file, from, results); err != nil {
		return err
	}
	return reportProxies(stdout, from, results)
}

// measureProxy runs a microhttp and a proxy in front of it, both fresh.
func measureProxy(
	ctx context.Context, shop *workshop, kind proxyKind, launch launcher, n, clients int, seed uint64,
) (proxyResult, error) {
	begin := time.Now()
	w := newWitness()
	up, err := startUpstream(ctx, launch, w)
	if err != nil {
		return proxyResult{}, err
	}
	defer up.end()
	front, listen, err := kind.start(ctx, shop, up.addr)
	if err != nil {
		return proxyResult{}, err
	}
	defer front.end()

	c := newCourt(w)
	mix(ctx, c, listen[0], n, clients, seed)
	requests := c.sentCount()
	served, same := smuggle(ctx, c, listen[1:])
	if ctx.Err() != nil {
		return proxyResult{}, ctx.Err()
	}
	if !up.alive() || !front.alive() {
		return proxyResult{}, errors.Join(up.failed("is it still there?"), front.failed("is it still there?"))
	}
	c.close(ctx)
	return proxyResult{
		Proxy: kind.name, Requests: requests, Shapes: len(shapes), Served: served, Same: same, Upstream: w.connections(),
		Took: time.Since(begin), Broken: c.verdict(),
	}, nil
}

// startUpstream starts the demo with an access log that w reads.
func startUpstream(ctx context.Context, launch launcher, w *witness) (*running, error) {
	command, err := launch()
	if err != nil {
		return nil, err
	}
	p, err := spawnTo(ctx, w, "microhttp", -1, append(command.argv, "-access-log", "json")...)
	if err != nil {
		return nil, err
	}
	r := &running{process: p}
	if err := r.awaitAnswer(ctx, ask); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

// start starts the proxy with a port for the mix and one for each lane. Between the choice of the ports and the bind
// another process could take one: then the proxy fails to start, and says so.
func (k proxyKind) start(ctx context.Context, shop *workshop, upstream string) (*running, []string, error) {
	if err := need(k.tool); err != nil {
		return nil, nil, err
	}
	prefix, err := os.MkdirTemp(shop.dir, k.tool+"-")
	if err != nil {
		return nil, nil, err
	}
	var listen []string
	for range 1 + proxyLanes {
		addr, err := freeAddr()
		if err != nil {
			return nil, nil, err
		}
		listen = append(listen, addr)
	}
	conf := filepath.Join(prefix, "conf")
	if err := os.WriteFile(conf, k.config(listen, upstream), 0o644); err != nil {
		return nil, nil, err
	}
	p, err := spawn(ctx, k.name, -1, k.argv(prefix, conf)...)
	if err != nil {
		return nil, nil, err
	}
	r := &running{process: p, addr: listen[0]}
	if err := r.awaitAnswer(ctx, ask); err != nil {
		r.end()
		return nil, nil, err
	}
	return r, listen, nil
}

func nginxArgv(prefix, conf string) []string {
	return []string{"nginx", "-p", prefix, "-c", conf, "-e", "stderr"}
}

// nginxProxy gives each port upstream connections of its own, as many as it needs at once; a lane needs one. Lax: bodies
// are passed on as they come, and so is what nginx would leave out.
func nginxProxy(lax bool) func(listen []string, upstream string) []byte {
	return func(listen []string, upstream string) []byte {
		var b strings.Builder
		b.WriteString(`daemon off;
master_process off;
worker_processes 1;
error_log stderr crit;
pid nginx.pid;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000;
	client_header_timeout 5s;
	client_body_timeout 5s;
	client_max_body_size 16m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	proxy_http_version 1.1;
	proxy_next_upstream off;
	proxy_read_timeout 10s;
`)
		host := "$host"
		if lax {
			host = "$http_host"
			b.WriteString(`	ignore_invalid_headers off;
	underscores_in_headers on;
	merge_slashes off;
	proxy_request_buffering off;
`)
		}
		for i, addr := range listen {
			fmt.Fprintf(&b, `	upstream up%[1]d { server %[2]s; keepalive 32; keepalive_requests 1000000; }
	server {
		listen %[3]s;
		location / {
			proxy_pass http://up%[1]d;
			proxy_set_header Host %[4]s;
			proxy_set_header Connection "";
		}
	}
`, i, upstream, addr, host)
		}
		b.WriteString("}\n")
		return []byte(b.String())
	}
}

func haproxyArgv(_, conf string) []string { return []string{"haproxy", "-db", "-f", conf} }

// haproxyConf does the same for HAProxy. Its retries are off, so that a request which is seen twice was sent twice.
func haproxyConf(lax bool) func(listen []string, upstream string) []byte {
	return func(listen []string, upstream string) []byte {
		var b strings.Builder
		b.WriteString(`global
	nbthread 1
	maxconn 1024
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
	timeout http-request 5s
	timeout http-keep-alive 60s
	option http-keep-alive
	http-reuse always
	retries 0
`)
		if lax {
			b.WriteString("\toption accept-invalid-http-request\n")
		}
		for i, addr := range listen {
			fmt.Fprintf(&b, "listen lane%d\n\tbind %s\n\tserver up %s\n", i, addr, upstream)
		}
		return []byte(b.String())
	}
}

func reportProxies(w io.Writer, from provenance, results []proxyResult) error {
	fmt.Fprintf(w, "%s\nmicrohttp behind proxies, each request named:\n\n", from)
	rows := [][]string{{
		"proxy", "verdict", "mixed requests", "upstream connections", "shapes", "served", "probes behind them on the same connection", "took",
	}}
	var failed error
	for _, r := range results {
		verdict := "ok"
		if len(r.Broken) > 0 {
			verdict = "FAILED"
			failed = errors.Join(failed, fmt.Errorf("%s: %d laws broken:\n%s", r.Proxy, len(r.Broken), strings.Join(r.Broken, "\n")))
		}
		rows = append(rows, []string{
			r.Proxy, verdict, fmt.Sprint(r.Requests), fmt.Sprint(r.Upstream), fmt.Sprint(r.Shapes), fmt.Sprint(r.Served),
			fmt.Sprint(r.Same), r.Took.Round(100 * time.Millisecond).String(),
		})
	}
	table(w, rows)
	return failed
}
