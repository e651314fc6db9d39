package main

// The flags of demo are a table: groups as the help shows them, each flag with where it is
// stored and what it may be. What the table admits, the server can be made of; all else is
// refused here, in one line, before anything is bound.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"microhttp/reactor"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// options is all that demo can be told, and most of what serve can.
type options struct {
	command   string        // "" is demo
	server    server.Server // its settings; Handler and Log come later
	begin     beginOptions
	routes    bool // are printed, and nothing is served
	compress  bool // the answers of demo
	debugAddr string
	tally     *tally // of requests, for -debug-addr
	accessLog accessOptions
	level     zerolog.Level
	grace     time.Duration // for Shutdown
}

// Bounds that stand for "more than this is a typing error".
const (
	maxLoops    = 1024     // each loop holds a thread at times, descriptors and buffers
	maxCount    = 1 << 20  // field lines, goroutines
	maxSection  = 16 << 20 // the most that the server takes of a head, a target, a trailer section
	maxAmount   = 1 << 30  // bytes
	maxBody     = math.MaxInt64
	maxDuration = 24 * time.Hour
)

// option is one flag. Its value holds the default until it is parsed.
type option struct {
	name, arg string
	value     flag.Value
	help      string
}

type group struct {
	title   string
	options []option
}

// groups sets o to the defaults and returns the flags that change it. The other bounds of forms (Server.MaxFormMemory,
// MaxFormParts, MaxFormDisk, MaxFormDiskAll) have no flag: they are for forms that are kept, and POST /form reads the parts
// of a multipart form as they come.
func (o *options) groups() []group {
	s := &o.server
	return []group{
		{"Serving", []option{
			{"addr", "where", address(&s.Addr, "127.0.0.1:8080"), "host:port (0 takes a free one), unix:/path or systemd"},
			{"socket-mode", "mode", mode(&s.SocketMode), "permissions of a Unix socket, as 0660; 0 leaves them to the umask"},
			{"loops", "n", number(&s.Loops, 0, 0, maxLoops), "event loops; 0 is one for each core"},
			{"reactor", "name", choice(&s.Poller, reactor.Pollers()), "how loops wait: " + strings.Join(reactor.Pollers(), ", ") + "; or $" + reactorVariable},
			{"max-blocking", "n", number(&s.MaxBlocking, 512, 1, maxCount), "handlers off the loop that run at a time"},
			{"max-blocking-waiting", "n", limit(&s.MaxBlockingWaiting, 8192, maxCount), "those beside them that wait for slow peers, 0 is any"},
			{"debug-addr", "where", optionalAddress(&o.debugAddr), "serve /metrics, /debug/pprof, /alive and /ready there, as 127.0.0.1:6060"},
			{"compress", "", toggle(&o.compress), "compress answers of 1 KiB and more, with zstd, Brotli or gzip"},
			{"routes", "", toggle(&o.routes), "print the routes to standard output, and serve nothing"},
			{"shutdown-timeout", "d", period(&o.grace, 10*time.Second, 0), "after SIGINT or SIGTERM, the time for answers under way"},
			{"shutdown-delay", "d", period(&s.ShutdownDelay, 0, 0), "before that, the time in which it still accepts connections"},
			{"shutdown-idle-grace", "d", limitPeriod(&s.ShutdownIdleGrace, 250*time.Millisecond), "after it, for requests on idle connections, 0 is none"},
		}},
		o.begin.group(),
		{"Logging, to standard error", []option{
			{"access-log", "format", choice(&o.accessLog.format, accessFormats), "a line and an id for each request: " + strings.Join(accessFormats, ", ")},
			{"access-log-sample", "n", number(&o.accessLog.sample, 1, 1, maxCount), "one line for n good answers; others always have one"},
			{"access-log-slow", "d", period(&o.accessLog.slow, 0, 0), "leave out good answers that took less; 0 logs all"},
			{"stall-limit", "d", limitPeriod(&s.StallLimit, 100*time.Millisecond), "tell of a handler that holds a loop up for so long; 0 is never"},
			{"log-level", "level", level(&o.level, zerolog.InfoLevel), "least level that is logged: " + levelNames()},
		}},
		{"Limits of a request", []option{
			{"max-header-bytes", "n", number(&s.MaxHeaderBytes, 32<<10, 1, maxSection), "request line and fields together; beyond: 431"},
			{"max-header-fields", "n", number(&s.MaxHeaderFields, 128, 1, maxCount), "field lines; beyond: 431"},
			{"max-target-bytes", "n", number(&s.MaxTargetBytes, 8<<10, 1, maxSection), "request target; beyond: 414"},
			{"max-blank-lines", "n", limit(&s.MaxBlankLines, 4, maxCount), "empty lines before it, 0 is none; beyond: 400"},
			{"max-body-bytes", "n", number(&s.MaxBodyBytes, 8<<20, 1, maxBody), "body, which is held in memory; beyond: 413"},
			{"max-chunk-extension-bytes", "n", number(&s.MaxChunkExtensionBytes, 4<<10, 1, maxAmount), "in a whole body; beyond: 431"},
			{"max-trailer-bytes", "n", number(&s.MaxTrailerBytes, 8<<10, 1, maxSection), "trailer section; beyond: 431"},
			{"max-form-fields", "n", limit(&s.MaxFormFields, 10_000, maxCount), "of a url-encoded form, 0 is any; beyond: 413"},
			{"min-data-rate", "n", limit(&s.MinDataRate, 240, maxAmount), "least bytes a second, 0 is any; below: 408; see -send-timeout"},
		}},
		{"Limits of connections and memory", []option{
			{"max-conns", "n", limit(&s.MaxConns, 1<<16, math.MaxInt32), "in all, 0 is any; beyond: 503"},
			{"max-conns-per-addr", "n", number(&s.MaxConnsPerAddr, 0, 0, math.MaxInt32), "from one address, 0 is any; beyond: 503"},
			{"max-handshakes", "n", number(&s.MaxHandshakes, 4096, 1, math.MaxInt32), "TLS handshakes at a time; beyond: the longest wait ends"},
			{"max-pipelined-bytes", "n", number(&s.MaxPipelinedBytes, 64<<10, 1, maxAmount), "read ahead while an answer is owed"},
			{"max-unsent-bytes", "n", number(&s.MaxUnsentBytes, 16<<10, 1, maxAmount), "output for a slow peer; beyond: no more is made"},
			{"max-buffered-bytes", "n", limit(&s.MaxBufferedBytes, 256<<20, maxBody), "held in all, 0 is any; beyond: 503 for who holds most"},
			{"max-linger-bytes", "n", limit(&s.MaxLingerBytes, 64<<20, math.MaxInt32), "read behind the last answer, 0 is none"},
		}},
		{"Timeouts", []option{
			{"handshake-timeout", "d", period(&s.HandshakeTimeout, 10*time.Second, time.Millisecond), "for a whole TLS handshake"},
			{"read-header-timeout", "d", period(&s.ReadHeaderTimeout, 10*time.Second, time.Millisecond), "for a whole head, from its first byte"},
			{"body-timeout", "d", period(&s.BodyTimeout, 10*time.Minute, time.Millisecond), "for a whole body, from the end of the head"},
			{"send-timeout", "d", period(&s.SendTimeout, 30*time.Second, time.Millisecond), "for a peer that takes too little and has no credit left"},
			{"idle-timeout", "d", period(&s.IdleTimeout, 75*time.Second, time.Millisecond), "between requests"},
			{"data-rate-grace", "d", period(&s.DataRateGrace, 5*time.Second, time.Millisecond), "before -min-data-rate counts"},
			{"pending-timeout", "d", period(&s.PendingTimeout, 5*time.Minute, time.Millisecond), "for an answer that is owed; beyond: 503"},
			{"blocking-queue-timeout", "d", limitPeriod(&s.BlockingQueueTimeout, 10*time.Second), "for a handler off the loop to begin, 0 is any; beyond: 503"},
			{"linger-timeout", "d", period(&s.LingerTimeout, 5*time.Second, time.Millisecond), "behind the last answer, for the peer's end"},
		}},
	}
}

