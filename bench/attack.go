package main

// What an attack costs those who are not a part of it. An audience of well-behaved clients makes requests at a steady
// pace, first alone and then during the attack, and both are compared in one run: how long the answers took, and that
// none was lost. The server has one core and one loop, and all clients, the attackers too, have the other. So the
// audience's figures contain what the attackers' own work costs it, which can only make a server look worse.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A phase is a time whose figures are kept apart.
type phase int32

const (
	unmeasured phase = iota
	before           // the audience is alone
	rising           // the attack begins
	during
	phases
)

// An audience is the well-behaved clients. What it saw may be read once it has left.
type audience struct {
	addr  string
	size  int           // of an answer in bytes: all are alike
	every time.Duration // between the requests of one client; 0 is at once
	phase atomic.Int32

	wg     sync.WaitGroup
	mu     sync.Mutex
	took   [phases][]time.Duration
	errors [phases]int
	first  error
}

// enter starts regular clients, which keep their connection, and passers, which open one for each request.
func (a *audience) enter(ctx context.Context, regular, passers int) {
	for i := range regular + passers {
		a.wg.Go(func() { a.visit(ctx, i < regular, a.every*time.Duration(i)/time.Duration(regular+passers)) })
	}
}

// leave waits for all clients; their context has ended.
func (a *audience) leave() { a.wg.Wait() }

func (a *audience) visit(ctx context.Context, keep bool, offset time.Duration) {
	var (
		conn   net.Conn
		took   [phases][]time.Duration
		answer = make([]byte, a.size)
	)
	defer func() {
		if conn != nil {
			reset(conn)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for p := range took {
			a.took[p] = append(a.took[p], took[p]...)
		}
	}()
	next := time.Now().Add(offset)
	for ctx.Err() == nil {
		if a.every > 0 {
			next = next.Add(a.every)
			if late := time.Since(next); late > a.every {
				next = next.Add(late) // a slow answer is one slow answer, not a burst of requests behind it
			} else {
				time.Sleep(-late)
			}
		}
		p := phase(a.phase.Load())
		begin := time.Now()
		err := a.ask(&conn, answer)
		took[p] = append(took[p], time.Since(begin))
		if err != nil {
			a.fail(p, err)
		}
		if err != nil || !keep {
			if conn != nil {
				reset(conn)
				conn = nil
			}
		}
	}
}

// ask makes one request, on a new connection if there is none. All answers have one size, so that reading one costs the
// client little.
func (a *audience) ask(conn *net.Conn, answer []byte) (err error) {
	if *conn == nil {
		if *conn, err = net.DialTimeout("tcp4", a.addr, askTimeout); err != nil {
			*conn = nil
			return err
		}
	}
	(*conn).SetDeadline(time.Now().Add(askTimeout))
	if _, err := io.WriteString(*conn, request); err != nil {
		return err
	}
	if n, err := io.ReadFull(*conn, answer); err != nil {
		return fmt.Errorf("%w after %q", err, answer[:n])
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.HasSuffix(string(answer), body) {
		return fmt.Errorf("answered %.100q", answer)
	}
	return nil
}

func (a *audience) fail(p phase, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errors[p]++
	if a.first == nil {
		a.first = err
	}
}

// percentile sorts what it is given.
func percentile(took []time.Duration, p float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(p/100*float64(len(took))))]
}

// An attackResult is what one attack did.
type attackResult struct {
	Server    string         `json:"server"`
	Before    figures        `json:"before"`
	During    figures        `json:"during"`
	Lost      int            `json:"lost"`
	First     string         `json:"first_error,omitempty"`
	RSSBefore int64          `json:"rss_before"`
	RSSPeak   int64          `json:"rss_peak"`
	Busy      float64        `json:"core_busy"`
	Attack    map[string]int `json:"attack"`
}

// figures are of one phase of the audience.
type figures struct {
	Requests int           `json:"requests"`
	Median   time.Duration `json:"median_ns"`
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	Max      time.Duration `json:"max_ns"`
}

func figuresOf(took []time.Duration) figures {
	return figures{len(took), percentile(took, 50), percentile(took, 99), percentile(took, 99.9), percentile(took, 100)}
}

func (r attackResult) ratio() float64 { return float64(r.During.P99) / float64(max(1, r.Before.P99)) }

// An attackPlan is what the attacks share.
type attackPlan struct {
	options
	regular, passers int
	every            time.Duration
	alone, lasts     time.Duration
	maxRSS           int64
	maxRatio         float64
}

// An attacker attacks until its context ends. It calls risen when the attack has its full strength.
type attacker func(ctx context.Context, addr string, risen func()) (map[string]int, error)

