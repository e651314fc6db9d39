package main

// The flags that all measurements share, so that they are named and explained once.

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// options are the shared flags of one run.
type options struct {
	servers   []server // to choose from
	names     string   // comma separated
	also      builds
	serverCPU int
	clientCPU int
	json      string
}

// builds collects -also NAME=PATH: other builds of microhttp, measured beside the current one.
type builds []build

type build struct{ name, path string }

func (b *builds) String() string { return "" }

func (b *builds) Set(s string) error {
	name, path, ok := strings.Cut(s, "=")
	if !ok || name == "" || path == "" {
		return fmt.Errorf("want NAME=PATH, as in before=/tmp/microhttp-before")
	}
	*b = append(*b, build{name, path})
	return nil
}

// newFlags makes a flag set whose help begins with about, and registers the shared flags in it.
func newFlags(name, about, servers string, o *options) *flag.FlagSet {
	if o.servers == nil {
		o.servers = httpServers
	}
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&o.names, "servers", servers, "the servers to measure, `comma separated`")
	f.Var(&o.also, "also", "measure another build of microhttp as well: `NAME=PATH` of the program; may be repeated")
	f.IntVar(&o.serverCPU, "server-cpu", 0, "the `core` that servers are pinned to")
	f.IntVar(&o.clientCPU, "client-cpu", 1, "the `core` that wrk is pinned to")
	f.StringVar(&o.json, "json", "", "write the samples and results to `FILE` as JSON")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: go run . %s [flags]\n\n%s\n\nFlags:\n", name, strings.TrimSpace(about))
		f.PrintDefaults()
	}
	return f
}

// parse parses and checks args. The flag package has printed the problem and the usage when it fails.
func (o *options) parse(f *flag.FlagSet, args []string) error {
	f.SetOutput(os.Stderr)
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes flags only, not %q", f.Name(), f.Arg(0))
	}
	if runtime.NumCPU() < 2 || o.serverCPU == o.clientCPU {
		fmt.Fprintln(os.Stderr, "bench: server and client share a core: the figures will mean little")
	}
	return nil
}

// open builds the servers that the flags name, in a workshop that the caller removes.
func (o *options) open(ctx context.Context) (*workshop, []contestant, error) {
	selected, err := o.selected()
	if err != nil {
		return nil, nil, err
	}
	shop, err := openWorkshop(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := shop.prepare(ctx, selected)
	if err != nil {
		shop.remove()
		return nil, nil, err
	}
	return shop, all, nil
}

// selected returns the servers that the flags name, in the order given, -also builds last.
func (o *options) selected() ([]server, error) {
	var out []server
	for name := range strings.SplitSeq(o.names, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		s, ok := findServer(o.servers, name)
		if !ok {
			return nil, fmt.Errorf("no server is named %q; there are %s", name, serverNames(o.servers))
		}
		out = append(out, s)
	}
	for _, b := range o.also {
		out = append(out, prebuilt(b.name, b.path))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no server to measure; there are %s", serverNames(o.servers))
	}
	return out, nil
}