// parse fills o from the arguments. Asked for help, it writes that to stdout and returns
// flag.ErrHelp.
func (o *options) parse(args []string, stdout io.Writer) error {
	set := newFlagSet("demo", o.groups())
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		var defaults options
		writeGroups(stdout, demoUsage, defaults.groups())
		return err
	case err != nil:
		return err
	case set.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return o.complete(set)
}

// complete takes what the environment says, and looks whether the flags fit together.
func (o *options) complete(set *flag.FlagSet) error {
	if err := fromEnvironment(set); err != nil {
		return err
	}
	return o.begin.check()
}

// newFlagSet makes the flags of a command.
func newFlagSet(command string, groups []group) *flag.FlagSet {
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard) // the error says it all
	set.Usage = func() {}
	for _, g := range groups {
		for _, f := range g.options {
			set.Var(f.value, f.name, f.help)
		}
	}
	return set
}

// reactorVariable is the environment's word on -reactor. A flag has the last one.
const reactorVariable = "MICROHTTP_REACTOR"

func fromEnvironment(set *flag.FlagSet) error {
	name := os.Getenv(reactorVariable)
	set.Visit(func(f *flag.Flag) {
		if f.Name == "reactor" {
			name = ""
		}
	})
	if name == "" {
		return nil
	}
	if err := set.Set("reactor", name); err != nil {
		return fmt.Errorf("invalid value %q for %s: %w", name, reactorVariable, err)
	}
	return nil
}