// run starts a server, lets the audience in, then the attacker, and returns what was seen.
func (p attackPlan) run(ctx context.Context, who contestant, attack attacker) (attackResult, error) {
	s, err := who.start(ctx, p.serverCPU)
	if err != nil {
		return attackResult{}, err
	}
	defer s.end()
	r := attackResult{Server: who.name}
	a := &audience{addr: s.addr, size: s.answer, every: p.every}
	inside, dismiss := context.WithCancel(ctx)
	defer dismiss()
	a.enter(inside, p.regular, p.passers)
	if err := pause(ctx, time.Second); err != nil {
		return r, err
	}
	a.phase.Store(int32(before))
	if err := pause(ctx, p.alone); err != nil {
		return r, err
	}
	if r.RSSBefore, err = peakRSS(s.pid); err != nil {
		return r, err
	}
	a.phase.Store(int32(rising))

	attacking, stop := context.WithCancel(ctx)
	defer stop()
	risen := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		var err error
		r.Attack, err = attack(attacking, s.addr, func() { close(risen) })
		ended <- err
	}()
	select {
	case <-risen:
	case err := <-ended:
		return r, fmt.Errorf("the attack did not rise: %w", err)
	}
	a.phase.Store(int32(during))
	if err := p.watch(ctx, s, &r); err != nil {
		return r, err
	}
	a.phase.Store(int32(unmeasured)) // what comes now belongs to nobody
	dismiss()
	a.leave()
	stop()
	if err := <-ended; err != nil {
		return r, err
	}
	r.Before, r.During = figuresOf(a.took[before]), figuresOf(a.took[during])
	for _, n := range a.errors {
		r.Lost += n
	}
	if a.first != nil {
		r.First = a.first.Error()
	}
	if !s.alive() {
		return r, s.failed("it died in the attack")
	}
	return r, ctx.Err()
}

// watch waits until the attack has lasted, and reads how busy the server was and what it held at most.
func (p attackPlan) watch(ctx context.Context, s *running, r *attackResult) error {
	begin := time.Now()
	cpu, err := cpuTime(s.pid)
	if err != nil {
		return err
	}
	if err := pause(ctx, p.lasts); err != nil {
		return err
	}
	now, err := cpuTime(s.pid)
	if err != nil {
		return err
	}
	r.Busy = float64(now-cpu) / float64(time.Since(begin))
	r.RSSPeak, err = peakRSS(s.pid)
	return err
}

// peakRSS is the most that a process was ever resident with.
func peakRSS(pid int) (int64, error) {
	text, err := procFile(pid, "status")
	if err != nil {
		return 0, err
	}
	kib, err := parseField(text, "VmHWM")
	return kib << 10, err
}

// settleOn moves this process, all its threads and those to come, to one core.
func settleOn(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("core %d: %w", cpu, err)
		}
	}
	runtime.GOMAXPROCS(1)
	return nil
}

// measure attacks each of the servers that the flags name.
func (p *attackPlan) measure(ctx context.Context, attack attacker) ([]attackResult, provenance, error) {
	shop, err := openWorkshop(ctx)
	if err != nil {
		return nil, provenance{}, err
	}
	defer shop.remove()
	selected, err := p.selected()
	if err != nil {
		return nil, provenance{}, err
	}
	all, err := shop.prepare(ctx, selected)
	if err != nil {
		return nil, provenance{}, err
	}
	from := whence(ctx, shop)
	if err := settleOn(p.clientCPU); err != nil {
		return nil, from, err
	}
	var results []attackResult
	for _, who := range all {
		progress("%s: %v alone, then %v under attack", who.name, p.alone, p.lasts)
		r, err := p.run(ctx, who, attack)
		if err != nil {
			return nil, from, fmt.Errorf("%s: %w", who.name, err)
		}
		results = append(results, r)
	}
	return results, from, writeJSON(p.json, from, results)
}

// report prints the table, and returns an error for each mark that was missed.
func (p *attackPlan) report(w io.Writer, from provenance, title string, results []attackResult) error {
	fmt.Fprintf(w, "%s\n%s, beside %d clients that behave:\n\n", from, title, p.regular+p.passers)
	rows := [][]string{{
		"server", "verdict", "p99 alone", "p99 attacked", "ratio", "p99.9", "longest", "good requests", "lost", "RSS alone, KiB", "peak", "core busy",
	}}
	var failed error
	for _, r := range results {
		err := p.judge(r)
		verdict := "ok"
		if err != nil {
			verdict = "FAILED"
			failed = errors.Join(failed, err)
		}
		rows = append(rows, []string{
			r.Server, verdict, short(r.Before.P99), short(r.During.P99), fmt.Sprintf("%.2f", r.ratio()), short(r.During.P999), short(r.During.Max),
			fmt.Sprint(r.Before.Requests + r.During.Requests), fmt.Sprint(r.Lost),
			fmt.Sprint(r.RSSBefore >> 10), fmt.Sprint(r.RSSPeak >> 10), fmt.Sprintf("%.0f %%", 100*r.Busy),
		})
	}
	table(w, rows)
	for _, r := range results {
		fmt.Fprintf(w, "\n%s, the attack:", r.Server)
		for _, what := range slices.Sorted(keys(r.Attack)) {
			fmt.Fprintf(w, " %d %s;", r.Attack[what], what)
		}
		fmt.Fprintln(w)
	}
	return failed
}

func (p *attackPlan) judge(r attackResult) (err error) {
	if r.Lost > 0 {
		err = errors.Join(err, fmt.Errorf("%s: %d requests lost, the first: %s", r.Server, r.Lost, r.First))
	}
	if p.maxRSS > 0 && r.RSSPeak > p.maxRSS {
		err = errors.Join(err, fmt.Errorf("%s: %d KiB resident, want at most %d", r.Server, r.RSSPeak>>10, p.maxRSS>>10))
	}
	if p.maxRatio > 0 && r.ratio() > p.maxRatio {
		err = errors.Join(err, fmt.Errorf("%s: p99 is %.2f times what it was, want at most %.2f", r.Server, r.ratio(), p.maxRatio))
	}
	return err
}

func short(d time.Duration) string { return d.Round(time.Microsecond).String() }

func keys(m map[string]int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
