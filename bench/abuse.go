package main

// A storm of clients that misbehave (storm.go), while well-behaved ones make requests beside them. Two laws are
// checked: a well-behaved client never sees an error, and once everybody has gone the server has as many descriptors
// as before. A server that breaks one makes the tool exit with status 1.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	regulars     = 4                     // well-behaved clients that keep their connection
	passers      = 2                     // and those that open one for each request
	thinkTime    = 5 * time.Millisecond  // between two requests of a well-behaved client
	watchEvery   = 20 * time.Millisecond // how often descriptors are counted
	warmRequests = 16                    // before the first count: runtimes open descriptors of their own at first use
)

const abuseHelp = `
Starts a server, lets well-behaved clients make requests, and storms it meanwhile with clients that send half a head,
half a body or half a chunk and reset the connection, that pipeline thousands of requests and read nothing, or that
vanish. Afterwards the server must have as many descriptors as before, and no well-behaved client may have seen an
error; otherwise the exit status is 1.`

type abuseResult struct {
	Server    string         `json:"server"`
	Abuses    map[string]int `json:"abuses"`
	Requests  int            `json:"well_behaved_requests"`
	Errors    int            `json:"well_behaved_errors"`
	First     string         `json:"first_error,omitempty"`
	Before    int            `json:"descriptors_before"`
	Peak      int            `json:"descriptors_peak"`
	After     int            `json:"descriptors_after"`
	Returned  time.Duration  `json:"returned_after_ns"`
	RSSBefore int64          `json:"rss_before"`
	RSSAfter  int64          `json:"rss_after"`
}

func (r abuseResult) passed() bool { return r.After <= r.Before && r.Errors == 0 && r.Requests > 0 }

func abuse(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	f := newFlags("abuse", abuseHelp, "microhttp,net/http,fasthttp", &o)
	duration := f.Duration("duration", 5*time.Second, "how long the storm lasts")
	within := f.Duration("within", 15*time.Second, "how long descriptors may take to come back")
	workers := f.Int("workers", 16, "how many clients misbehave at the same time")
	if err := o.parse(f, args); err != nil {
		return err
	}
	if *workers < 1 || *workers > maxWorkers || *duration <= 0 || *duration > maxStorm {
		return fmt.Errorf("-workers must be 1 to %d, -duration at most %v", maxWorkers, maxStorm)
	}
	if err := raiseDescriptorLimit(maxWorkers + maxHeld + spareDescriptors); err != nil {
		return err
	}
	shop, all, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	var results []abuseResult
	for _, who := range all {
		progress("%s: a storm of %v", who.name, *duration)
		r, err := measureAbuse(ctx, who, o.serverCPU, *workers, *duration, *within)
		if err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		results = append(results, r)
	}
	from := whence(ctx, shop)
	if err := writeJSON(o.json, from, results); err != nil {
		return err
	}
	return reportAbuse(stdout, from, results)
}

func measureAbuse(
	ctx context.Context, who contestant, cpu, workers int, d, within time.Duration,
) (abuseResult, error) {
	s, err := who.start(ctx, cpu)
	if err != nil {
		return abuseResult{}, err
	}
	defer s.end()
	r := abuseResult{Server: who.name}
	if err := r.baseline(ctx, s); err != nil {
		return r, s.failed(err.Error())
	}

	var crowd crowd
	behaved, dismiss := context.WithCancel(ctx) // the well-behaved come before the storm and leave after it
	crowd.enter(behaved, s.addr)
	r.Abuses, r.Peak = storm(ctx, s, workers, d)
	dismiss()
	r.Requests, r.Errors, r.First = crowd.leave()
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if !s.alive() {
		return r, s.failed("it died in the storm")
	}
	return r, r.aftermath(ctx, s, within)
}

// baseline counts descriptors once the server has served some connections and all of them are gone.
func (r *abuseResult) baseline(ctx context.Context, s *running) error {
	for range warmRequests {
		if _, err := ask(s.addr); err != nil {
			return err
		}
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	m, err := memoryOf(s.pid)
	if err != nil {
		return err
	}
	r.RSSBefore = m.RSS
	r.Before, err = descriptors(s.pid)
	return err
}

// aftermath waits until the descriptors are what they were, or until they have had long enough.
func (r *abuseResult) aftermath(ctx context.Context, s *running, within time.Duration) (err error) {
	begin := time.Now()
	for {
		if r.After, err = descriptors(s.pid); err != nil {
			return err
		}
		r.Returned = time.Since(begin)
		if r.After <= r.Before || r.Returned > within {
			break
		}
		if err := pause(ctx, watchEvery); err != nil {
			return err
		}
	}
	m, err := memoryOf(s.pid)
	r.RSSAfter = m.RSS
	return err
}

// A crowd is the well-behaved clients of one server.
type crowd struct {
	wg sync.WaitGroup

	mu       sync.Mutex
	requests int
	errors   int
	first    error
}

func (c *crowd) enter(ctx context.Context, addr string) {
	for range regulars {
		c.wg.Go(func() { c.visit(ctx, addr, true) })
	}
	for range passers {
		c.wg.Go(func() { c.visit(ctx, addr, false) })
	}
}

// leave waits for all clients and returns what they saw.
func (c *crowd) leave() (requests, errors int, first string) {
	c.wg.Wait()
	if c.first != nil {
		first = c.first.Error()
	}
	return c.requests, c.errors, first
}

// visit makes requests until ctx is done, on one connection or on one each. After an error it starts afresh.
func (c *crowd) visit(ctx context.Context, addr string, keep bool) {
	var (
		conn net.Conn
		r    = bufio.NewReader(nil)
		err  error
	)
	hangUp := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	defer hangUp()
	for ctx.Err() == nil {
		if conn == nil {
			if conn, err = net.DialTimeout("tcp4", addr, askTimeout); err != nil {
				conn = nil
			} else {
				r.Reset(conn)
			}
		}
		if err == nil {
			err = exchange(conn, r)
		}
		c.note(err)
		if err != nil || !keep {
			hangUp()
			err = nil
		}
		pause(ctx, thinkTime)
	}
}

func (c *crowd) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if err == nil {
		return
	}
	c.errors++
	if c.first == nil {
		c.first = err
	}
}

func reportAbuse(w io.Writer, from provenance, results []abuseResult) error {
	fmt.Fprintf(w, "%s\nClients that misbehave, beside %d that do not:\n\n", from, regulars+passers)
	rows := [][]string{{
		"server", "verdict", "abuses", "good requests", "errors", "descriptors before", "peak", "after", "back within", "RSS growth, KiB",
	}}
	var failed error
	for _, r := range results {
		verdict := "ok"
		if !r.passed() {
			verdict = "FAILED"
			failed = errors.Join(failed, fmt.Errorf("%s: %d errors (first: %s), descriptors %d, before %d",
				r.Server, r.Errors, r.First, r.After, r.Before))
		}
		sum := 0
		for _, n := range r.Abuses {
			sum += n
		}
		rows = append(rows, []string{
			r.Server, verdict, fmt.Sprint(sum), fmt.Sprint(r.Requests), fmt.Sprint(r.Errors), fmt.Sprint(r.Before),
			fmt.Sprint(r.Peak), fmt.Sprint(r.After), r.Returned.Round(time.Millisecond).String(),
			fmt.Sprint((r.RSSAfter - r.RSSBefore) >> 10),
		})
	}
	table(w, rows)
	return failed
}