// writeGroups writes the help of a command. The flags have their defaults.
func writeGroups(w io.Writer, usage string, groups []group) {
	fmt.Fprint(w, usage)
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n", g.title)
		for _, f := range g.options {
			def := " (default " + f.value.String() + ")"
			if isToggle(f.value) || f.value.String() == "" {
				def = "" // off, and its help says what on means
			}
			fmt.Fprintf(w, "  %-28s %s%s\n", strings.TrimSpace("-"+f.name+" "+f.arg), f.help, def)
		}
	}
}

const demoUsage = `Demo serves routes that show what the server can do; GET / lists them.

Usage: microhttp demo [flags]

A duration d is a number and a unit: 500ms, 10s, 1m30s. SIGINT or SIGTERM ends the
server when the answers under way have been given; a second one ends it at once.
`

func isToggle(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// setting is a flag.Value made of how its type is read and shown.
type setting[T any] struct {
	at     *T
	read   func(string) (T, error)
	show   func(T) string
	toggle bool
}

func (s *setting[T]) Set(text string) error {
	v, err := s.read(text)
	if err == nil {
		*s.at = v
	}
	return err
}

func (s *setting[T]) String() string   { return s.show(*s.at) }
func (s *setting[T]) IsBoolFlag() bool { return s.toggle }

// number is a whole number from least to most.
func number[T int | int64](at *T, def, least, most T) flag.Value {
	*at = def
	return &setting[T]{
		at:   at,
		show: func(n T) string { return strconv.FormatInt(int64(n), 10) },
		read: func(text string) (T, error) {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < int64(least) || n > int64(most) {
				return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
			}
			return T(n), nil
		},
	}
}

// limit is number for a field whose zero is the default and whose negative is no limit: the
// flag says 0 for that.
func limit[T int | int64](at *T, def, most T) flag.Value {
	n := number(at, def, 0, most).(*setting[T])
	read := n.read
	n.read = func(text string) (T, error) {
		v, err := read(text)
		if v == 0 {
			v = -1
		}
		return v, err
	}
	n.show = func(v T) string { return strconv.FormatInt(int64(max(v, 0)), 10) }
	return n
}

// period is a duration from least to maxDuration.
func period(at *time.Duration, def, least time.Duration) flag.Value {
	*at = def
	return &setting[time.Duration]{
		at:   at,
		show: time.Duration.String,
		read: func(text string) (time.Duration, error) {
			d, err := time.ParseDuration(text)
			if err != nil {
				return 0, errors.New("want a duration such as 500ms or 10s")
			}
			if d < least || d > maxDuration {
				return 0, fmt.Errorf("want a duration from %v to %v", least, maxDuration)
			}
			return d, nil
		},
	}
}

// limitPeriod is period for a field whose zero is the default and whose negative is none: the
// flag says 0 for that.
func limitPeriod(at *time.Duration, def time.Duration) flag.Value {
	d := period(at, def, 0).(*setting[time.Duration])
	read := d.read
	d.read = func(text string) (time.Duration, error) {
		v, err := read(text)
		if v == 0 {
			v = -1
		}
		return v, err
	}
	d.show = func(v time.Duration) string { return max(v, 0).String() }
	return d
}

// address is what server.Server.Addr takes: a host, which may be empty, and a port; the path of
// a Unix socket; or the word for the sockets that systemd passes.
func address(at *string, def string) flag.Value {
	*at = def
	return &setting[string]{
		at:   at,
		show: func(s string) string { return s },
		read: func(text string) (string, error) {
			if path, ok := strings.CutPrefix(text, "unix:"); ok || text == "systemd" {
				if ok && path == "" {
					return "", errors.New("want unix: and the path of a socket")
				}
				return text, nil
			}
			_, port, err := net.SplitHostPort(text)
			if err != nil {
				return "", errors.New("want host:port, unix:/path or systemd")
			}
			if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
				return "", errors.New("want a port from 0 to 65535")
			}
			return text, nil
		},
	}
}

