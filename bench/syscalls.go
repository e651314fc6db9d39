package main

// System calls, counted by strace: how many a request takes under load, and whether a server that has nothing to do
// does nothing. Opening the connections costs calls as well, so a short and a long load are traced, and the figure is
// the slope between them. Tracing slows a server many times over, so that nearly all connections are ready at each
// wait: many connections show the fewest waits that a server can have for a request, one connection the most.

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// idleConnections are open while a server at rest is watched: keep-alive timers must not wake it either.
	idleConnections = 64
	// restBefore lets a server finish what a load left behind: a collection, a scavenger, closing.
	restBefore = 2 * time.Second
	// shortLoad is the shorter of the two loads; the longer lasts as long as -duration says.
	shortLoad = time.Second
	// topCalls is how many system calls are named in the table; the JSON has all.
	topCalls = 5
)

const syscallsHelp = `
System calls per request of each server under a bounded load from wrk, counted by strace -c -f: the slope between a
load of a second and a longer one. Then, with 64 silent keep-alive connections open, the system calls and the wake-ups
of the server at rest: a server that polls or keeps timers shows there. A call or two at rest for each thread may be
strace's own arrival; the wake-ups are counted without it.`

type syscallResult struct {
	Server    string          `json:"server"`
	Loads     []syscallCounts `json:"loads"`
	RestCalls uint64          `json:"calls_at_rest"`
	Wakeups   int64           `json:"wakeups_at_rest"`
}

// syscallCounts is what one load took; Requests are those between the short load and the long one.
type syscallCounts struct {
	Connections int                `json:"connections"`
	Requests    uint64             `json:"requests"`
	PerRequest  map[string]float64 `json:"per_request"`
	Total       float64            `json:"total_per_request"`
}

type syscallsRun struct {
	options
	connections []int
	pipeline    int
	duration    time.Duration
	rest        time.Duration
	shop        *workshop
}

func syscalls(ctx context.Context, args []string, stdout io.Writer) error {
	var run syscallsRun
	f := newFlags("syscalls", syscallsHelp, "microhttp,c-epoll,net/http,fasthttp,nginx", &run.options)
	connections := f.String("c", "1,64", "connections of each load, `comma separated`")
	f.IntVar(&run.pipeline, "pipeline", 1, "requests sent at once on each connection")
	f.DurationVar(&run.duration, "duration", 3*time.Second, "how long the longer load lasts, in whole seconds")
	f.DurationVar(&run.rest, "rest", 3*time.Second, "how long the server is watched at rest")
	if err := run.parse(f, args); err != nil {
		return err
	}
	for field := range strings.SplitSeq(*connections, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			return fmt.Errorf("-c wants numbers of connections, not %q", field)
		}
		run.connections = append(run.connections, n)
	}
	if run.pipeline < 1 || run.duration <= shortLoad || run.duration%time.Second != 0 {
		return fmt.Errorf("-pipeline must be 1 or more, -duration whole seconds above %v", shortLoad)
	}
	return run.measure(ctx, stdout)
}

