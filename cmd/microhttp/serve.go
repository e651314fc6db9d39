package main

// The command serve: the files of a directory, by one line.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"microhttp/middleware"
	"microhttp/middleware/compress"
	"microhttp/middleware/static"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// serveOptions is all that serve can be told.
type serveOptions struct {
	options
	dir       string
	noListing bool
	dotFiles  bool
	spa       string
	notFound  string
	cache     string
	user      string
	trusted   []netip.Prefix
	maxOpen   int
	plain     bool // nothing is compressed
}

func (o *serveOptions) groups() []group {
	own := group{"Files", []option{
		{"no-listing", "", toggle(&o.noListing), "answer 404 for a directory without index.html, and show no list"},
		{"dot-files", "", toggle(&o.dotFiles), "serve names that begin with a dot"},
		{"no-compress", "", toggle(&o.plain), "send content as it is; siblings such as x.js.br are sent all the same"},
		{"spa", "file", text(&o.spa), "answer with this file where there is none and a page is asked for"},
		{"not-found", "file", text(&o.notFound), "what a 404 shows"},
		{"cache-control", "value", fieldValue(&o.cache), "Cache-Control of the files, as max-age=60"},
		{"max-open", "n", limit(&o.maxOpen, 256, maxCount), "files that are kept open, 0 is none"},
		{"basic-auth", "user:password", pair(&o.user), "ask for a password; @file reads the pair from a file"},
		{"trust", "networks", networks(&o.trusted), "proxies that are believed what they say of clients, as 10.0.0.0/8,::1"},
	}}
	all := []group{own}
	for _, g := range o.options.groups() {
		g.options = slices.DeleteFunc(g.options, func(f option) bool { return slices.Contains(demoOnly, f.name) })
		all = append(all, g)
	}
	return all
}

// demoOnly are the flags that files have no use for.
var demoOnly = []string{"routes", "compress", "max-form-fields"}

func runServe(args []string, stdout, stderr io.Writer) int {
	o := serveOptions{dir: "."}
	o.command = "serve"
	switch err := o.parse(args, stdout); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return misuse(stderr, "microhttp serve", err)
	}
	out := server.NewLogWriter(stderr)
	defer out.Flush(flushPatience)
	s, files, err := o.newServer(out)
	if err == nil {
		defer files.Close()
		err = serve(s, &o.options, out)
	}
	if err != nil {
		fmt.Fprintf(out, "microhttp serve: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// parse fills o from the arguments: flags, and then at most one directory.
func (o *serveOptions) parse(args []string, stdout io.Writer) error {
	set := newFlagSet("serve", o.groups())
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		var defaults serveOptions
		writeGroups(stdout, serveUsage, defaults.groups())
		return err
	case err != nil:
		return err
	case set.NArg() > 1:
		return fmt.Errorf("unexpected argument %q: flags come before the directory", set.Arg(1))
	case set.NArg() == 1:
		o.dir = set.Arg(0)
	}
	return o.complete(set)
}

// newServer makes the server of the options, and the files, which the caller closes.
func (o *serveOptions) newServer(out io.Writer) (*server.Server, *static.Files, error) {
	config := static.Config{
		Listing: !o.noListing, DotFiles: o.dotFiles, Precompressed: true, SPA: o.spa, NotFound: o.notFound, MaxOpen: o.maxOpen,
	}
	if o.cache != "" {
		config.CacheControl = func(string) string { return o.cache }
	}
	files, err := static.Dir(o.dir, config)
	if err != nil {
		return nil, nil, err
	}
	log := server.Zerolog(zerolog.New(out).Level(o.level).With().Timestamp().Logger())
	around := append([]server.Middleware{middleware.Recover(log)}, o.accessLog.middleware(log, out)...)
	if len(o.trusted) > 0 {
		around = append(around, middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: o.trusted}))
	}
	if user, password, ok := strings.Cut(o.user, ":"); ok {
		around = append(around, middleware.Basic("files", middleware.User, middleware.Users(map[string]string{user: password})))
	}
	if !o.plain {
		around = append(around, compress.New(compress.Config{}))
	}
	return o.withHandler(server.Chain(around...)(files), log), files, nil
}

// text is any text.
func text(at *string) *setting[string] {
	return &setting[string]{
		at: at, show: func(s string) string { return s }, read: func(s string) (string, error) { return s, nil },
	}
}

// fieldValue is what a field may hold.
func fieldValue(at *string) flag.Value {
	v := text(at)
	v.read = func(s string) (string, error) {
		if s == "" || !server.ValidFieldValue(s) {
			return "", errors.New("want what a field may hold, such as max-age=60")
		}
		return s, nil
	}
	return v
}

// pair is user:password, or @ and the file that has it in its first line.
func pair(at *string) flag.Value {
	v := text(at)
	v.show = func(string) string { return "" }
	v.read = func(s string) (string, error) {
		if file, ok := strings.CutPrefix(s, "@"); ok {
			all, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			s, _, _ = strings.Cut(string(all), "\n")
			s = strings.TrimSuffix(s, "\r")
		}
		if user, _, ok := strings.Cut(s, ":"); !ok || user == "" {
			return "", errors.New("want user:password, or @ and a file that has it")
		}
		return s, nil
	}
	return v
}

// networks is a list of addresses and networks.
func networks(at *[]netip.Prefix) flag.Value {
	return &setting[[]netip.Prefix]{
		at:   at,
		show: func([]netip.Prefix) string { return "" },
		read: func(s string) ([]netip.Prefix, error) {
			all, err := middleware.ParsePrefixes(strings.Split(s, ",")...)
			if err != nil {
				return nil, errors.New("want networks such as 10.0.0.0/8,::1")
			}
			return all, nil
		},
	}
}

const serveUsage = `Serve serves the files of a directory, the current one by default. It lists directories that
have no index.html, and sends x.js.br, x.js.zst or x.js.gz for x.js to who takes that. It
compresses other text with zstd, Brotli or gzip.

Usage: microhttp serve [flags] [directory]

Examples:

  microhttp serve                                    # this directory, on http://127.0.0.1:8080
  microhttp serve -addr :80 -access-log combined public
  microhttp serve -spa index.html -no-listing dist   # an application that routes by itself
  microhttp serve -basic-auth @secret.txt private
  microhttp serve -tls-self-signed                   # the same, on https://127.0.0.1:8080
  microhttp serve -addr :443 -domain example.com public

A duration d is a number and a unit: 500ms, 10s, 1m30s. SIGINT or SIGTERM ends the
server when the answers under way have been given; a second one ends it at once.
`