// optionalAddress is address for a listener that is off by default.
func optionalAddress(at *string) flag.Value {
	a := address(at, "").(*setting[string])
	a.show = func(string) string { return "" }
	return a
}

// mode is the permissions of a file, in octal as chmod(1) has them.
func mode(at *fs.FileMode) flag.Value {
	*at = 0
	return &setting[fs.FileMode]{
		at:   at,
		show: func(m fs.FileMode) string { return strconv.FormatUint(uint64(m), 8) },
		read: func(text string) (fs.FileMode, error) {
			m, err := strconv.ParseUint(text, 8, 32)
			if err != nil || m > uint64(fs.ModePerm) {
				return 0, errors.New("want permissions in octal, such as 0660")
			}
			return fs.FileMode(m), nil
		},
	}
}

// toggle is off until it is given.
func toggle(at *bool) flag.Value {
	*at = false
	return &setting[bool]{at: at, show: strconv.FormatBool, toggle: true, read: func(text string) (bool, error) {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return false, errors.New("want true or false")
		}
		return on, nil
	}}
}

// choice is one of the names; the first is the default.
func choice(at *string, names []string) flag.Value {
	*at = names[0]
	return &setting[string]{
		at:   at,
		show: func(s string) string { return s },
		read: func(text string) (string, error) {
			if !slices.Contains(names, text) {
				return "", errors.New("want one of " + strings.Join(names, ", "))
			}
			return text, nil
		},
	}
}

// levels are the names that -log-level takes, from most to least.
var levels = []zerolog.Level{
	zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel, zerolog.Disabled,
}

func level(at *zerolog.Level, def zerolog.Level) flag.Value {
	*at = def
	return &setting[zerolog.Level]{
		at:   at,
		show: zerolog.Level.String,
		read: func(text string) (zerolog.Level, error) {
			for _, l := range levels {
				if l.String() == text {
					return l, nil
				}
			}
			return 0, errors.New("want one of " + levelNames())
		},
	}
}

func levelNames() string {
	names := make([]string, len(levels))
	for i, l := range levels {
		names[i] = l.String()
	}
	return strings.Join(names, ", ")
}