func (run *syscallsRun) measure(ctx context.Context, stdout io.Writer) error {
	for _, tool := range []string{"wrk", "strace"} {
		if err := need(tool); err != nil {
			return err
		}
	}
	shop, err := openWorkshop(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	run.shop = shop
	selected, err := run.selected()
	if err != nil {
		return err
	}
	all, err := shop.prepare(ctx, selected)
	if err != nil {
		return err
	}
	var results []syscallResult
	for _, who := range all {
		progress("%s: under load, then at rest", who.name)
		r, err := run.once(ctx, who)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		results = append(results, r)
	}
	from := whence(ctx, shop)
	run.report(stdout, from, results)
	return writeJSON(run.json, from, results)
}

func (run *syscallsRun) once(ctx context.Context, who contestant) (syscallResult, error) {
	s, err := who.start(ctx, run.serverCPU)
	if err != nil {
		return syscallResult{}, err
	}
	defer s.end()
	r := syscallResult{Server: who.name}
	for _, n := range run.connections {
		counts, err := run.underLoad(ctx, s, load{Connections: n, Pipeline: run.pipeline})
		if err != nil {
			return r, err
		}
		r.Loads = append(r.Loads, counts)
	}
	return r, run.atRest(ctx, s, &r)
}

// underLoad traces a short load and a long one and takes the slope.
func (run *syscallsRun) underLoad(ctx context.Context, s *running, l load) (syscallCounts, error) {
	short, few, err := run.traceLoad(ctx, s, l, shortLoad)
	if err != nil {
		return syscallCounts{}, err
	}
	long, many, err := run.traceLoad(ctx, s, l, run.duration)
	if err != nil {
		return syscallCounts{}, err
	}
	if many <= few {
		return syscallCounts{}, fmt.Errorf("the longer load made %d requests, the shorter %d: too noisy", many, few)
	}
	counts := syscallCounts{Connections: l.Connections, Requests: many - few}
	counts.PerRequest, counts.Total = slope(short, long, counts.Requests)
	return counts, nil
}

// slope divides what long has more than short by requests. A call that is rare may be fewer by chance: that is none.
func slope(short, long map[string]uint64, requests uint64) (perRequest map[string]float64, total float64) {
	perRequest = make(map[string]float64)
	for name, n := range long {
		if n <= short[name] {
			continue
		}
		perRequest[name] = float64(n-short[name]) / float64(requests)
		total += perRequest[name]
	}
	return perRequest, total
}

func (run *syscallsRun) traceLoad(
	ctx context.Context, s *running, l load, d time.Duration,
) (calls map[string]uint64, requests uint64, err error) {
	calls, err = run.trace(ctx, s, func() error {
		counted, err := runWrk(ctx, run.shop, l, s.addr+target, run.clientCPU, d)
		requests = counted.Requests
		return err
	})
	return calls, requests, err
}

// atRest watches a server whose connections are silent: first its wake-ups, undisturbed, then its calls, traced.
func (run *syscallsRun) atRest(ctx context.Context, s *running, r *syscallResult) error {
	conns, err := openIdle(ctx, s.addr, idleConnections, exchange)
	defer closeAll(conns)
	if err != nil {
		return err
	}
	if err := pause(ctx, restBefore); err != nil {
		return err
	}
	before, err := wakeups(s.pid)
	if err != nil {
		return err
	}
	if err := pause(ctx, run.rest); err != nil {
		return err
	}
	after, err := wakeups(s.pid)
	if err != nil {
		return err
	}
	r.Wakeups = after - before

	calls, err := run.trace(ctx, s, func() error { return pause(ctx, run.rest) })
	for _, n := range calls {
		r.RestCalls += n
	}
	return err
}

var attached = regexp.MustCompile(`(?i)process \d+ attached`)

// trace counts the system calls of a server while do runs.
func (run *syscallsRun) trace(ctx context.Context, s *running, do func() error) (map[string]uint64, error) {
	summary := filepath.Join(run.shop.dir, "strace")
	tracer, err := spawn(ctx, "strace", run.serverCPU, "strace", "-c", "-f", "-o", summary, "-p", strconv.Itoa(s.pid))
	if err != nil {
		return nil, err
	}
	if _, err := tracer.saw(ctx, attached); err != nil {
		tracer.stop(syscall.SIGINT)
		return nil, err
	}
	err = do()
	tracer.stop(syscall.SIGINT) // it detaches, the server goes on, and the summary is written
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(summary)
	if err != nil {
		return nil, err
	}
	return parseStrace(string(text))
}

// parseStrace reads the table of strace -c. The columns are % time, seconds, usecs/call, calls, errors and syscall;
// errors may be blank. No calls at all leave no table.
func parseStrace(text string) (map[string]uint64, error) {
	calls := make(map[string]uint64)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 || f[0] == "%" || strings.HasPrefix(f[0], "-") || f[len(f)-1] == "total" {
			continue
		}
		n, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("strace's table has the line %q", line)
		}
		calls[f[len(f)-1]] += n
	}
	return calls, nil
}

func (run *syscallsRun) report(w io.Writer, from provenance, results []syscallResult) {
	fmt.Fprintf(w, "%s\nSystem calls per request, pipelined %d deep:\n\n", from, run.pipeline)
	rows := [][]string{{"server", "connections", "calls/request", "most frequent", "requests"}}
	for _, r := range results {
		for _, l := range r.Loads {
			rows = append(rows, []string{
				r.Server, fmt.Sprint(l.Connections), fmt.Sprintf("%.2f", l.Total), top(l.PerRequest), fmt.Sprint(l.Requests),
			})
		}
	}
	table(w, rows)

	fmt.Fprintf(w, "\nAt rest for %v with %d silent connections:\n\n", run.rest, idleConnections)
	rows = [][]string{{"server", "system calls", "wake-ups"}}
	for _, r := range results {
		rows = append(rows, []string{r.Server, fmt.Sprint(r.RestCalls), fmt.Sprint(r.Wakeups)})
	}
	table(w, rows)
}

func top(perRequest map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(perRequest), func(a, b string) int {
		return cmp.Or(cmp.Compare(perRequest[b], perRequest[a]), strings.Compare(a, b))
	})
	var out []string
	for _, name := range names[:min(topCalls, len(names))] {
		if perRequest[name] < 0.005 {
			break // it would print as 0.00
		}
		out = append(out, fmt.Sprintf("%s %.2f", name, perRequest[name]))
	}
	return strings.Join(out, ", ")
}
