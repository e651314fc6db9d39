package main

// CPU time per request or message, measured in rounds. The figure is the server's user and system time while a client presses
// it, divided by what the client counted. The machine drifts by tens of percent between minutes, so within a round and a
// case the servers are taken one after the other, in an order that rotates, with the yardstick before and after them; each
// cost is divided by the mean of the two. What the yardstick's own two costs differ by is the noise, and is printed too.

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// warmUp runs before each measured load: the server's heap and the caches have then seen requests.
const warmUp = time.Second

type loadCase struct {
	name  string
	about string
	load  load
}

// A sample is one server under one load once.
type sample struct {
	Round    int           `json:"round"`
	Requests uint64        `json:"requests"`
	CPU      time.Duration `json:"cpu_ns"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	User     float64       `json:"user_share"` // of the CPU time
	Answer   int           `json:"answer_bytes"`
	Ratio    float64       `json:"ratio"` // of cost to the yardstick's
}

// cost is the CPU time of one request in nanoseconds.
func (s sample) cost() float64 { return float64(s.CPU) / float64(s.Requests) }

// standing is what became of one server in one case.
type standing struct {
	Case    string   `json:"case"`
	Server  string   `json:"server"`
	Ratio   spread   `json:"ratio"`
	Nanos   spread   `json:"ns_per_request"`
	User    spread   `json:"user_ns_per_request"`
	Rate    spread   `json:"requests_per_second"`
	Busy    spread   `json:"core_busy"`
	Samples []sample `json:"samples"`
}

// A contest is one kind of load, pressed on servers in rounds.
type contest struct {
	options
	unit      string // what is counted
	yardstick string
	all       []loadCase
	needs     []string // tools
	press     func(ctx context.Context, c *contest, l load, addr string, d time.Duration) (wrkResult, error)

	rounds   int
	duration time.Duration
	cases    []loadCase
	shop     *workshop
}

// run does what the flags ask for.
func (run *contest) run(ctx context.Context, f *flag.FlagSet, args []string, stdout io.Writer) error {
	f.IntVar(&run.rounds, "rounds", 5, "how often each server is measured in each case")
	f.DurationVar(&run.duration, "duration", 4*time.Second, "how long each load lasts, in whole seconds")
	cases := f.String("cases", caseNames(run.all), "the loads, `comma separated`")
	if err := run.parse(f, args); err != nil {
		return err
	}
	if run.rounds < 1 || run.duration < time.Second || run.duration%time.Second != 0 {
		return fmt.Errorf("-rounds must be 1 or more, -duration whole seconds")
	}
	var err error
	if run.cases, err = findCases(run.all, *cases); err != nil {
		return err
	}
	return run.measure(ctx, stdout)
}

func (run *contest) measure(ctx context.Context, stdout io.Writer) error {
	for _, tool := range run.needs {
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

	yardstick, rivals, err := run.contestants(ctx)
	if err != nil {
		return err
	}
	results := make(map[string]map[string][]sample) // by case, then by server
	for _, c := range run.cases {
		results[c.name] = make(map[string][]sample)
	}
	for round := range run.rounds {
		for _, c := range run.cases {
			if err := run.round(ctx, round, c, yardstick, rivals, results[c.name]); err != nil {
				return err
			}
		}
	}
	return run.report(ctx, stdout, append([]contestant{yardstick}, rivals...), results)
}

// contestants builds the yardstick, whether it was named or not, and the others that were.
func (run *contest) contestants(ctx context.Context) (contestant, []contestant, error) {
	selected, err := run.selected()
	if err != nil {
		return contestant{}, nil, err
	}
	yardstick, _ := findServer(run.servers, run.yardstick)
	list := []server{yardstick}
	for _, s := range selected {
		if s.name != run.yardstick {
			list = append(list, s)
		}
	}
	all, err := run.shop.prepare(ctx, list)
	if err != nil {
		return contestant{}, nil, err
	}
	return all[0], all[1:], nil
}

// round measures yardstick, rivals, yardstick, and adds what it saw to results.
func (run *contest) round(
	ctx context.Context, round int, c loadCase, yardstick contestant, rivals []contestant, results map[string][]sample,
) error {
	order := []contestant{yardstick}
	order = append(order, rotate(rivals, round)...)
	order = append(order, yardstick)

	var samples []sample
	for _, who := range order {
		s, err := run.once(ctx, who, c)
		if err != nil {
			return err
		}
		s.Round = round + 1
		progress("round %d of %d, %s: %-9s %8.0f ns/%s", s.Round, run.rounds, c.about, who.name, s.cost(), run.unit)
		samples = append(samples, s)
	}
	base := (samples[0].cost() + samples[len(samples)-1].cost()) / 2
	for i, who := range order {
		samples[i].Ratio = samples[i].cost() / base
		results[who.name] = append(results[who.name], samples[i])
	}
	return nil
}

// rotate returns list beginning at its n-th element, so that no server always follows the same one.
func rotate(list []contestant, n int) []contestant {
	if len(list) == 0 {
		return nil
	}
	n %= len(list)
	return append(append([]contestant{}, list[n:]...), list[:n]...)
}

// once starts a server, warms it up, measures it under one load, and ends it.
func (run *contest) once(ctx context.Context, who contestant, c loadCase) (sample, error) {
	s, err := who.start(ctx, run.serverCPU)
	if err != nil {
		return sample{}, err
	}
	defer s.end()
	if _, err := run.press(ctx, run, c.load, s.addr+who.path, warmUp); err != nil {
		return sample{}, s.failed("warm-up: " + err.Error())
	}

	cpu0, err := cpuTime(s.pid)
	if err != nil {
		return sample{}, err
	}
	user0, all0, err := cpuTicks(s.pid)
	if err != nil {
		return sample{}, err
	}
	counted, err := run.press(ctx, run, c.load, s.addr+who.path, run.duration)
	if err != nil {
		return sample{}, s.failed(err.Error())
	}
	cpu1, err := cpuTime(s.pid)
	if err != nil {
		return sample{}, err
	}
	user1, all1, err := cpuTicks(s.pid)
	if err != nil {
		return sample{}, err
	}
	return sample{
		Requests: counted.Requests,
		CPU:      cpu1 - cpu0,
		Elapsed:  counted.Elapsed,
		User:     float64(user1-user0) / float64(max(all1-all0, 1)),
		Answer:   s.answer,
	}, nil
}

func (run *contest) report(
	ctx context.Context, stdout io.Writer, all []contestant, results map[string]map[string][]sample,
) error {
	from := whence(ctx, run.shop)
	fmt.Fprintf(stdout, "%s", from)
	var standings []standing
	for _, c := range run.cases {
		rows := [][]string{{
			"server", "ratio", "min..max", "ns/" + run.unit, "in user mode", run.unit + "s/s", "core busy", "answer bytes",
		}}
		for _, who := range all {
			st := stand(c.name, who.name, results[c.name][who.name])
			standings = append(standings, st)
			rows = append(rows, st.row())
		}
		fmt.Fprintf(stdout, "\n%s: CPU time per %s against %s (%d x %v):\n\n",
			c.about, run.unit, run.yardstick, run.rounds, run.duration)
		table(stdout, rows)
	}
	return writeJSON(run.json, from, standings)
}

func stand(name, server string, samples []sample) standing {
	of := func(f func(sample) float64) spread {
		var v []float64
		for _, s := range samples {
			v = append(v, f(s))
		}
		return spreadOf(v)
	}
	return standing{
		Case: name, Server: server, Samples: samples,
		Ratio: of(func(s sample) float64 { return s.Ratio }),
		Nanos: of(sample.cost),
		User:  of(func(s sample) float64 { return s.cost() * s.User }),
		Rate:  of(func(s sample) float64 { return float64(s.Requests) / s.Elapsed.Seconds() }),
		Busy:  of(func(s sample) float64 { return s.CPU.Seconds() / s.Elapsed.Seconds() }),
	}
}

func (st standing) row() []string {
	return []string{
		st.Server,
		fmt.Sprintf("%.2f", st.Ratio.Median),
		fmt.Sprintf("%.2f..%.2f", st.Ratio.Min, st.Ratio.Max),
		fmt.Sprintf("%.0f", st.Nanos.Median),
		fmt.Sprintf("%.0f", st.User.Median),
		fmt.Sprintf("%.0f", st.Rate.Median),
		fmt.Sprintf("%.0f %%", 100*st.Busy.Median),
		fmt.Sprint(st.Samples[0].Answer),
	}
}

func caseNames(all []loadCase) string {
	var names []string
	for _, c := range all {
		names = append(names, c.name)
	}
	return strings.Join(names, ",")
}

func findCases(all []loadCase, list string) ([]loadCase, error) {
	var out []loadCase
	for name := range strings.SplitSeq(list, ",") {
		found := false
		for _, c := range all {
			if c.name == strings.TrimSpace(name) {
				out, found = append(out, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no case is named %q; there are %s", name, caseNames(all))
		}
	}
	return out, nil
}
